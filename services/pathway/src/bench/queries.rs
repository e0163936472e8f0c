//! `pathway bench queries`: what a question about a user's month costs over much that is stored.
//!
//! One analytics service runs in this process over a directory of its own, and is asked through its API. The lines come to it as history comes: by
//! `ApplyChanges`, batch after batch. They are of many users, in the order of their days, so that a user's month lies among everybody's, as it does
//! where people live. Each question is of another user than the one before it, so most of what it reads was not read just before.

use std::process::ExitCode;
use std::time::Duration;

use indicatif::ProgressBar;
use pathway_analytics::{Analytics, Deps};
use pathway_finance::{CivilDate, Currency, Money, PeriodKind};
use pathway_kernel::{Fault, stable_id};
use pathway_proto::pathway::analytics::v1 as api;
use pathway_proto::pathway::analytics::v1::analytics_service_client::AnalyticsServiceClient;
use pathway_proto::pathway::types::v1 as types;
use pathway_rpc::{
    Channel, ChannelConfig, MAX_MESSAGE_BYTES, Target, from_item_status, memory, to_date, to_money,
};
use pathway_runtime::{Arguments, Component as _, Env, load};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::events::{CATEGORIES, CURRENCY, user};
use super::latency::Latencies;
use super::report::{count, rounded};
use super::transactions::{phase, today, wrong};
use crate::cli::BenchQueries;
use crate::client::answer;
use crate::output::{Output, progress, table};

type Client = AnalyticsServiceClient<Channel>;

/// The days that the lines are spread over.
const DAYS: i64 = 365;
/// Lines of one call.
const BATCH: u64 = 4096;
/// Calls under way at once while the lines are stored.
const IN_FLIGHT: usize = 4;

/// The questions, by their names.
const QUESTIONS: [&str; 6] =
    ["GetSpending", "GetSummary", "ListTrends, days", "ListTrends, year", "GetBudgetStatus", "Explain"];

pub(crate) async fn run(out: &Output, args: &BenchQueries) -> Result<ExitCode, Fault> {
    let bar = progress("lines stored");
    let directory = match &args.dir {
        Some(dir) => tempfile::tempdir_in(dir),
        None => tempfile::tempdir(),
    };
    let directory = directory.map_err(Fault::internal)?;
    let arguments = Arguments { data_dir: Some(directory.path().to_owned()), ..Arguments::default() };
    let config = load(Analytics::NAME, Analytics::DEFAULTS, &arguments).map_err(Fault::internal)?;
    let (nowhere, _) = memory();
    let deps = Deps { datasync: Some(Target::Memory(nowhere)), ..Deps::from(Env::system()) };
    let service = Analytics::build(config, deps).await?;
    let (connector, listener) = memory();
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(service.run(listener, shutdown.clone()));
    let channel = Channel::new("analytics", Target::Memory(connector), ChannelConfig::default());
    let client = AnalyticsServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);

    let measured = measure(&client, args, &bar).await;
    bar.finish_and_clear();
    shutdown.cancel();
    running.await.map_err(Fault::internal)??;
    let document = measured?;
    out.answer(&document, || text(&document))?;
    Ok(ExitCode::SUCCESS)
}

async fn measure(client: &Client, args: &BenchQueries, bar: &ProgressBar) -> Result<Value, Fault> {
    let today = today()?;
    let begun = Instant::now();
    fill(client, args, today, bar).await?;
    let filled = begun.elapsed();
    verify(client, args, today).await?;
    budgets(client, args.users).await?;
    phase(bar, "questions asked");
    let mut figures = Vec::with_capacity(QUESTIONS.len());
    for question in QUESTIONS {
        let mut taken: Vec<Duration> = Vec::new();
        for number in 0..args.samples {
            // Steps that share no factor with the number of users visit all of them.
            let user = user(number.wrapping_mul(7919) % args.users);
            let asked = Instant::now();
            ask(client, question, user, today).await?;
            taken.push(asked.elapsed());
            bar.inc(1);
        }
        let taken = Latencies::new(taken);
        let ms = |percent| rounded(taken.percentile_ms(percent), 3);
        figures.push(json!({"question": question, "p50_ms": ms(50), "p99_ms": ms(99), "max_ms": ms(100)}));
    }
    Ok(json!({
        "facts": args.facts,
        "users": args.users,
        "samples": args.samples,
        "lines_per_second": rounded(count(args.facts) / filled.as_secs_f64(), 0),
        "questions": figures,
    }))
}

