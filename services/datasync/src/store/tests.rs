//! The store's promises, on both databases.

use pathway_finance::{CivilDate, Currency, LineKind, Money};
use pathway_store::testing::Scratch;

use super::*;
use crate::records::{Content, Identity, Position};

pathway_store::suite!(
    a_redelivery_after_the_commit_is_answered_with_its_change,
    a_redelivery_that_had_changed_nothing_is_answered_the_record_of_then,
    sequences_follow_commits_under_concurrent_writers,
    a_listing_goes_on_where_the_page_before_ended,
    the_feed_skips_what_is_filtered,
    g14_other_money_under_a_known_name_is_set_apart,
    g16_g17_what_was_posted_keeps_both_names_over_a_restart,
    g10_a_split_is_one_commit_and_follows_its_line,
    g09_transfers_are_paired_once_and_stay_apart_when_taken_apart,
);

fn content(minor: i64, day: i64) -> Content {
    Content {
        kind: LineKind::Expense,
        amount: Money::new(minor, Currency::parse("USD").unwrap()),
        category: if minor % 2 == 0 { "even" } else { "odd" }.to_owned(),
        date: CivilDate::from_epoch_days(day).unwrap(),
        merchant: String::new(),
        description: String::new(),
        occurred_at_us: 0,
        account: String::new(),
        pending: false,
    }
}

fn identity(user: &str, source: &str, key: &str) -> Arc<Identity> {
    let [user_id, source, account, key] = [user, source, "", key].map(str::to_owned);
    Arc::new(Identity { user_id, source, account, key })
}

fn write(key: &str, content: Option<Content>, offset: Option<i64>) -> Write {
    let position = offset.map(|offset| Position { epoch: "log".to_owned(), partition: 3, offset });
    Write { identity: identity("u", "event", key), content, position, origin: Origin::Live, replaces: None }
}

async fn open(scratch: &Scratch) -> Store {
    Store::open(&scratch.config()).await.unwrap()
}

async fn a_redelivery_after_the_commit_is_answered_with_its_change(scratch: &Scratch) {
    let store = open(scratch).await;
    let first = vec![write("a", Some(content(100, 1)), Some(7)), write("b", Some(content(1, 1)), Some(8))];
    let second = vec![
        write("a", Some(content(150, 1)), Some(9)),
        write("a", Some(content(150, 1)), Some(10)),
        write("b", None, Some(11)),
    ];
    let answers =
        [store.write(first.clone(), 1).await.unwrap(), store.write(second.clone(), 2).await.unwrap()];
    assert_eq!(answers[1][0].change.as_ref().unwrap().before.as_ref().unwrap().content, content(100, 1));
    assert_eq!(answers[1][1].change, None);

    let store = open(scratch).await;
    assert_eq!(store.write(first.clone(), 3).await.unwrap(), answers[0]);
    assert_eq!(store.write(second, 4).await.unwrap(), answers[1]);
    assert_eq!(store.head().await.unwrap(), 4);

    // Another event of equal content changes nothing; one of other content is a correction.
    let republished = store.write(vec![write("a", Some(content(150, 1)), Some(12))], 5).await.unwrap();
    assert_eq!(republished[0].change, None);
    let corrected = store.write(vec![write("a", Some(content(100, 1)), Some(13))], 6).await.unwrap();
    assert_eq!(corrected[0].change.as_ref().unwrap().after.version, 3);
    let unpositioned = store.write(vec![write("a", Some(content(1, 1)), None)], 7).await.unwrap();
    let change = unpositioned[0].change.as_ref().unwrap();
    assert_eq!((change.sequence, change.after.version), (6, 4));
    assert_eq!(store.versions("u", change.after.id, 0, 10).await.unwrap().len(), 4);
    assert_eq!(store.versions("other", change.after.id, 0, 10).await.unwrap().len(), 0);
}

async fn a_redelivery_that_had_changed_nothing_is_answered_the_record_of_then(scratch: &Scratch) {
    let store = open(scratch).await;
    // A removal of what is not there, a creation, a copy of it, a correction, a copy of that.
    let batch = vec![
        write("a", None, Some(0)),
        write("a", Some(content(100, 1)), Some(1)),
        write("a", Some(content(100, 1)), Some(2)),
        write("a", Some(content(150, 1)), Some(3)),
        write("a", Some(content(150, 1)), Some(4)),
    ];
    let first = store.write(batch.clone(), 1).await.unwrap();
    let versions: Vec<Option<i64>> =
        first.iter().map(|outcome| outcome.record.as_ref().map(|record| record.version)).collect();
    assert_eq!(versions, [None, Some(1), Some(1), Some(2), Some(2)]);
    assert_eq!(
        store.write(batch.clone(), 2).await.unwrap(),
        first,
        "a later version is a later event's to tell"
    );
    for (write, outcome) in batch.into_iter().zip(first) {
        assert_eq!(store.write(vec![write], 3).await.unwrap(), [outcome], "alone as well");
    }
}

