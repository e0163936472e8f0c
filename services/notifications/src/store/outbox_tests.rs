//! The outbox's promises, on both databases.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use pathway_kernel::new_id;
use pathway_store::testing::Scratch;

use super::*;
use crate::delivery::{Attempt, Claim, DeliveryState};
use crate::endpoint::{Endpoint, Keys};
use crate::preferences::Channel;
use crate::tokens::{Address, Purpose};

pathway_store::suite!(
    a_claim_is_left_alone_until_its_lease_ends_and_keeps_its_id,
    who_was_too_slow_has_no_say,
    what_was_under_way_at_the_end_is_on_record_and_goes_out_again,
    a_target_gets_a_few_at_a_time,
    two_claimants_never_take_the_same,
    a_digest_is_one_row_under_concurrent_senders,
    a_mailbox_is_asked_once_a_minute_and_a_new_address_in_its_turn,
    another_processes_changes_are_heard_of,
    what_has_ended_is_forgotten_in_time_and_what_waits_is_not,
);

const SECOND: i64 = 1_000_000;

async fn open(scratch: &Scratch) -> Store {
    Store::open(&scratch.config(), Arc::new(Templates::load().unwrap())).await.unwrap()
}

async fn webhook(store: &Store) -> Uuid {
    let endpoint = Endpoint {
        id: new_id(1),
        user_id: "u".to_owned(),
        channel: Channel::Webhook,
        url: "https://example.com".to_owned(),
        keys: Keys::Webhook(Vec::new()),
        types: Vec::new(),
        description: String::new(),
        is_enabled: true,
        disabled_reason: String::new(),
        failing_since_us: None,
        created_at_us: 1,
    };
    store.add_endpoint(endpoint.clone(), false).await.unwrap();
    endpoint.id
}

fn notice(key: &str) -> Notice {
    Notice {
        user_id: "u".to_owned(),
        dedup_key: key.to_owned(),
        kind: "reminder".to_owned(),
        ..Notice::default()
    }
}

async fn send(store: &Store, keys: impl IntoIterator<Item = i32>) {
    let notices = keys.into_iter().map(|key| notice(&key.to_string())).collect();
    assert!(store.send(notices, SECOND).await.unwrap().has_work);
}

fn wanted(now_us: i64) -> Wanted {
    Wanted {
        now_us,
        lease_until_us: now_us + 60 * SECOND,
        most: 100,
        most_per_target: 100,
        busy: HashMap::new(),
    }
}

fn delivered(claim: &Claim, endpoint: Uuid) -> Settled {
    let number = claim.delivery.attempts;
    Settled {
        id: claim.delivery.id,
        attempt: Some(Attempt { number, began_at_us: 1, took_us: 2, status: 200, reason: String::new() }),
        number,
        state: DeliveryState::Delivered,
        reason: String::new(),
        due_us: 0,
        ended_at_us: 9,
        health: Some((endpoint, Health::Works)),
    }
}

async fn states(store: &Store) -> Vec<(DeliveryState, usize)> {
    let listing = DeliveryListing {
        user_id: "u".to_owned(),
        before: Uuid::max(),
        channel: String::new(),
        state: "",
        target: String::new(),
        limit: 1000,
    };
    let found = store.deliveries(listing).await.unwrap();
    found.into_iter().map(|(delivery, attempts)| (delivery.state, attempts.len())).collect()
}

async fn a_claim_is_left_alone_until_its_lease_ends_and_keeps_its_id(scratch: &Scratch) {
    let store = open(scratch).await;
    let endpoint = webhook(&store).await;
    send(&store, 0..1).await;
    assert_eq!(store.next_due(0).await.unwrap(), Some(SECOND));
    let first = store.claim(wanted(SECOND)).await.unwrap().remove(0);
    assert_eq!(first.notices[0].notice.dedup_key, "0");
    assert!(store.claim(wanted(2 * SECOND)).await.unwrap().is_empty());
    drop(store);

    // The process that had it is gone.
    let store = open(scratch).await;
    let again = store.claim(wanted(61 * SECOND)).await.unwrap().remove(0);
    assert_eq!((again.delivery.id, again.delivery.attempts), (first.delivery.id, 2));
    store.settle(vec![delivered(&again, endpoint)], 9).await.unwrap();
    assert!(store.claim(wanted(1000 * SECOND)).await.unwrap().is_empty());
    assert_eq!(states(&store).await, [(DeliveryState::Delivered, 2)], "that of the first is on record");
}

