//! Rebuilds, on both databases. Each step is taken by a store that was opened for it, as after a crash.

use pathway_finance::{CivilDate, Currency, LineKind, Money, Period, PeriodKind};
use pathway_store::testing::Scratch;

use super::super::{
    Budget, ClosedPeriod, ClosedQuestion, InsightFilter, NewBudgets, NewLimit, RulesPatch, Scope, Spending,
    Told,
};
use super::*;
use crate::fact::{Fact, Line};
use crate::subject::State;

pathway_store::suite!(
    corrupted_figures_become_what_the_records_say_and_nobody_is_told,
    g19_a_rebuild_equals_the_figures_of_any_history,
    what_comes_meanwhile_is_neither_lost_nor_silenced,
    there_is_one_rebuild_at_a_time,
);

/// 2026-11-24, noon in UTC.
const NOW: i64 = 1_795_521_600_000_000;
const DAY_US: i64 = 86_400_000_000;

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::parse("USD").unwrap())
}

/// A change of `u`, as it is applied and as the feed has it a day later.
fn read(record: u128, version: i64, minor: i64, day: &str, is_live: bool) -> Read {
    let line = (minor != 0).then(|| Line {
        kind: LineKind::Expense,
        amount: usd(minor),
        category: "dining".to_owned(),
        day: CivilDate::parse(day).unwrap(),
        merchant: "Cafe".to_owned(),
        account: String::new(),
    });
    let fact = Fact { user_id: "u".to_owned(), version, line };
    Read {
        change: Change { record_id: Uuid::from_u128(record), fact, is_live },
        changed_at_us: NOW - 2 * DAY_US,
    }
}

async fn open(scratch: &Scratch) -> Store {
    Store::open(&scratch.config()).await.unwrap()
}

async fn apply(store: &Store, feed: &[Read]) -> Vec<usize> {
    let changes = feed.iter().map(|read| read.change.clone()).collect();
    let applied = store.apply(changes, NOW).await.unwrap();
    applied.into_iter().map(|applied| applied.unwrap().len()).collect()
}

async fn set_budget(store: &Store, now_us: i64) {
    let limits =
        vec![NewLimit { name: "dining".to_owned(), limit: usd(10_000), rules: RulesPatch::default() }];
    let user_id = "u".to_owned();
    let new = NewBudgets { user_id, limits, kind: PeriodKind::MONTH, has_start: false, zone: None };
    store.set_budgets(new, now_us).await.unwrap();
}

async fn rebuilt(scratch: &Scratch, user_id: Option<&str>, feed: &[Read]) {
    open(scratch).await.begin_rebuild(user_id.map(str::to_owned), String::new(), NOW).await.unwrap();
    let mut next = 0;
    for page in feed.chunks(3) {
        let store = open(scratch).await;
        let of = store.running_rebuild().await.unwrap().unwrap();
        next += i64::try_from(page.len()).unwrap();
        store.keep_read(of.clone(), page.to_vec(), next).await.unwrap();
        // Another process has read the same.
        store.keep_read(of, page.to_vec(), next).await.unwrap();
    }
    let of = open(scratch).await.running_rebuild().await.unwrap().unwrap();
    assert_eq!((of.sequence, of.changes_read), (next, next));
    open(scratch).await.begin_swap(of.clone()).await.unwrap();
    open(scratch).await.begin_swap(of.clone()).await.unwrap();
    while let Some((user_id, sequence)) = open(scratch).await.next_rebuilt().await.unwrap() {
        assert!(open(scratch).await.swap(of.number, user_id, sequence, NOW).await.unwrap());
    }
    open(scratch).await.end_rebuild(of.number, NOW).await.unwrap();
    let ended = open(scratch).await.rebuild(0).await.unwrap().unwrap();
    assert_eq!((ended.state, ended.users_done), (RebuildState::Done, ended.users_total));
}

