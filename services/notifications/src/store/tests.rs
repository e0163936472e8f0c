//! The store's promises, on both databases.

use std::collections::BTreeMap;

use pathway_store::testing::Scratch;

use super::*;
use crate::notice::{Action, ChangeKind, State};

pathway_store::suite!(
    a_notice_is_stored_once,
    a_feed_has_no_gaps_under_concurrent_senders,
    read_state_and_count_change_together,
    marking_twice_at_once_counts_once,
    every_change_has_a_higher_number_than_those_before,
    a_later_notice_about_the_same_replaces_the_one_before,
    an_ending_ends_what_is_open_and_a_repeated_one_nothing,
    a_batch_may_tell_and_end_the_same,
    news_are_what_the_store_has,
    an_address_that_was_set_before_it_was_asked_stays_in_use,
    a_secret_is_made_once,
);

fn notice(user: &str, key: &str) -> Notice {
    Notice {
        user_id: user.to_owned(),
        dedup_key: key.to_owned(),
        kind: "reminder".to_owned(),
        title: "Title".to_owned(),
        message: "Message".to_owned(),
        metadata: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
        ..Notice::default()
    }
}

fn about(key: &str, about: &str) -> Notice {
    Notice { about: about.to_owned(), ..notice("u", key) }
}

fn ending(key: &str, state: State) -> Notice {
    Notice { action: Action::End(state), ..about(key, "budget") }
}

fn all(user: &str) -> Listing {
    Listing { user_id: user.to_owned(), after: 0, limit: 1000, which: Which::All }
}

/// What there is of a feed after a change: places, kinds and numbers.
async fn changes(store: &Store, after: i64) -> Vec<(i64, ChangeKind, i64)> {
    let page = store.changes("u".to_owned(), after, 1000).await.unwrap();
    page.notices.iter().map(|stored| (stored.sequence, stored.change_kind, stored.change)).collect()
}

async fn send(store: &Store, notices: Vec<Notice>) -> Vec<Sent> {
    store.send(notices, 1).await.unwrap().sent
}

async fn open(scratch: &Scratch) -> Store {
    Store::open(&scratch.config(), Arc::new(Templates::load().unwrap())).await.unwrap()
}

async fn a_notice_is_stored_once(scratch: &Scratch) {
    let store = open(scratch).await;
    let batch = vec![notice("u", "a"), notice("v", "a"), notice("u", "b"), notice("u", "a")];
    let first = store.send(batch.clone(), 5).await.unwrap().sent;
    let shown: Vec<(i64, bool)> = first.iter().map(|sent| (sent.sequence, sent.is_duplicate)).collect();
    assert_eq!(shown, [(1, false), (1, false), (2, false), (1, true)]);
    assert_eq!(first[0].id, first[3].id);

    let store = open(scratch).await;
    let again = store.send(batch, 6).await.unwrap().sent;
    assert!(again.iter().all(|sent| sent.is_duplicate));
    assert_eq!(
        again.iter().map(|sent| sent.id).collect::<Vec<_>>(),
        first.iter().map(|sent| sent.id).collect::<Vec<_>>()
    );
    let page = store.list(all("u")).await.unwrap();
    assert_eq!((page.notices.len(), page.unread), (2, 2));
    assert_eq!(page.notices[0].notice, notice("u", "a"));
    assert_eq!(page.notices[0].created_at_us, 5);
}