async fn what_was_under_way_at_the_end_is_on_record_and_goes_out_again(scratch: &Scratch) {
    let store = open(scratch).await;
    let endpoint = webhook(&store).await;
    send(&store, 0..2).await;
    let claims = store.claim(wanted(SECOND)).await.unwrap();
    store.settle(vec![delivered(&claims[0], endpoint)], 9).await.unwrap();
    store.release(60 * SECOND, 2 * SECOND).await.unwrap();
    let again = store.claim(wanted(2 * SECOND)).await.unwrap();
    assert_eq!((again.len(), again[0].delivery.id), (1, claims[1].delivery.id), "before its lease ends");
    // Once more, without a start in between.
    let again = store.claim(wanted(62 * SECOND)).await.unwrap();
    store.settle(vec![delivered(&again[0], endpoint)], 9).await.unwrap();
    let listing = DeliveryListing {
        user_id: "u".to_owned(),
        before: Uuid::max(),
        channel: String::new(),
        state: "",
        target: String::new(),
        limit: 10,
    };
    let found = store.deliveries(listing).await.unwrap();
    let (_, attempts) = found.iter().find(|(delivery, _)| delivery.id == again[0].delivery.id).unwrap();
    let attempts: Vec<_> = attempts.iter().map(|one| (one.number, one.began_at_us, one.status)).collect();
    assert_eq!(attempts, [(1, SECOND, 0), (2, 2 * SECOND, 0), (3, 1, 200)]);
}

async fn who_was_too_slow_has_no_say(scratch: &Scratch) {
    let store = open(scratch).await;
    let endpoint = webhook(&store).await;
    send(&store, 0..1).await;
    let slow = store.claim(wanted(SECOND)).await.unwrap().remove(0);
    let fast = store.claim(wanted(100 * SECOND)).await.unwrap().remove(0);
    store.settle(vec![delivered(&slow, endpoint)], 9).await.unwrap();
    assert_eq!(states(&store).await, [(DeliveryState::Waiting, 1)], "its attempt is on record all the same");
    store.settle(vec![delivered(&fast, endpoint)], 9).await.unwrap();
    assert_eq!(states(&store).await, [(DeliveryState::Delivered, 2)]);
}

async fn a_target_gets_a_few_at_a_time(scratch: &Scratch) {
    let store = open(scratch).await;
    let (one, two) = (webhook(&store).await, webhook(&store).await);
    send(&store, 0..10).await;
    let few = |busy| Wanted { most_per_target: 4, busy, ..wanted(SECOND) };
    let count = |claims: &[Claim], target: Uuid| {
        claims.iter().filter(|claim| claim.delivery.target == target.to_string()).count()
    };
    let claims = store.claim(few(HashMap::from([(one.to_string(), 3)]))).await.unwrap();
    assert_eq!((count(&claims, one), count(&claims, two)), (1, 4));
    let claims = store.claim(few(HashMap::from([(one.to_string(), 4)]))).await.unwrap();
    assert_eq!((count(&claims, one), count(&claims, two)), (0, 4));
}

async fn two_claimants_never_take_the_same(scratch: &Scratch) {
    let store = open(scratch).await;
    webhook(&store).await;
    send(&store, 0..60).await;
    let claimants = (0..4).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut taken = Vec::new();
            for _ in 0..10 {
                taken.extend(store.claim(Wanted { most: 5, ..wanted(SECOND) }).await.unwrap());
            }
            taken
        })
    });
    let mut taken = Vec::new();
    for claimant in claimants.collect::<Vec<_>>() {
        taken.extend(claimant.await.unwrap());
    }
    // One that meets another at the same rows gets fewer than it asked for; the rest is there for whoever comes next.
    loop {
        let rest = store.claim(Wanted { most: 5, ..wanted(SECOND) }).await.unwrap();
        if rest.is_empty() {
            break;
        }
        taken.extend(rest);
    }
    let ids: HashSet<Uuid> = taken.iter().map(|claim| claim.delivery.id).collect();
    assert_eq!((ids.len(), taken.len()), (60, 60));
}

