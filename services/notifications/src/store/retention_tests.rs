//! What is kept and what goes, on both databases.

use std::collections::HashMap;
use std::sync::Arc;

use pathway_kernel::new_id;
use pathway_store::testing::Scratch;

use super::retention::Swept;
use super::*;
use crate::delivery::{Attempt, Claim, DeliveryState};
use crate::endpoint::{Endpoint, Keys};
use crate::notice::{Action, State};
use crate::preferences::{Change, Channel, Mode, Rule};
use crate::tokens::{Address, Purpose};

pathway_store::suite!(
    what_is_old_goes_and_what_is_undelivered_stays,
    what_a_digest_will_tell_stays,
    of_too_many_the_read_go_and_are_not_told_again,
    a_long_feed_goes_in_many_steps,
    what_a_disabled_webhook_misses_can_be_recovered,
);

const SECOND: i64 = 1_000_000;

async fn open(scratch: &Scratch) -> Store {
    Store::open(&scratch.config(), Arc::new(Templates::load().unwrap())).await.unwrap()
}

fn notice(key: impl ToString + Copy) -> Notice {
    Notice {
        user_id: "u".to_owned(),
        dedup_key: key.to_string(),
        kind: "reminder".to_owned(),
        ..Notice::default()
    }
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

fn wanted(most: usize) -> Wanted {
    Wanted { now_us: SECOND, lease_until_us: 9 * SECOND, most, most_per_target: 100, busy: HashMap::new() }
}

async fn settle(store: &Store, claim: &Claim, state: DeliveryState) {
    let number = claim.delivery.attempts;
    let reason = String::new();
    let attempt = Attempt { number, began_at_us: SECOND, took_us: 2, status: 200, reason: reason.clone() };
    let (id, ended_at_us) = (claim.delivery.id, SECOND);
    let settled =
        Settled { id, attempt: Some(attempt), number, state, reason, due_us: 0, ended_at_us, health: None };
    store.settle(vec![settled], SECOND).await.unwrap();
}

async fn page(store: &Store) -> Page {
    let listing = Listing { user_id: "u".to_owned(), after: 0, limit: 2000, which: Which::All };
    store.list(listing).await.unwrap()
}

fn keys(page: &Page) -> Vec<&str> {
    page.notices.iter().map(|stored| stored.notice.dedup_key.as_str()).collect()
}

async fn remove_old(store: &Store, before_us: i64) -> Vec<News> {
    let Swept { next, news } = store.remove_old(before_us, Uuid::nil()).await.unwrap();
    assert_eq!(next, None);
    news
}

async fn what_is_old_goes_and_what_is_undelivered_stays(scratch: &Scratch) {
    let store = open(scratch).await;
    webhook(&store).await;
    store.send(vec![notice("sent"), notice("failed"), notice("waits")], SECOND).await.unwrap();
    store.send(vec![notice("young")], 5 * SECOND).await.unwrap();
    let claims = store.claim(wanted(2)).await.unwrap();
    for (claim, state) in claims.iter().zip([DeliveryState::Delivered, DeliveryState::Failed]) {
        settle(&store, claim, state).await;
    }
    assert!(remove_old(&store, SECOND).await.is_empty(), "nothing is older than itself");
    let news = remove_old(&store, 2 * SECOND).await;
    let left = page(&store).await;
    let gone = &claims[0].notices[0].notice.dedup_key;
    assert!(!keys(&left).contains(&gone.as_str()) && keys(&left).contains(&"young"));
    assert_eq!((left.notices.len(), left.unread), (3, 3));
    let update = news[0].update.clone().unwrap();
    assert_eq!((news[0].before, update.last, update.unread, update.changes.len()), (4, 5, 3, 0));
    assert_eq!(
        (left.gone_change, left.gone_sequence),
        (claims[0].notices[0].change, claims[0].notices[0].sequence)
    );
    let listing = DeliveryListing {
        user_id: "u".to_owned(),
        before: Uuid::max(),
        channel: String::new(),
        state: "delivered",
        target: String::new(),
        limit: 10,
    };
    assert!(store.deliveries(listing).await.unwrap().is_empty(), "a message goes with its notice");
    let again = store.send(vec![notice(gone)], 9 * SECOND).await.unwrap().sent;
    assert!(!again[0].is_duplicate, "its age has come");
}

async fn what_a_digest_will_tell_stays(scratch: &Scratch) {
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
    let question = store.claim(wanted(9)).await.unwrap().remove(0);
    settle(&store, &question, DeliveryState::Delivered).await;
    store.send(vec![notice("a")], SECOND).await.unwrap();
    assert!(remove_old(&store, 2 * SECOND).await.is_empty());
    let wanted = Wanted { now_us: 48 * 3600 * SECOND, ..wanted(9) };
    let digest = store.claim(wanted).await.unwrap().remove(0);
    assert_eq!(digest.notices.len(), 1);
    settle(&store, &digest, DeliveryState::Delivered).await;
    remove_old(&store, 2 * SECOND).await;
    assert!(page(&store).await.notices.is_empty());
}

async fn of_too_many_the_read_go_and_are_not_told_again(scratch: &Scratch) {
    let store = open(scratch).await;
    let sent = store.send((1..=10).map(notice).collect(), SECOND).await.unwrap().sent;
    let ids: Vec<Uuid> = sent.iter().map(|sent| sent.id).collect();
    let read = [ids[..5].to_vec(), vec![ids[9]]].concat();
    store.mark("u".to_owned(), read, Mark::Read(true), SECOND).await.unwrap();
    let long = async || store.long_feeds(String::new(), 3).await.unwrap().0;
    assert_eq!(long().await, ["u"]);
    let swept = store.remove_many("u".to_owned(), 3, 0).await.unwrap();
    assert!(swept.next.is_none() && swept.news.is_empty(), "what was read is missed by nobody");
    let left = page(&store).await;
    assert_eq!(keys(&left), ["6", "7", "8", "9", "10"]);
    assert_eq!(left.unread, 4);
    assert!(long().await.is_empty(), "until there is another");

    let again = store.send(vec![notice(1), notice(11)], 2 * SECOND).await.unwrap().sent;
    assert_eq!((again[0].id, again[0].is_duplicate, again[1].sequence), (ids[0], true, 11));
    assert_eq!(long().await, ["u"]);
    let over = Notice { about: "x".to_owned(), action: Action::End(State::Resolved), ..notice("over") };
    store.send(vec![over.clone()], SECOND).await.unwrap();
    assert!(store.send(vec![over.clone()], SECOND).await.unwrap().sent[0].is_duplicate);
    assert!(!store.remove_old_keys(2 * SECOND).await.unwrap());
    let again = store.send(vec![notice(1), over], 3 * SECOND).await.unwrap().sent;
    assert!(again.iter().all(|sent| !sent.is_duplicate), "their age has come");
}

async fn a_long_feed_goes_in_many_steps(scratch: &Scratch) {
    let store = open(scratch).await;
    store.send((1..=1100).map(notice).collect(), SECOND).await.unwrap();
    store.mark_all("u".to_owned(), i64::MAX, SECOND, None).await.unwrap();
    let (mut after, mut steps) = (Some(0), 0);
    while let Some(place) = after {
        after = store.remove_many("u".to_owned(), 50, place).await.unwrap().next;
        steps += 1;
    }
    let left = page(&store).await;
    assert_eq!((steps, left.notices.len(), left.notices[0].sequence), (3, 50, 1051));
    let (mut after, mut steps) = (Some(Uuid::nil()), 0);
    store.send((2001..=2600).map(notice).collect(), SECOND).await.unwrap();
    while let Some(place) = after {
        after = store.remove_old(2 * SECOND, place).await.unwrap().next;
        steps += 1;
    }
    assert_eq!((steps, page(&store).await.notices.len()), (2, 0));
}

async fn what_a_disabled_webhook_misses_can_be_recovered(scratch: &Scratch) {
    let store = open(scratch).await;
    let id = webhook(&store).await;
    let set = async |enabled: bool| {
        let change = move |endpoint: &mut Endpoint| endpoint.is_enabled = enabled;
        store.update_endpoint("u".to_owned(), Channel::Webhook, id, change).await.unwrap();
    };
    set(false).await;
    assert!(!store.send(vec![notice("missed")], SECOND).await.unwrap().has_work);
    assert!(store.claim(wanted(9)).await.unwrap().is_empty());
    set(true).await;
    assert!(store.claim(wanted(9)).await.unwrap().is_empty(), "only when it is asked for");
    assert_eq!(store.again("u".to_owned(), id, Again::FailedSince(0), SECOND, None).await.unwrap(), 1);
    let claims = store.claim(wanted(9)).await.unwrap();
    assert_eq!((claims.len(), claims[0].notices[0].notice.dedup_key.as_str()), (1, "missed"));
}
