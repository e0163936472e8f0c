//! What is told, found, followed and compared, on both databases.

use std::collections::BTreeSet;

use pathway_finance::{CivilDate, Currency, LineKind, Money, Period, Totals};
use pathway_store::testing::Scratch;

use uuid::Uuid;

use super::*;
use crate::fact::{Fact, Line};
use crate::recurring::scan;
use crate::subject::{State, Subject};
use crate::summary::{TrendQuestion, Wanted};
use crate::watch::Look;

pathway_store::suite!(
    what_is_told_is_kept_listed_and_expected,
    a_series_is_found_and_what_it_tells_waits_in_the_outbox_once,
    what_is_touched_is_noted_while_somebody_follows,
    users_are_looked_at_in_turn,
    trends_and_summaries_add_up_to_the_same_lines,
);

/// 2026-11-24, noon in UTC.
const NOW: i64 = 1_795_521_600_000_000;
const DAY_US: i64 = 86_400_000_000;

fn day(text: &str) -> CivilDate {
    CivilDate::parse(text).unwrap()
}

fn usd() -> Currency {
    rows::currency("USD").unwrap()
}

fn line(record: u128, minor: i64, category: &str, date: &str) -> Change {
    let line = Line {
        kind: if category == "pay" { LineKind::Income } else { LineKind::Expense },
        amount: Money::new(minor, usd()),
        category: category.to_owned(),
        day: day(date),
        merchant: format!("{category} {record}"),
        account: String::new(),
    };
    let fact = Fact { user_id: "u".to_owned(), version: 1, line: Some(line) };
    Change { record_id: Uuid::from_u128(record), fact, is_live: true }
}

fn scope(period: &str) -> Scope {
    Scope { user_id: "u".to_owned(), period: Period::parse(period).unwrap(), currency: None }
}

fn filter() -> InsightFilter {
    InsightFilter { user_id: "u".to_owned(), kind: None, days: None, state: None, after: None, limit: 10 }
}

async fn open(scratch: &Scratch) -> Store {
    Store::open(&scratch.config()).await.unwrap()
}

async fn what_is_told_is_kept_listed_and_expected(scratch: &Scratch) {
    let store = open(scratch).await;
    let habit =
        (1..=10).map(|record| line(record, 1000 + 10 * i64::try_from(record).unwrap(), "cafe", "2026-11-02"));
    store.apply(habit.collect(), NOW).await.unwrap();
    store.apply(vec![line(20, 5000, "cafe", "2026-11-20")], NOW).await.unwrap();
    let key = |record| format!("anomaly:{}", Uuid::from_u128(record));
    let set = store.set_state("u".to_owned(), key(20), State::Expected).await.unwrap().unwrap();
    assert_eq!(set.state, State::Expected);
    let again = store.apply(vec![line(21, 5400, "cafe", "2026-11-20")], NOW).await.unwrap();
    assert!(again[0].as_ref().unwrap().is_empty(), "its like is expected");
    let more = store.apply(vec![line(22, 9000, "cafe", "2026-11-21")], NOW + 1).await.unwrap();
    assert_eq!(more[0].as_ref().unwrap().len(), 1, "this is more");

    let listed = store.insights(filter()).await.unwrap();
    let keys: Vec<&str> = listed.iter().map(|told| told.insight.dedup_key.as_str()).collect();
    assert_eq!(keys, [key(22), key(20)]);
    let after = Seen { created_at_us: NOW + 1, key: key(22) };
    let rest = store.insights(InsightFilter { after: Some(after), ..filter() }).await.unwrap();
    assert_eq!(rest, listed[1..]);
    let days = Some(Period::parse("2026-11-21..2026-11-22").unwrap());
    assert_eq!(store.insights(InsightFilter { days, ..filter() }).await.unwrap(), listed[..1]);
    let expected = InsightFilter { state: Some(State::Expected), ..filter() };
    assert_eq!(store.insights(expected).await.unwrap(), [set]);
    assert_eq!(store.set_state("v".to_owned(), key(20), State::Open).await.unwrap(), None);

    let Subject::Purchase(purchase) = &listed[1].insight.subject else { panic!("a purchase") };
    let compared = store.compared("u".to_owned(), purchase.clone()).await.unwrap();
    assert_eq!((compared.len(), compared[0].record_id), (11, Uuid::from_u128(20)));
}