/// All that is answered about `u`.
async fn answered(store: &Store) -> (Vec<Spending>, Vec<Budget>, Vec<ClosedPeriod>, Vec<Told>) {
    let mut spending = Vec::new();
    for period in ["2026-09", "2026-10", "2026-11"] {
        let period = Period::parse(period).unwrap();
        let scope = Scope { user_id: "u".to_owned(), period, currency: None };
        spending.push(store.spending(scope, usd(0).currency()).await.unwrap());
    }
    let budgets = store.budgets("u".to_owned(), NOW).await.unwrap();
    let span = Period::parse("2026").unwrap();
    let closed = ClosedQuestion { user_id: "u".to_owned(), name: None, span, limit: 100 };
    let filter = InsightFilter {
        user_id: "u".to_owned(),
        kind: None,
        days: None,
        state: None,
        after: None,
        limit: 100,
    };
    (spending, budgets, store.closed(closed).await.unwrap(), store.insights(filter).await.unwrap())
}

async fn corrupt(store: &Store, sql: &'static str) {
    let done = store.db.write(move |tx| tx.execute(sql, &[]).map_err(AnalyticsError::from)).await;
    assert!(done.unwrap() > 0, "{sql}");
}

async fn corrupted_figures_become_what_the_records_say_and_nobody_is_told(scratch: &Scratch) {
    let store = open(scratch).await;
    set_budget(&store, NOW - 60 * DAY_US).await;
    let feed = vec![
        read(1, 1, 2_000, "2026-10-10", false),
        read(2, 1, 8_500, "2026-11-10", true),
        read(3, 1, 100, "2026-11-11", true),
        read(3, 2, 0, "2026-11-11", true),
        read(4, 1, 300, "2026-11-12", true),
    ];
    assert_eq!(apply(&store, &feed).await, [0, 1, 0, 0, 0], "80 % was told");
    store.close_due(10, NOW).await.unwrap();
    let late = read(5, 1, 500, "2026-10-12", true);
    apply(&store, std::slice::from_ref(&late)).await;
    let key = answered(&store).await.3[0].insight.dedup_key.clone();
    store.set_state("u".to_owned(), key, State::Dismissed).await.unwrap();
    let feed = [feed, vec![late]].concat();
    let right = answered(&store).await;
    assert_eq!((right.2[0].revision, right.3.len()), (3, 1), "two late lines");

    // A line that no record has.
    apply(&store, &[read(9, 1, 1, "2026-11-13", false)]).await;
    for sql in [
        "UPDATE day_totals SET gross = gross + 77700",
        "UPDATE lifetime_totals SET gross = 1",
        "UPDATE facts SET minor = 1 WHERE minor = 300",
        "DELETE FROM facts WHERE minor = 2000",
    ] {
        corrupt(&store, sql).await;
    }
    assert_ne!(answered(&store).await.0, right.0);
    for user_id in [Some("u"), None] {
        rebuilt(scratch, user_id, &feed).await;
        assert_eq!(answered(&store).await, right);
        assert!(store.outgoing(10).await.unwrap().is_empty());
    }
    assert_eq!(apply(&store, &feed).await, [0, 1, 0, 0, 0, 0], "a change that comes again has its answer");
    assert_eq!(answered(&store).await, right);
    assert_eq!(apply(&store, &[read(6, 1, 10, "2026-11-20", true)]).await, [0], "80 % has fired");
    assert_eq!(apply(&store, &[read(7, 1, 9_000, "2026-11-20", true)]).await.len(), 1);
    assert_eq!(answered(&store).await.1[0].standing.spent.net(), 8_500 + 300 + 10 + 9_000);
}

