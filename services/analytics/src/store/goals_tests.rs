//! Goals, on both databases.

use pathway_finance::{CivilDate, Currency, GoalSource, LineKind, Money};
use pathway_store::testing::Scratch;
use uuid::Uuid;

use super::*;
use crate::fact::{Fact, Line};
use crate::goal::{GoalView, NewContribution, NewGoal};

pathway_store::suite!(
    g28_what_lines_come_to_equals_a_recompute_after_any_history,
    g28_milestones_are_put_into_the_outbox_once,
    g28_a_contribution_counts_once_for_its_id,
    g28_a_goal_that_is_set_again_is_another,
);

/// 2026-11-24, noon in UTC.
const NOW: i64 = 1_795_521_600_000_000;

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::parse("USD").unwrap())
}

fn day(text: &str) -> CivilDate {
    CivilDate::parse(text).unwrap()
}

fn change(record: u128, version: i64, line: Option<(LineKind, i64, &str, &str)>) -> Change {
    let line = line.map(|(kind, minor, account, date)| Line {
        kind,
        amount: usd(minor),
        category: "savings".to_owned(),
        day: day(date),
        merchant: String::new(),
        account: account.to_owned(),
    });
    let fact = Fact { user_id: "u".to_owned(), version, line };
    Change { record_id: Uuid::from_u128(record), fact, is_live: true }
}

fn transfer(record: u128, version: i64, minor: i64) -> Change {
    change(record, version, Some((LineKind::Transfer, -minor, "pot", "2026-11-24")))
}

fn goal(source: GoalSource) -> NewGoal {
    NewGoal {
        user_id: "u".to_owned(),
        name: "goa".to_owned(),
        title: "Goa".to_owned(),
        target: usd(10_000),
        opening: None,
        saved: None,
        source: Some(source),
        account: Some("pot".to_owned()),
        start: Some(day("2026-11-02")),
        deadline: None,
        milestones: None,
    }
}

async fn open(scratch: &Scratch) -> Store {
    Store::open(&scratch.config()).await.unwrap()
}

async fn saved(store: &Store) -> i64 {
    let GoalView { goal, .. } = store.goal("u".to_owned(), "goa".to_owned(), NOW).await.unwrap();
    goal.saved().unwrap()
}

/// The milestones that wait in the outbox.
async fn told(store: &Store) -> Vec<String> {
    let waiting = store.outgoing(100).await.unwrap();
    waiting.into_iter().map(|insight| insight.metadata["milestone"].clone()).collect()
}

async fn g28_what_lines_come_to_equals_a_recompute_after_any_history(scratch: &Scratch) {
    let store = open(scratch).await;
    let mut rng = fastrand::Rng::with_seed(28);
    for (source, others) in [(GoalSource::Transfers, 0), (GoalSource::Balance, 100)] {
        store.set_goal(goal(source), NOW).await.unwrap();
        let mut versions = [0_i64; 12];
        for round in 0..30 {
            let mut changes = Vec::new();
            for _ in 0..rng.usize(1..8) {
                let place = rng.usize(..versions.len());
                versions[place] += 1;
                let kind = LineKind::from_code(rng.i64(1..=4)).unwrap();
                let account = ["pot", "pot", "checking", ""][rng.usize(..4)];
                let date = ["2026-11-01", "2026-11-02", "2026-11-20", "2027-01-01"][rng.usize(..4)];
                let line = (rng.u8(..5) > 0).then(|| (kind, rng.i64(-5_000..5_000), account, date));
                let record = others + u128::try_from(place).unwrap() + 1;
                let mut change = change(record, versions[place], line);
                change.is_live = rng.bool();
                changes.push(change.clone());
                changes.extend(rng.bool().then_some(change));
            }
            store.apply(changes, NOW + round).await.unwrap();
            let moved = saved(&store).await;
            // Setting it as it is adds the lines up from nothing.
            store.set_goal(goal(source), NOW + round).await.unwrap();
            assert_eq!(moved, saved(&store).await, "{source:?}, round {round}");
        }
    }
    let question =
        ContributionQuestion { user_id: "u".to_owned(), goal: "goa".to_owned(), after: None, limit: 100 };
    let (_, parts) = store.contributions(question).await.unwrap();
    assert_eq!(parts.iter().map(|part| part.minor).sum::<i64>(), saved(&store).await);
    assert!(parts.is_sorted_by(|a, b| (a.day, a.id) > (b.day, b.id)));
}

