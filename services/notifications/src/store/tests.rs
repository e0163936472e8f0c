//! The store's promises, on both databases.

use pathway_store::testing::Scratch;

use super::*;

pathway_store::suite!(
    a_notice_is_stored_once,
    a_feed_has_no_gaps_under_concurrent_senders,
    read_state_and_count_change_together,
    marking_twice_at_once_counts_once,
);

fn notice(user: &str, key: &str) -> Notice {
    Notice {
        user_id: user.to_owned(),
        dedup_key: key.to_owned(),
        kind: "reminder".to_owned(),
        title: "Title".to_owned(),
        message: "Message".to_owned(),
        metadata: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
    }
}

fn all(user: &str) -> Listing {
    Listing { user_id: user.to_owned(), after: 0, limit: 1000, unread_only: false }
}

async fn open(scratch: &Scratch) -> Store {
    Store::open(&scratch.config()).await.unwrap()
}

async fn a_notice_is_stored_once(scratch: &Scratch) {
    let store = open(scratch).await;
    let batch = vec![notice("u", "a"), notice("v", "a"), notice("u", "b"), notice("u", "a")];
    let first = store.send(batch.clone(), 5).await.unwrap();
    let shown: Vec<(i64, bool)> = first.iter().map(|sent| (sent.sequence, sent.duplicate)).collect();
    assert_eq!(shown, [(1, false), (1, false), (2, false), (1, true)]);
    assert_eq!(first[0].id, first[3].id);

    let store = open(scratch).await;
    let again = store.send(batch, 6).await.unwrap();
    assert!(again.iter().all(|sent| sent.duplicate));
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
    let sent = store.send((0..4).map(|n| notice("u", &n.to_string())).collect(), 1).await.unwrap();
    let ids: Vec<Uuid> = sent.iter().map(|sent| sent.id).collect();
    let user = || "u".to_owned();
    let (known, unread) = store.mark(user(), vec![ids[0], ids[0], Uuid::nil()], true).await.unwrap();
    assert_eq!((known, unread), (vec![true, true, false], 3));
    assert_eq!(store.mark("thief".to_owned(), vec![ids[1]], true).await.unwrap(), (vec![false], 0));
    assert_eq!(store.mark(user(), vec![ids[0]], false).await.unwrap().1, 4);
    assert_eq!(store.mark_all(user(), 2).await.unwrap(), (2, 2));
    let unread_only = store.list(Listing { unread_only: true, ..all("u") }).await.unwrap();
    let sequences: Vec<i64> = unread_only.notices.iter().map(|notice| notice.sequence).collect();
    assert_eq!((sequences, unread_only.unread), (vec![3, 4], 2));
    assert_eq!(store.mark_all(user(), i64::MAX).await.unwrap(), (2, 0));
    assert_eq!(store.mark_all("nobody".to_owned(), i64::MAX).await.unwrap(), (0, 0));
}

async fn marking_twice_at_once_counts_once(scratch: &Scratch) {
    let store = open(scratch).await;
    let sent = store.send((0..20).map(|n| notice("u", &n.to_string())).collect(), 1).await.unwrap();
    let ids: Vec<Uuid> = sent.iter().map(|sent| sent.id).collect();
    let markers = (0..4).map(|marker| {
        let (store, ids) = (store.clone(), ids.clone());
        tokio::spawn(async move {
            for id in ids {
                match marker {
                    0 => drop(store.mark_all("u".to_owned(), 10).await.unwrap()),
                    _ => drop(store.mark("u".to_owned(), vec![id], true).await.unwrap()),
                }
            }
        })
    });
    for marker in markers.collect::<Vec<_>>() {
        marker.await.unwrap();
    }
    assert_eq!(store.list(all("u")).await.unwrap().unread, 0);
}