/// Edits, deletions and repetitions by chance; the figures were right, so nothing may move.
async fn g19_a_rebuild_equals_the_figures_of_any_history(scratch: &Scratch) {
    let store = open(scratch).await;
    set_budget(&store, NOW - 90 * DAY_US).await;
    let mut state = 11_u64;
    let mut drawn = |below: u64| {
        // The constants of Knuth's generator.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((state >> 33) % below).unwrap()
    };
    let (mut versions, mut feed) = ([0_i64; 20], Vec::new());
    for _ in 0..120 {
        let record = usize::try_from(drawn(20)).unwrap();
        versions[record] += 1;
        let day = format!("2026-{:02}-{:02}", 9 + drawn(3), 1 + drawn(23));
        let minor = if drawn(6) == 0 { 0 } else { drawn(4_000) - 500 };
        feed.push(read(u128::try_from(record).unwrap() + 1, versions[record], minor, &day, drawn(2) == 0));
    }
    for part in feed.chunks(7) {
        apply(&store, part).await;
        apply(&store, part).await;
    }
    store.close_due(10, NOW).await.unwrap();
    let right = answered(&store).await;
    rebuilt(scratch, None, &feed).await;
    assert_eq!(answered(&store).await, right);
    corrupt(&store, "DELETE FROM day_totals").await;
    corrupt(&store, "DELETE FROM facts").await;
    rebuilt(scratch, None, &feed).await;
    assert_eq!(answered(&store).await, right);
}

async fn what_comes_meanwhile_is_neither_lost_nor_silenced(scratch: &Scratch) {
    let store = open(scratch).await;
    set_budget(&store, NOW).await;
    let first = read(1, 1, 5_000, "2026-11-10", true);
    apply(&store, std::slice::from_ref(&first)).await;
    let rebuild = store.begin_rebuild(None, String::new(), NOW).await.unwrap();
    // One is written, and on its way with its alert.
    let coming = Read { changed_at_us: NOW - 1, ..read(2, 1, 3_500, "2026-11-11", true) };
    store.keep_read(rebuild.clone(), vec![first, coming.clone()], 2).await.unwrap();
    store.begin_swap(rebuild.clone()).await.unwrap();
    let (user_id, sequence) = store.next_rebuilt().await.unwrap().unwrap();
    // Another one is applied, and was not read.
    let later = read(3, 1, 100, "2026-11-12", true);
    apply(&store, std::slice::from_ref(&later)).await;
    let before = answered(&store).await;
    assert!(!store.swap(rebuild.number, user_id.clone(), sequence, NOW).await.unwrap(), "it would be lost");
    assert_eq!(answered(&store).await, before);
    let of = store.running_rebuild().await.unwrap().unwrap();
    let (_, sequence) = store.next_rebuilt().await.unwrap().unwrap();
    store.keep_read(of, vec![later], 3).await.unwrap();
    assert!(store.swap(rebuild.number, user_id, sequence, NOW).await.unwrap());
    assert_eq!(answered(&store).await, before, "what is on its way is not counted yet");
    assert_eq!(store.next_rebuilt().await.unwrap(), None);
    store.end_rebuild(rebuild.number, NOW).await.unwrap();
    assert_eq!(apply(&store, &[coming]).await, [1], "it comes, and is told");
    assert_eq!(answered(&store).await.1[0].standing.spent.net(), 8_600);
}

async fn there_is_one_rebuild_at_a_time(scratch: &Scratch) {
    let store = open(scratch).await;
    assert_eq!(store.rebuild(0).await.unwrap(), None);
    let begin = |user_id: Option<&str>, request_id: &str| {
        store.begin_rebuild(user_id.map(str::to_owned), request_id.to_owned(), NOW)
    };
    let one = begin(Some("u"), "a").await.unwrap();
    assert_eq!((one.number, one.state), (1, RebuildState::Reading));
    assert_eq!(begin(Some("u"), "a").await.unwrap(), one, "the same request");
    assert!(matches!(begin(None, "a").await, Err(AnalyticsError::Store(StoreError::RequestIdReused))));
    assert!(matches!(begin(None, "b").await, Err(AnalyticsError::RebuildRunning)));
    store.begin_swap(one.clone()).await.unwrap();
    assert!(matches!(begin(None, "b").await, Err(AnalyticsError::RebuildRunning)));
    store.end_rebuild(one.number, NOW + 5).await.unwrap();
    let done = store.rebuild(1).await.unwrap().unwrap();
    assert_eq!((done.state, done.ended_at_us), (RebuildState::Done, NOW + 5));
    let two = begin(None, "b").await.unwrap();
    assert_eq!((two.number, two.users_total), (2, 0));
    assert_eq!(store.rebuild(0).await.unwrap(), Some(two));
}