async fn g28_milestones_are_put_into_the_outbox_once(scratch: &Scratch) {
    let store = open(scratch).await;
    store.set_goal(goal(GoalSource::Transfers), NOW).await.unwrap();
    store.apply(vec![transfer(1, 1, 5_500), transfer(1, 1, 5_500)], NOW).await.unwrap();
    assert_eq!(told(&store).await, ["50"], "the highest of those that one change reaches");
    store.apply(vec![transfer(1, 1, 5_500)], NOW).await.unwrap();
    store.apply(vec![transfer(1, 2, 100)], NOW).await.unwrap();
    store.apply(vec![transfer(1, 3, 5_600)], NOW).await.unwrap();
    assert_eq!(told(&store).await, ["50"], "falling below and reaching it again is silent");
    let mut history = transfer(2, 1, 2_000);
    history.is_live = false;
    store.apply(vec![history], NOW).await.unwrap();
    assert_eq!(told(&store).await, ["50"], "history tells nothing (G24)");
    store.apply(vec![transfer(3, 1, 10)], NOW).await.unwrap();
    assert_eq!(told(&store).await, ["50"], "nor later what it reached");

    // Another target: what is passed under it already is silent; so is the old one when it comes back.
    let other = NewGoal { target: usd(20_000), ..goal(GoalSource::Transfers) };
    store.set_goal(other.clone(), NOW).await.unwrap();
    store.apply(vec![transfer(4, 1, 3_000)], NOW + 1).await.unwrap();
    assert_eq!(told(&store).await, ["50", "50"], "10,610 of 20,000");
    store.set_goal(goal(GoalSource::Transfers), NOW).await.unwrap();
    store.set_goal(other, NOW).await.unwrap();
    assert_eq!(told(&store).await.len(), 2);
}

async fn g28_a_contribution_counts_once_for_its_id(scratch: &Scratch) {
    let store = open(scratch).await;
    let unknown = contribution(1, 100);
    assert!(matches!(store.contribute(unknown, NOW).await, Err(AnalyticsError::UnknownGoal)));
    let given = NewGoal { account: None, ..goal(GoalSource::Given) };
    store.set_goal(given, NOW).await.unwrap();
    for _ in 0..2 {
        let (made, view) = store.contribute(contribution(1, 2_600), NOW).await.unwrap();
        assert_eq!((made.minor, view.goal.given), (2_600, 2_600));
    }
    assert_eq!(told(&store).await, ["25"]);
    let other = store.contribute(contribution(1, 2_700), NOW).await;
    assert!(matches!(other, Err(AnalyticsError::Store(StoreError::RequestIdReused))), "{other:?}");
    let back = |id| store.take_back("u".to_owned(), "goa".to_owned(), Uuid::from_u128(id), NOW);
    for _ in 0..2 {
        assert_eq!(back(1).await.unwrap().goal.given, 0);
    }
    store.contribute(contribution(1, 2_600), NOW).await.unwrap();
    assert_eq!(saved(&store).await, 0, "a call that is repeated late brings nothing back");
    assert_eq!(back(2).await.unwrap().goal.given, 0, "there is no such");
    let spent = store.spending(november(), Currency::parse("USD").unwrap()).await.unwrap();
    assert!(spent.total.is_empty(), "a contribution is no expense");
}

fn contribution(id: u128, minor: i64) -> NewContribution {
    NewContribution {
        user_id: "u".to_owned(),
        goal: "goa".to_owned(),
        id: Uuid::from_u128(id),
        amount: usd(minor),
        day: None,
        note: String::new(),
    }
}

fn november() -> Scope {
    let period = pathway_finance::Period::parse("2026-11").unwrap();
    Scope { user_id: "u".to_owned(), period, currency: None }
}

async fn g28_a_goal_that_is_set_again_is_another(scratch: &Scratch) {
    let store = open(scratch).await;
    store.set_goal(goal(GoalSource::Transfers), NOW).await.unwrap();
    store.contribute(contribution(1, 100), NOW).await.unwrap();
    store.apply(vec![transfer(1, 1, 5_500)], NOW).await.unwrap();
    for _ in 0..2 {
        store.remove_goal("u".to_owned(), "goa".to_owned(), NOW).await.unwrap();
    }
    store.apply(vec![transfer(2, 1, 5_500)], NOW).await.unwrap();
    assert_eq!(told(&store).await, ["50"], "nobody saves for it");
    let view = store.set_goal(goal(GoalSource::Transfers), NOW).await.unwrap();
    assert_eq!((view.goal.generation, view.goal.given, view.goal.linked), (2, 0, 11_000));
    let euro =
        NewGoal { target: Money::new(1, Currency::parse("EUR").unwrap()), ..goal(GoalSource::Transfers) };
    assert!(store.set_goal(euro, NOW).await.is_err(), "the currency is the goal's for good");
}