async fn a_series_is_found_and_what_it_tells_waits_in_the_outbox_once(scratch: &Scratch) {
    let store = open(scratch).await;
    let lines = [(1, "2026-08-20"), (2, "2026-09-20"), (3, "2026-10-20")];
    store.apply(lines.map(|(record, date)| line(record, 999, "film", date)).to_vec(), NOW).await.unwrap();
    let user = || "u".to_owned();
    assert_eq!(store.to_scan(NOW, 10).await.unwrap(), ["u"]);
    let look = async |now_us| {
        let looked = store.load_scan(user(), now_us).await.unwrap().unwrap();
        (looked.sequence, scan("u", looked.lines, &looked.known, looked.today))
    };
    let (sequence, found) = look(NOW - 4 * DAY_US).await;
    assert_eq!(store.store_scan(user(), sequence, found.clone(), NOW).await.unwrap(), Some(0));
    assert!(store.to_scan(NOW, 10).await.unwrap().is_empty());
    store.apply(vec![line(9, 5, "other", "2026-11-01")], NOW).await.unwrap();
    assert_eq!(store.store_scan(user(), sequence, found, NOW).await.unwrap(), None, "the user has changed");

    // The fourth was expected on 2026-11-20.
    assert_eq!(store.to_scan(NOW + 10 * DAY_US, 10).await.unwrap(), ["u"]);
    let (sequence, missed) = look(NOW + 10 * DAY_US).await;
    assert_eq!(store.store_scan(user(), sequence, missed.clone(), NOW).await.unwrap(), Some(1));
    assert_eq!(store.store_scan(user(), sequence, missed, NOW).await.unwrap(), Some(0), "told once");
    let waiting = store.outgoing(10).await.unwrap();
    assert_eq!(waiting[0].dedup_key, "recurring_missed:USD:1:film:2026-11-20");
    store.delivered(vec![(user(), waiting[0].dedup_key.clone())]).await.unwrap();
    assert!(store.outgoing(10).await.unwrap().is_empty());
    let question = SeriesQuestion { user_id: user(), after: None, limit: 10 };
    let series = store.recurring(question.clone()).await.unwrap();
    assert_eq!((series.len(), series[0].is_settled, series[0].lines.len()), (1, true, 3));
    let place = SeriesPlace { next_day: series[0].next.epoch_days(), key: series[0].key.clone() };
    assert!(store.recurring(SeriesQuestion { after: Some(place), ..question }).await.unwrap().is_empty());
}

async fn users_are_looked_at_in_turn(scratch: &Scratch) {
    let store = open(scratch).await;
    let of = |user: &str, record: u128| {
        let mut change = line(record, 100, "film", "2026-11-01");
        user.clone_into(&mut change.fact.user_id);
        change
    };
    store.apply(vec![of("a", 1), of("b", 2), of("c", 3)], NOW).await.unwrap();
    for (round, expected) in ["a", "b", "c", "a", "b"].into_iter().enumerate() {
        let turn = store.to_scan(NOW, 1).await.unwrap();
        assert_eq!(turn, [expected]);
        let now_us = NOW + i64::try_from(round).unwrap();
        let looked = store.load_scan(expected.to_owned(), now_us).await.unwrap().unwrap();
        let scanned = scan(expected, looked.lines, &looked.known, looked.today);
        store.store_scan(expected.to_owned(), looked.sequence, scanned, now_us).await.unwrap().unwrap();
        // The user is busy, and would be next again.
        store.apply(vec![of(expected, 100 + u128::try_from(round).unwrap())], NOW).await.unwrap();
    }
}

async fn what_is_touched_is_noted_while_somebody_follows(scratch: &Scratch) {
    let store = open(scratch).await;
    let look = async |after| store.look(scope("2026-11"), after, usd(), NOW).await.unwrap();
    store.apply(vec![line(1, 100, "film", "2026-11-01")], NOW).await.unwrap();
    let (unseen, everything) = look(None).await;
    assert!(matches!(everything, Look::Everything { spending, .. } if spending.total.net() == 100));
    store.apply(vec![line(2, 100, "film", "2026-11-01")], NOW).await.unwrap();
    assert_eq!(look(Some(unseen)).await.1, Look::Gone, "nobody followed");

    store.attend("u".to_owned(), NOW + 1).await.unwrap();
    let mark = look(None).await.0;
    assert_eq!(look(Some(mark)).await, (mark, Look::Nothing));
    let both = vec![line(3, 100, "film", "2026-11-01"), line(4, 100, "rent", "2026-10-01")];
    store.apply(both, NOW).await.unwrap();
    store.apply(vec![line(5, 100, "cafe", "2026-11-30")], NOW).await.unwrap();
    let (after, changes) = look(Some(mark)).await;
    let Look::Changes { categories, spending, .. } = changes else { panic!("{changes:?}") };
    assert_eq!(categories, BTreeSet::from(["cafe".to_owned(), "film".to_owned()]));
    assert_eq!((after, spending.total.net()), (mark + 2, 400));
    store.apply(vec![line(6, 100, "film", "2026-11-01")], NOW + 2).await.unwrap();
    assert_eq!(look(Some(after)).await.1, Look::Gone, "nobody has followed since");
}

async fn trends_and_summaries_add_up_to_the_same_lines(scratch: &Scratch) {
    let store = open(scratch).await;
    let lines = vec![
        line(1, 100, "film", "2026-10-31"),
        line(2, 250, "film", "2026-11-01"),
        line(3, -50, "film", "2026-11-02"),
        line(4, 1000, "pay", "2026-11-01"),
        line(5, 70, "rent", "2026-11-30"),
    ];
    store.apply(lines, NOW).await.unwrap();
    let buckets = vec![Period::parse("2026-10").unwrap(), Period::parse("2026-11").unwrap()];
    let scope = scope("2026-10-01..2026-12-01");
    let question = TrendQuestion { scope, buckets, wanted: Wanted::All };
    let trends = store.trends(question, usd()).await.unwrap();
    let nets = |points: &[Totals]| points.iter().map(|totals| totals.net()).collect::<Vec<_>>();
    let (total, income) = trends.total.unwrap();
    assert_eq!((nets(&total), income), (vec![100, 270], vec![0, 1000]));
    assert_eq!(nets(&trends.categories["film"]), [100, 200]);
    let summary = store.summary("u".to_owned(), None, None, usd(), NOW).await.unwrap();
    assert_eq!((summary.current.spending.total.net(), summary.current.income), (270, 1000));
    assert_eq!((summary.previous.spending.total.net(), summary.change_percent()), (100, Some(170)));
}
