//! What is stored before anything is asked.

use indicatif::ProgressBar;
use pathway_finance::{CivilDate, Currency, Money};
use pathway_kernel::{Fault, stable_id};
use pathway_proto::pathway::analytics::v1 as api;
use pathway_proto::pathway::types::v1 as types;
use pathway_rpc::{from_item_status, to_date, to_money};
use tokio::task::JoinSet;

use super::super::events::{BUDGETS, CATEGORIES, CURRENCY, user};
use super::super::transactions::wrong;
use super::{Client, DAYS};
use crate::cli::BenchQueries;
use crate::client::answer;

/// What chance makes of a line's number, but for what only its text takes.
#[derive(Debug)]
struct Drawn {
    user: u32,
    /// How many days before today.
    age: i64,
    kind: types::LineKind,
    minor: i64,
}

/// Lines of one call.
const BATCH: u64 = 4096;
/// Calls under way at once while the lines are stored.
const IN_FLIGHT: usize = 4;
/// In how many parts of the year a user's lines come together.
const PARTS: u64 = 36;
/// What a purchase that stands out comes to, in minor units.
const STANDS_OUT: i64 = 1_000_000;
/// Calls under way at once that are of one user each: they share commits.
const USERS_IN_FLIGHT: usize = 64;

// === impl Drawn ===

impl Drawn {
    /// Lines are numbered by the part of the year, then by user, then by chance.
    fn of(args: &BenchQueries, number: u64, random: &mut fastrand::Rng) -> Self {
        let of_part = args.facts.div_ceil(PARTS);
        let (part, within) = (number / of_part, number % of_part);
        let owner = u128::from(within) * u128::from(args.users) / u128::from(of_part);
        // The first part is the oldest; the last ends today.
        let begins = i64::try_from(part * 365 / PARTS).unwrap_or(0);
        let age = DAYS - 1 - begins - random.i64(0..10);
        let minor = random.i64(100..20_000) * if random.u8(..50) == 0 { -1 } else { 1 };
        let is_income = minor > 0 && random.u8(..10) == 0;
        let kind = if is_income { types::LineKind::Income } else { types::LineKind::Expense };
        Self { user: u32::try_from(owner).unwrap_or(0), age: age.max(0), kind, minor }
    }
}

/// Stores the lines, in the order of their days.
pub(super) async fn fill(
    client: &Client,
    args: &BenchQueries,
    today: CivilDate,
    bar: &ProgressBar,
) -> Result<(), Fault> {
    let (mut calls, mut next) = (JoinSet::new(), 0);
    while next < args.facts || !calls.is_empty() {
        while next < args.facts && calls.len() < IN_FLIGHT {
            let end = args.facts.min(next + BATCH);
            let changes = (next..end).map(|number| change(args, today, number)).collect::<Result<_, _>>()?;
            let mut client = client.clone();
            calls.spawn(async move { applied(&mut client, changes).await.map(|_| end - next) });
            next = end;
        }
        if let Some(stored) = calls.join_next().await {
            bar.inc(stored.map_err(Fault::internal)??);
        }
    }
    Ok(())
}

/// A line by its number: of any user, one in ten an income, one in fifty a refund.
fn change(args: &BenchQueries, today: CivilDate, number: u64) -> Result<types::RecordChange, Fault> {
    let mut random = fastrand::Rng::with_seed(number);
    let Drawn { user, age, kind, minor } = Drawn::of(args, number, &mut random);
    let record = record(user, today.add_days(-age).map_err(Fault::internal)?, minor)?;
    let record = types::Record {
        // The instant has milliseconds only; the number is what tells lines apart.
        record_id: stable_id(i64::try_from(number).unwrap_or(i64::MAX), &[&number.to_string()]).to_string(),
        kind: kind.into(),
        category: CATEGORIES[random.usize(..CATEGORIES.len())].to_owned(),
        merchant: format!("Merchant {}", random.u8(..97)),
        ..record
    };
    let origin = types::Origin::History.into();
    Ok(types::RecordChange { after: Some(record), origin, ..types::RecordChange::default() })
}

