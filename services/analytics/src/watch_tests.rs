//! What a follower sees where nobody wakes it, on both databases.

use std::pin::pin;

use futures_util::StreamExt as _;
use pathway_finance::{CivilDate, Currency, LineKind, Money, Period, PeriodKind};
use pathway_kernel::{Clock, ManualClock};
use pathway_store::testing::Scratch;
use uuid::Uuid;

use super::*;
use crate::fact::{Change, Fact, Line};
use crate::store::{NewBudgets, NewLimit, RulesPatch, Store};

pathway_store::suite!(
    what_another_process_writes_is_seen_without_a_wake_up,
    silence_has_a_heartbeat,
    g03_a_period_that_closes_is_a_step_and_no_gap,
);

/// 2026-11-30, a minute before midnight in UTC.
const NOW: i64 = 1_796_083_140_000_000;
const MINUTE_US: i64 = 60_000_000;
/// Longer than any test waits.
const NEVER: Duration = Duration::from_secs(3600);

fn usd() -> Currency {
    Currency::parse("USD").unwrap()
}

fn scope() -> Scope {
    let period = Period::parse("2026-11").unwrap();
    Scope { user_id: "u".to_owned(), period, currency: None }
}

fn spend(record: u128) -> Change {
    let line = Line {
        kind: LineKind::Expense,
        amount: Money::new(100, usd()),
        category: "dining".to_owned(),
        day: CivilDate::parse("2026-11-20").unwrap(),
        merchant: String::new(),
        account: String::new(),
    };
    let fact = Fact { user_id: "u".to_owned(), version: 1, line: Some(line) };
    Change { record_id: Uuid::from_u128(record), fact, is_live: true }
}

async fn figures(scratch: &Scratch, clock: &ManualClock, heartbeat: Duration) -> Figures {
    let store = Store::open(&scratch.config()).await.unwrap();
    Figures::over(store, Clock::manual(clock), usd(), heartbeat)
}

async fn what_another_process_writes_is_seen_without_a_wake_up(scratch: &Scratch) {
    let clock = ManualClock::at(NOW);
    let here = figures(scratch, &clock, NEVER).await;
    if !here.is_shared() {
        // A file has one process.
        return;
    }
    let there = figures(scratch, &clock, NEVER).await;
    let mut steps = pin!(here.watch(scope(), None));
    let (mark, first) = steps.next().await.unwrap().unwrap();
    assert!(matches!(first, Step::Snapshot { .. }), "{first:?}");
    there.apply(vec![spend(1)]).await.unwrap();
    let (after, step) = steps.next().await.unwrap().unwrap();
    let Step::Delta { spending, .. } = step else { panic!("{step:?}") };
    assert_eq!((after, spending.total.net()), (mark + 1, 100));
}

async fn silence_has_a_heartbeat(scratch: &Scratch) {
    let clock = ManualClock::at(NOW);
    let figures = figures(scratch, &clock, Duration::from_millis(50)).await;
    let mut steps = pin!(figures.watch(scope(), None));
    let (mark, _) = steps.next().await.unwrap().unwrap();
    for _ in 0..2 {
        assert_eq!(steps.next().await.unwrap().unwrap(), (mark, Step::Progress));
    }
}

async fn g03_a_period_that_closes_is_a_step_and_no_gap(scratch: &Scratch) {
    let clock = ManualClock::at(NOW);
    let figures = figures(scratch, &clock, NEVER).await;
    let limit =
        NewLimit { name: "dining".to_owned(), limit: Money::new(1_000, usd()), rules: RulesPatch::default() };
    let new = NewBudgets {
        user_id: "u".to_owned(),
        limits: vec![limit],
        kind: PeriodKind::MONTH,
        has_start: false,
        zone: None,
    };
    figures.set_budgets(new).await.unwrap();
    let mut steps = pin!(figures.watch(scope(), None));
    let (mark, _) = steps.next().await.unwrap().unwrap();
    clock.set(NOW + MINUTE_US);
    assert_eq!(figures.close_due(10).await.unwrap(), 1);
    let (after, step) = steps.next().await.unwrap().unwrap();
    let Step::Delta { categories, budgets, .. } = step else { panic!("{step:?}") };
    assert_eq!((after, categories.len()), (mark + 1, 0));
    assert_eq!(budgets[0].standing.period, Period::parse("2026-12").unwrap());
}