async fn sequences_follow_commits_under_concurrent_writers(scratch: &Scratch) {
    const WRITERS: i64 = 6;
    const ROUNDS: i64 = 8;
    let store = open(scratch).await;
    let writer = |number: i64| {
        let store = store.clone();
        async move {
            for round in 0..ROUNDS {
                let batch = || {
                    vec![
                        write(&format!("own-{number}-{round}"), Some(content(1, 1)), None),
                        write("shared", Some(content(number * 100 + round, 1)), None),
                    ]
                };
                // Whoever loses a race too often is told so, and comes again.
                while let Err(error) = store.write(batch(), 1).await {
                    assert!(
                        matches!(&error, DatasyncError::Store(error) if error.is_transient()),
                        "{error:?}"
                    );
                }
            }
        }
    };
    let writers: Vec<_> = (1..=WRITERS).map(|number| tokio::spawn(writer(number))).collect();
    // Reads while they write: a page that reaches a sequence must have all below it.
    let mut seen = Vec::new();
    let mut after = 0;
    while seen.len() < usize::try_from(WRITERS * ROUNDS * 2).unwrap() {
        let page = store.changes(after, 10, None).await.unwrap();
        after = page.next;
        seen.extend(page.changes.iter().map(|change| change.sequence));
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(seen, (1..=WRITERS * ROUNDS * 2).collect::<Vec<_>>());
}

async fn a_listing_goes_on_where_the_page_before_ended(scratch: &Scratch) {
    let store = open(scratch).await;
    let mut batch: Vec<Write> =
        (0..9).map(|n| write(&format!("k{n}"), Some(content(n, 10 + n / 3)), None)).collect();
    batch.push(write("k4", None, None));
    store.write(batch, 1).await.unwrap();
    let listing = |category: Option<&str>, show_deleted| Listing {
        user_id: "u".to_owned(),
        category: category.map(str::to_owned),
        show_deleted,
        after: None,
        limit: 2,
    };
    for (category, show_deleted, expected) in [(None, false, 8), (None, true, 9), (Some("even"), false, 4)] {
        let (mut listing, mut days) = (listing(category, show_deleted), Vec::new());
        loop {
            let page = store.list(&listing).await.unwrap();
            let Some(last) = page.last() else { break };
            listing.after = Some(Place { day: last.content.date.epoch_days(), id: last.id });
            days.extend(page.iter().map(|record| record.content.date));
        }
        assert_eq!(days.len(), expected);
        assert!(days.is_sorted_by(|a, b| a >= b));
    }
}

async fn the_feed_skips_what_is_filtered(scratch: &Scratch) {
    let store = open(scratch).await;
    let history = Write { origin: Origin::History, ..write("h", Some(content(1, 1)), None) };
    let batch = vec![write("a", Some(content(1, 1)), None), history, write("b", Some(content(1, 1)), None)];
    store.write(batch, 1).await.unwrap();
    let page = store.changes(0, 10, Some(Origin::History)).await.unwrap();
    assert_eq!((page.changes.len(), page.changes[0].sequence, page.next), (1, 2, 3));
    let full = store.changes(0, 1, Some(Origin::Live)).await.unwrap();
    assert_eq!((full.changes.len(), full.next), (1, 1));
    let beyond = store.changes(4, 10, None).await.unwrap_err();
    assert!(matches!(beyond, DatasyncError::CursorBeyondFeed { after: 4, head: 3 }));
}

async fn g14_other_money_under_a_known_name_is_set_apart(scratch: &Scratch) {
    let store = open(scratch).await;
    let line = |key: &str, minor: i64, day: i64| Line {
        identity: identity("u", "ofx", key),
        named_by_provider: true,
        content: content(minor, day),
    };
    let imported =
        |added, unchanged, quarantined, sequence| Imported { added, unchanged, quarantined, sequence };
    let first = store.import(vec![line("1", 100, 1), line("2", 200, 1), line("1", 100, 1)], 1).await.unwrap();
    assert_eq!(first, imported(2, 1, 0, 2));
    store.write(vec![write("live", Some(content(1, 1)), None)], 1).await.unwrap();
    assert_eq!(store.import(vec![line("1", 100, 1)], 1).await.unwrap(), imported(0, 1, 0, 2));
    let second = vec![line("1", 999, 1), line("2", 200, 2), line("3", 1, 1)];
    assert_eq!(store.import(second.clone(), 2).await.unwrap(), imported(1, 0, 2, 4));
    assert_eq!(store.import(second, 3).await.unwrap(), imported(0, 1, 2, 4));
    let apart =
        store.0.query("SELECT line_key, minor, day FROM quarantine ORDER BY line_key", vec![]).await.unwrap();
    let apart: Vec<_> = apart.iter().map(|row| (row.i64(1).unwrap(), row.i64(2).unwrap())).collect();
    assert_eq!(apart, [(999, 1), (200, 2)]);
    let changes = store.changes(0, 10, Some(Origin::History)).await.unwrap().changes;
    assert_eq!(changes[0].after.content, content(100, 1));
}

/// A write without a place in a log, of an account.
fn held(key: &str, account: &str, content: Content, replaces: Option<&str>) -> Write {
    let content = Content { account: account.to_owned(), ..content };
    let replaces = replaces.map(|key| identity("u", "event", key));
    Write { replaces, ..write(key, Some(content), None) }
}

async fn g16_g17_what_was_posted_keeps_both_names_over_a_restart(scratch: &Scratch) {
    let store = open(scratch).await;
    let pending = Content { pending: true, ..content(100, 1) };
    let first = store.write(vec![held("p", "card", pending.clone(), None)], 1).await.unwrap();
    let posted = held("q", "card", content(121, 2), Some("p"));
    let second = store.write(vec![posted.clone()], 2).await.unwrap();
    let (before, after) = (first[0].record.clone().unwrap(), second[0].record.clone().unwrap());
    assert_eq!((before.id, after.version, &*after.content.category), (after.id, 2, "even"));

    let store = open(scratch).await;
    assert_eq!(store.write(vec![posted], 3).await.unwrap()[0].change, None);
    let late = vec![held("p", "card", pending, None), write("p", None, None)];
    assert!(store.write(late, 4).await.unwrap().iter().all(|outcome| outcome.change.is_none()));
    let gone = store.write(vec![write("q", None, None)], 5).await.unwrap();
    assert_eq!(gone[0].record.as_ref().map(|record| (record.id, record.deleted)), Some((after.id, true)));
}

async fn g10_a_split_is_one_commit_and_follows_its_line(scratch: &Scratch) {
    let store = open(scratch).await;
    let line = store.write(vec![held("a", "card", content(100, 1), None)], 1).await.unwrap();
    let id = line[0].record.as_ref().unwrap().id;
    let part = |minor, category: &str| Part {
        amount: Money::new(minor, Currency::parse("USD").unwrap()),
        category: category.to_owned(),
        description: String::new(),
    };
    let user = || "u".to_owned();
    let stranger = store.split("other".to_owned(), id, vec![part(60, "x"), part(40, "y")], 2).await;
    assert!(matches!(stranger, Err(DatasyncError::Link(crate::error::LinkError::Unknown))));
    let tied = store.split(user(), id, vec![part(60, "x"), part(40, "y")], 2).await.unwrap();
    let amounts: Vec<i64> = tied.records.iter().map(|record| record.content.amount.minor()).collect();
    assert_eq!((amounts, tied.sequence), (vec![100, 60, 40], 4));
    assert_eq!(tied.records[1].links.split_of, Some(id));
    // The line moves; so do its parts, in the same commit.
    store.write(vec![held("a", "card", content(100, 9), None)], 3).await.unwrap();
    let page = store.changes(4, 10, None).await.unwrap();
    let moved: Vec<i64> = page.changes.iter().map(|change| change.after.content.date.epoch_days()).collect();
    assert_eq!(moved, [9, 9, 9]);
    // Its money changes; it is whole again.
    store.write(vec![held("a", "card", content(102, 9), None)], 4).await.unwrap();
    let standing = Listing { user_id: user(), category: None, show_deleted: false, after: None, limit: 10 };
    let records = store.list(&standing).await.unwrap();
    assert_eq!((records.len(), records[0].links.is_split), (1, false));
}

async fn g09_transfers_are_paired_once_and_stay_apart_when_taken_apart(scratch: &Scratch) {
    let store = open(scratch).await;
    let income = |minor, day| Content { kind: LineKind::Income, ..content(minor, day) };
    let lines = vec![
        held("out", "checking", content(500, 1), None),
        held("in", "savings", income(500, 3), None),
        held("twice", "checking", content(700, 1), None),
        held("one", "savings", income(700, 2), None),
        held("two", "card", income(700, 2), None),
    ];
    let written = store.write(lines, 1).await.unwrap();
    let id = |index: usize| written[index].record.as_ref().unwrap().id;
    let day = |days| CivilDate::from_epoch_days(days).unwrap();
    let period = Period::new(day(0), day(30)).unwrap();
    let paired = store.pair_all("u".to_owned(), period, 2).await.unwrap();
    let pairs: Vec<[Uuid; 2]> = paired.pairs.iter().map(|pair| pair.clone().map(|leg| leg.id)).collect();
    assert_eq!(pairs, [[id(0), id(1)]]);
    assert_eq!((paired.ties.len(), paired.ties[0].len(), paired.sequence), (1, 3, 7));
    assert!(store.pair_all("u".to_owned(), period, 3).await.unwrap().pairs.is_empty(), "once");
    store.pair("u".to_owned(), [id(3), id(2)], 4).await.unwrap();
    let apart = store.unpair("u".to_owned(), id(1), 5).await.unwrap();
    assert_eq!(apart.records.iter().map(|record| record.id).collect::<Vec<_>>(), [id(1), id(0)]);
    assert!(store.pair_all("u".to_owned(), period, 6).await.unwrap().pairs.is_empty(), "it stays apart");
    store.pair("u".to_owned(), [id(0), id(1)], 7).await.unwrap();
}