fn record(owner: u32, day: CivilDate, minor: i64) -> Result<types::Record, Fault> {
    let currency = Currency::parse(CURRENCY).map_err(Fault::internal)?;
    Ok(types::Record {
        user_id: user(owner),
        version: 1,
        amount: Some(to_money(Money::new(minor, currency))),
        date: Some(to_date(day)),
        ..types::Record::default()
    })
}

/// Checks that every line is there: the expenses are counted again as they were made.
pub(super) async fn verify(
    client: &Client,
    args: &BenchQueries,
    today: CivilDate,
    bar: &ProgressBar,
) -> Result<(), Fault> {
    let mut expected = vec![0_i64; usize::try_from(args.users).map_err(Fault::internal)?];
    for number in 0..args.facts {
        let drawn = Drawn::of(args, number, &mut fastrand::Rng::with_seed(number));
        let owner = usize::try_from(drawn.user).map_err(Fault::internal)?;
        if let (types::LineKind::Expense, Some(count)) = (drawn.kind, expected.get_mut(owner)) {
            *count += 1;
        }
    }
    let (start, end) = (today.add_days(1 - DAYS), today.add_days(1));
    let (start, end) = (start.map_err(Fault::internal)?, end.map_err(Fault::internal)?);
    for (number, expected) in (0..args.users).zip(expected) {
        let request = api::GetSpendingRequest {
            user_id: user(number),
            start: Some(to_date(start)),
            end: Some(to_date(end)),
            ..api::GetSpendingRequest::default()
        };
        let stored = answer(client.clone().get_spending(request).await)?.total.map_or(0, |total| total.count);
        if stored != expected {
            let difference = format!("{} has {stored} expenses, not {expected}", user(number));
            return Err(wrong(&difference));
        }
        bar.inc(1);
    }
    Ok(())
}

/// Gives every user a budget of two categories, and a purchase of each category that stands out today; answers how many insights that gave rise to.
pub(super) async fn live(
    client: &Client,
    args: &BenchQueries,
    today: CivilDate,
    bar: &ProgressBar,
) -> Result<usize, Fault> {
    let (mut calls, mut users, mut insights) = (JoinSet::new(), 0..args.users, 0);
    loop {
        while calls.len() < USERS_IN_FLIGHT {
            let Some(number) = users.next() else { break };
            calls.spawn(live_user(client.clone(), number, today));
        }
        let Some(done) = calls.join_next().await else { return Ok(insights) };
        insights += done.map_err(Fault::internal)??;
        bar.inc(1);
    }
}

async fn live_user(mut client: Client, number: u32, today: CivilDate) -> Result<usize, Fault> {
    let currency = Currency::parse(CURRENCY).map_err(Fault::internal)?;
    let limits = BUDGETS.map(|(category, minor)| api::BudgetLimit {
        category: category.to_owned(),
        limit: Some(to_money(Money::new(minor, currency))),
        ..api::BudgetLimit::default()
    });
    let request = api::SetBudgetsRequest {
        user_id: user(number),
        limits: limits.to_vec(),
        ..api::SetBudgetsRequest::default()
    };
    answer(client.set_budgets(request).await)?;
    let mut changes = Vec::with_capacity(CATEGORIES.len());
    for category in CATEGORIES {
        // Later than the history, by its id.
        let record_id = stable_id(i64::MAX >> 20, &[&number.to_string(), category]).to_string();
        let record = record(number, today, STANDS_OUT)?;
        let record = types::Record { record_id, category: category.to_owned(), ..record };
        changes.push(types::RecordChange { after: Some(record), ..types::RecordChange::default() });
    }
    applied(&mut client, changes).await
}

/// Applies changes; answers how many insights they gave rise to.
async fn applied(client: &mut Client, changes: Vec<types::RecordChange>) -> Result<usize, Fault> {
    let results = answer(client.apply_changes(api::ApplyChangesRequest { changes }).await)?.results;
    results.into_iter().try_fold(0, |insights, result| match result.result {
        Some(api::apply_change_result::Result::Outcome(outcome)) => Ok(insights + outcome.insights.len()),
        Some(api::apply_change_result::Result::Error(status)) => Err(from_item_status(status)),
        None => Err(Fault::internal("a change without a result")),
    })
}