/// Stores the lines, in the order of their days.
async fn fill(
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
            calls.spawn(async move {
                let request = api::ApplyChangesRequest { changes };
                let results = answer(client.apply_changes(request).await)?.results;
                let refused = results.into_iter().find_map(|result| match result.result {
                    Some(api::apply_change_result::Result::Outcome(_)) => None,
                    Some(api::apply_change_result::Result::Error(status)) => Some(from_item_status(status)),
                    None => Some(Fault::internal("a change without a result")),
                });
                refused.map_or(Ok(end - next), Err)
            });
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
    let day = i64::try_from(u128::from(number) * 365 / u128::from(args.facts)).map_err(Fault::internal)?;
    let day = today.add_days(day + 1 - DAYS).map_err(Fault::internal)?;
    let (owner, kind, minor) = drawn(args, &mut random);
    let currency = Currency::parse(CURRENCY).map_err(Fault::internal)?;
    let record = types::Record {
        // The instant has milliseconds only; the number is what tells lines apart.
        record_id: stable_id(i64::try_from(number).unwrap_or(i64::MAX), &[&number.to_string()]).to_string(),
        user_id: user(u32::try_from(owner).unwrap_or(0)),
        version: 1,
        kind: kind.into(),
        amount: Some(to_money(Money::new(minor, currency))),
        category: CATEGORIES[random.usize(..CATEGORIES.len())].to_owned(),
        date: Some(to_date(day)),
        merchant: format!("Merchant {}", random.u8(..97)),
        ..types::Record::default()
    };
    let origin = types::Origin::History.into();
    Ok(types::RecordChange { after: Some(record), origin, ..types::RecordChange::default() })
}

/// Checks that every line is there: the expenses are counted again as they were made.
async fn verify(client: &Client, args: &BenchQueries, today: CivilDate) -> Result<(), Fault> {
    let mut expected = vec![0_i64; usize::try_from(args.users).map_err(Fault::internal)?];
    for number in 0..args.facts {
        let random = &mut fastrand::Rng::with_seed(number);
        let (user, kind, _) = drawn(args, random);
        if let (types::LineKind::Expense, Some(count)) = (kind, expected.get_mut(user)) {
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
    }
    Ok(())
}

/// Whose a line is, of what kind, and its amount.
fn drawn(args: &BenchQueries, random: &mut fastrand::Rng) -> (usize, types::LineKind, i64) {
    let minor = random.i64(100..20_000) * if random.u8(..50) == 0 { -1 } else { 1 };
    let is_income = minor > 0 && random.u8(..10) == 0;
    let kind = if is_income { types::LineKind::Income } else { types::LineKind::Expense };
    (usize::try_from(random.u32(..args.users)).unwrap_or(0), kind, minor)
}

/// Gives every user a budget of two categories.
async fn budgets(client: &Client, users: u32) -> Result<(), Fault> {
    let currency = Currency::parse(CURRENCY).map_err(Fault::internal)?;
    for number in 0..users {
        let limits = super::events::BUDGETS.map(|(category, minor)| api::BudgetLimit {
            category: category.to_owned(),
            limit: Some(to_money(Money::new(minor, currency))),
            ..api::BudgetLimit::default()
        });
        let request = api::SetBudgetsRequest {
            user_id: user(number),
            limits: limits.to_vec(),
            ..api::SetBudgetsRequest::default()
        };
        answer(client.clone().set_budgets(request).await)?;
    }
    Ok(())
}

async fn ask(client: &Client, question: &str, user_id: String, today: CivilDate) -> Result<(), Fault> {
    let mut client = client.clone();
    let month = PeriodKind::MONTH.period_of(today).map_err(Fault::internal)?;
    let (start, end) = (Some(to_date(month.start())), Some(to_date(month.end())));
    let year = today.add_days(1 - DAYS).map_err(Fault::internal)?;
    match question {
        "GetSpending" => {
            let request =
                api::GetSpendingRequest { user_id, start, end, ..api::GetSpendingRequest::default() };
            answer(client.get_spending(request).await).map(drop)
        }
        "GetSummary" => {
            let request = api::GetSummaryRequest { user_id, ..api::GetSummaryRequest::default() };
            answer(client.get_summary(request).await).map(drop)
        }
        "GetBudgetStatus" => {
            let request = api::GetBudgetStatusRequest { user_id, ..api::GetBudgetStatusRequest::default() };
            answer(client.get_budget_status(request).await).map(drop)
        }
        "Explain" => {
            let request = api::ExplainRequest { user_id, start, end, ..api::ExplainRequest::default() };
            answer(client.explain(request).await).map(drop)
        }
        trends => {
            let is_month = trends.ends_with("days");
            let request = api::ListTrendsRequest {
                user_id,
                start: if is_month { start } else { Some(to_date(year)) },
                end,
                bucket: if is_month { api::TrendBucket::Day } else { api::TrendBucket::Month }.into(),
                ..api::ListTrendsRequest::default()
            };
            answer(client.list_trends(request).await).map(drop)
        }
    }
}

fn text(document: &Value) -> String {
    let cell = |entry: &Value, key: &str| entry[key].to_string().trim_matches('"').to_owned();
    let title = format!(
        "{} lines of {} users, stored at {} a second; each question asked {} times",
        cell(document, "facts"),
        cell(document, "users"),
        cell(document, "lines_per_second"),
        cell(document, "samples")
    );
    let entries = document["questions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let row = |entry: &Value| ["question", "p50_ms", "p99_ms", "max_ms"].map(|key| cell(entry, key)).to_vec();
    let header = ["question", "p50 ms", "p99 ms", "longest ms"];
    format!("{title}\n\n{}", table(&header, &[1, 2, 3], entries.iter().map(row)))
}