async fn a_feed_has_no_gaps_under_concurrent_senders(scratch: &Scratch) {
    let store = open(scratch).await;
    let senders = (0..6).map(|sender| {
        let store = store.clone();
        tokio::spawn(async move {
            for round in 0..8 {
                // Two users in either order, and a key that all senders race for.
                let mut batch = vec![
                    notice("u", &format!("{sender}-{round}")),
                    notice("v", &format!("{sender}-{round}")),
                    notice("u", &format!("shared-{round}")),
                ];
                if sender % 2 == 0 {
                    batch.reverse();
                }
                store.send(batch, 1).await.unwrap();
            }
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await.unwrap();
    }
    for (user, count) in [("u", 6 * 8 + 8), ("v", 6 * 8)] {
        let page = store.list(all(user)).await.unwrap();
        let sequences: Vec<i64> = page.notices.iter().map(|notice| notice.sequence).collect();
        assert_eq!(sequences, (1..=count).collect::<Vec<i64>>(), "{user}");
        assert_eq!(page.unread, count);
    }
}

async fn read_state_and_count_change_together(scratch: &Scratch) {
    let store = open(scratch).await;
    let sent = send(&store, (0..4).map(|n| notice("u", &n.to_string())).collect()).await;
    let ids: Vec<Uuid> = sent.iter().map(|sent| sent.id).collect();
    let user = || "u".to_owned();
    let mark = async |user: String, ids: Vec<Uuid>, read| {
        let marked = store.mark(user, ids, Mark::Read(read), 2).await.unwrap();
        (marked.known, marked.unread)
    };
    let mark_all = async |user: String, up_to| {
        let marked = store.mark_all(user, up_to, 2, None).await.unwrap();
        (marked.marked, marked.unread)
    };
    assert_eq!(mark(user(), vec![ids[0], ids[0], Uuid::nil()], true).await, (vec![true, true, false], 3));
    assert_eq!(mark("thief".to_owned(), vec![ids[1]], true).await, (vec![false], 0));
    assert_eq!(mark(user(), vec![ids[0]], false).await.1, 4);
    assert_eq!(mark_all(user(), 2).await, (2, 2));
    let unread_only = store.list(Listing { which: Which::Unread, ..all("u") }).await.unwrap();
    let sequences: Vec<i64> = unread_only.notices.iter().map(|notice| notice.sequence).collect();
    assert_eq!((sequences, unread_only.unread), (vec![3, 4], 2));
    assert_eq!(mark_all(user(), i64::MAX).await, (2, 0));
    assert_eq!(mark_all("nobody".to_owned(), i64::MAX).await, (0, 0));
}

async fn marking_twice_at_once_counts_once(scratch: &Scratch) {
    let store = open(scratch).await;
    let sent = send(&store, (0..20).map(|n| notice("u", &n.to_string())).collect()).await;
    let ids: Vec<Uuid> = sent.iter().map(|sent| sent.id).collect();
    let markers = (0..4).map(|marker| {
        let (store, ids) = (store.clone(), ids.clone());
        tokio::spawn(async move {
            for id in ids {
                match marker {
                    0 => drop(store.mark_all("u".to_owned(), 10, 2, None).await.unwrap()),
                    _ => drop(store.mark("u".to_owned(), vec![id], Mark::Read(true), 2).await.unwrap()),
                }
            }
        })
    });
    for marker in markers.collect::<Vec<_>>() {
        marker.await.unwrap();
    }
    assert_eq!(store.list(all("u")).await.unwrap().unread, 0);
}

async fn every_change_has_a_higher_number_than_those_before(scratch: &Scratch) {
    let store = open(scratch).await;
    let sent = send(&store, (0..3).map(|n| notice("u", &n.to_string())).collect()).await;
    let user = || "u".to_owned();
    store.mark(user(), vec![sent[1].id], Mark::Read(true), 2).await.unwrap();
    use ChangeKind::{Archived, Created, Read};
    assert_eq!(changes(&store, 0).await, [(1, Created, 1), (3, Created, 3), (2, Read, 4)]);
    store.mark(user(), vec![sent[0].id], Mark::Archived(true), 3).await.unwrap();
    assert_eq!(changes(&store, 4).await, [(1, Archived, 5)]);
    store.mark_all(user(), i64::MAX, 4, None).await.unwrap();
    let last = changes(&store, 5).await;
    assert_eq!(last.iter().map(|change| (change.0, change.1)).collect::<Vec<_>>(), [(3, Read)]);
    let page = store.changes(user(), last[0].2, 10).await.unwrap();
    assert!(page.notices.is_empty() && page.last_change >= last[0].2);
    // What changes nothing gets no number.
    store.mark_all(user(), i64::MAX, 5, None).await.unwrap();
    store.mark(user(), vec![sent[0].id], Mark::Archived(true), 5).await.unwrap();
    assert_eq!(store.changes(user(), 0, 10).await.unwrap().last_change, page.last_change);
    let inbox = store.list(Listing { which: Which::Inbox, ..all("u") }).await.unwrap();
    assert_eq!(inbox.notices.iter().map(|stored| stored.sequence).collect::<Vec<_>>(), [2, 3]);
}

async fn a_later_notice_about_the_same_replaces_the_one_before(scratch: &Scratch) {
    let store = open(scratch).await;
    send(&store, vec![about("80", "budget"), about("other", "goal")]).await;
    let sent = send(&store, vec![about("100", "budget"), about("80", "budget")]).await;
    assert_eq!((sent[0].ended, sent[1].is_duplicate), (1, true));
    let page = store.list(all("u")).await.unwrap();
    let states: Vec<State> = page.notices.iter().map(|stored| stored.state).collect();
    assert_eq!(states, [State::Replaced, State::Open, State::Open]);
    assert_eq!(page.unread, 2, "nobody need read what was replaced");
    let inbox = store.list(Listing { which: Which::Inbox, ..all("u") }).await.unwrap();
    assert_eq!(inbox.notices.len(), 2);
}

async fn an_ending_ends_what_is_open_and_a_repeated_one_nothing(scratch: &Scratch) {
    let store = open(scratch).await;
    send(&store, vec![about("a", "budget"), about("b", "goal")]).await;
    let ended = send(&store, vec![ending("over", State::Resolved)]).await[0];
    assert_eq!((ended.ended, ended.sequence, ended.is_duplicate), (1, 0, false));
    let again = send(&store, vec![about("c", "budget"), ending("over", State::Resolved)]).await;
    assert_eq!((again[1].ended, again[1].is_duplicate), (1, true), "as it was answered first");
    let page = store.list(all("u")).await.unwrap();
    let states: Vec<State> = page.notices.iter().map(|stored| stored.state).collect();
    assert_eq!((states, page.unread), (vec![State::Resolved, State::Open, State::Open], 2));
    assert!(page.notices[0].is_read);
}

async fn a_batch_may_tell_and_end_the_same(scratch: &Scratch) {
    let store = open(scratch).await;
    let batch =
        vec![about("a", "budget"), about("b", "budget"), ending("x", State::Withdrawn), about("c", "budget")];
    let sent = send(&store, batch).await;
    assert_eq!(
        sent.iter().map(|sent| (sent.sequence, sent.ended)).collect::<Vec<_>>(),
        [(1, 0), (2, 1), (0, 1), (3, 0)]
    );
    use ChangeKind::{Created, Replaced, Withdrawn};
    assert_eq!(changes(&store, 0).await, [(1, Replaced, 2), (2, Withdrawn, 4), (3, Created, 5)]);
    assert_eq!(store.list(all("u")).await.unwrap().unread, 1);
}

async fn news_are_what_the_store_has(scratch: &Scratch) {
    let store = open(scratch).await;
    let mut before = 0;
    let mut told = Vec::new();
    let mut take = |news: News| {
        assert_eq!(news.before, before, "without a gap");
        before = news.last;
        let update = news.update.unwrap();
        told.extend(update.changes.iter().cloned());
        update.unread
    };
    let first =
        store.send(vec![about("a", "budget"), about("b", "budget"), notice("u", "c")], 1).await.unwrap();
    let id = first.sent[2].id;
    first.news.into_iter().for_each(|news| assert_eq!(take(news), 2));
    let marked = store.mark("u".to_owned(), vec![id], Mark::Read(true), 2).await.unwrap();
    assert_eq!(take(marked.news.unwrap()), 1);
    let marked = store.mark_all("u".to_owned(), i64::MAX, 3, None).await.unwrap();
    assert_eq!(take(marked.news.unwrap()), 0);
    let stored = store.list(all("u")).await.unwrap().notices;
    for stored in stored {
        let last = told.iter().rev().find(|told| told.sequence == stored.sequence);
        assert_eq!(last, Some(&stored));
    }
}

async fn an_address_that_was_set_before_it_was_asked_stays_in_use(scratch: &Scratch) {
    let before: Vec<Migration> =
        MIGRATIONS.into_iter().filter(|migration| migration.name != "email").collect();
    let old = Db::open(&scratch.config(), before).await.unwrap();
    let set = "INSERT INTO settings (user_id, locale, time_zone, email, shows_amounts) VALUES ($1, 'en', 'UTC', $2, 0)";
    let keys: [[Val; 2]; 2] = [["u".into(), "u@example.com".into()], ["v".into(), "".into()]];
    old.write(move |tx| tx.execute_many(set, &keys)).await.unwrap();
    drop(old);

    let store = open(scratch).await;
    for (user, is_confirmed) in [("u", true), ("v", false), ("w", false)] {
        let preferences = store.preferences(user.to_owned()).await.unwrap();
        assert_eq!(preferences.is_email_confirmed, is_confirmed, "{user}");
    }
}

async fn a_secret_is_made_once(scratch: &Scratch) {
    let (here, there) = (open(scratch).await, open(scratch).await);
    let (one, other) = tokio::join!(here.secret(vec![1; 32]), there.secret(vec![2; 32]));
    assert_eq!(one.unwrap(), other.unwrap());
}