async fn a_digest_is_one_row_under_concurrent_senders(scratch: &Scratch) {
    use crate::preferences::{Change, Mode, Rule};
    let store = open(scratch).await;
    let daily = Rule { mode: Mode::Daily, throttle_s: 0 };
    let change = Change {
        email: Some("u@example.com".to_owned()),
        rules: vec![(("*".to_owned(), Channel::Email), Some(daily))],
        ..Change::default()
    };
    store.update_preferences("u".to_owned(), change, 1).await.unwrap();
    let address = Address { user_id: "u".to_owned(), email: "u@example.com".to_owned() };
    store.answer_for(address, Purpose::Confirm).await.unwrap();
    let question = store.claim(wanted(1)).await.unwrap().remove(0);
    store.settle(vec![delivered(&question, Uuid::nil())], 9).await.unwrap();
    let senders = (0..4).map(|sender| {
        let store = store.clone();
        tokio::spawn(async move {
            for round in 0..5 {
                send(&store, [sender * 10 + round, 100 + round]).await;
            }
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await.unwrap();
    }
    assert_eq!(states(&store).await, [(DeliveryState::Waiting, 0), (DeliveryState::Delivered, 1)]);
    let digest = store.claim(wanted(48 * 3600 * SECOND)).await.unwrap().remove(0);
    assert_eq!(digest.notices.len(), 4 * 5 + 5, "each once");
}

async fn a_mailbox_is_asked_once_a_minute_and_a_new_address_in_its_turn(scratch: &Scratch) {
    use crate::preferences::Change;
    let store = open(scratch).await;
    // Which address is given when, whether that makes a question, and until when those that are due go out: the one for b goes to c.
    for (email, second, is_asked, until) in [
        ("a@example.com", 1, true, 1),
        ("a@example.com", 2, false, 2),
        ("b@example.com", 3, true, 60),
        ("c@example.com", 60, false, 61),
        ("c@example.com", 62, false, 120),
        ("c@example.com", 121, true, 121),
    ] {
        let change = Change { email: Some(email.to_owned()), ..Change::default() };
        let asked = store.update_preferences("u".to_owned(), change, second * SECOND).await.unwrap();
        assert_eq!(asked.1, is_asked, "{email} at {second}");
        for claim in store.claim(wanted(until * SECOND)).await.unwrap() {
            assert_eq!(claim.delivery.planned_us, until * SECOND, "{email} at {second}");
            assert_eq!(claim.preferences.email, email);
            store.settle(vec![delivered(&claim, Uuid::nil())], 9).await.unwrap();
            let again = store.retry("u".to_owned(), claim.delivery.id, 200 * SECOND, None).await;
            assert!(matches!(again, Err(NotificationsError::Question)), "{again:?}");
        }
    }
    assert_eq!(states(&store).await, [(DeliveryState::Delivered, 1); 3]);
    let stranger = store.retry("v".to_owned(), Uuid::nil(), 1, None).await;
    assert!(matches!(stranger, Err(NotificationsError::UnknownDelivery)), "{stranger:?}");
}

async fn another_processes_changes_are_heard_of(scratch: &Scratch) {
    use crate::feeds::Feeds;
    let (here, there) = (open(scratch).await, open(scratch).await);
    let feeds = Feeds::default();
    let mut watcher = feeds.watch("u");
    let closing = tokio_util::sync::CancellationToken::new();
    let asking = tokio::spawn(crate::others::follow(here, feeds.clone(), closing.clone()));
    for key in ["a", "b"] {
        let sent = there.send(vec![notice(key)], SECOND).await.unwrap();
        let last = sent.news[0].last;
        loop {
            let news = watcher.next().await.unwrap();
            assert!(news.update.is_none(), "to be read");
            if news.last == last {
                break;
            }
        }
    }
    closing.cancel();
    asking.await.unwrap();
}

async fn what_has_ended_is_forgotten_in_time_and_what_waits_is_not(scratch: &Scratch) {
    let store = open(scratch).await;
    let endpoint = webhook(&store).await;
    send(&store, 0..2).await;
    let claimed = store.claim(Wanted { most: 1, ..wanted(SECOND) }).await.unwrap().remove(0);
    store.settle(vec![delivered(&claimed, endpoint)], 9).await.unwrap();
    assert!(!store.forget(SECOND).await.unwrap());
    assert_eq!(states(&store).await.len(), 2, "not yet");
    assert!(!store.forget(2 * SECOND).await.unwrap());
    assert_eq!(states(&store).await, [(DeliveryState::Waiting, 0)]);
}
