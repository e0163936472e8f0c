//! `pathway bench queries`: what a question about a user's month costs over much that is stored.
//!
//! One analytics service runs in this process over a directory of its own, and is asked through its API. The lines come to it as history comes: by
//! `ApplyChanges`, batch after batch. They are of many users; of each ten days, a user's come together, as accounts are synchronised. So a user's month
//! lies in a few places among everybody's. Then each user gets budgets and, live, some purchases that stand out, so that there is something to be told.
//! Each question is of another user than the one before it, so most of what it reads was not read just before.

mod fill;

use std::process::ExitCode;
use std::time::Duration;

use indicatif::ProgressBar;
use pathway_analytics::{Analytics, Deps};
use pathway_finance::{CivilDate, PeriodKind, previous};
use pathway_kernel::Fault;
use pathway_proto::pathway::analytics::v1 as api;
use pathway_proto::pathway::analytics::v1::analytics_service_client::AnalyticsServiceClient;
use pathway_rpc::{Channel, ChannelConfig, MAX_MESSAGE_BYTES, Target, memory, to_date};
use pathway_runtime::{Arguments, Component as _, Env, load_table};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::events::user;
use super::latency::Latencies;
use super::report::{count, rounded};
use super::transactions::{phase, today};
use crate::cli::BenchQueries;
use crate::client::answer;
use crate::output::{Output, progress, table};

type Client = AnalyticsServiceClient<Channel>;

/// The days that the lines are spread over.
const DAYS: i64 = 365;
/// The questions, by their names.
const QUESTIONS: [&str; 7] = [
    "GetSpending",
    "GetSummary",
    "ListTrends, days",
    "ListTrends, year",
    "GetBudgetStatus",
    "ListInsights",
    "Explain",
];

pub(crate) async fn run(out: &Output, args: &BenchQueries) -> Result<ExitCode, Fault> {
    let bar = progress("lines stored");
    let directory = match &args.dir {
        Some(dir) => tempfile::tempdir_in(dir),
        None => tempfile::tempdir(),
    };
    let directory = directory.map_err(Fault::internal)?;
    let arguments = Arguments { data_dir: Some(directory.path().to_owned()), ..Arguments::default() };
    // The caller's environment is about the caller's own store.
    let config = load_table(Analytics::NAME, Analytics::DEFAULTS, &arguments, &[]);
    let config = config.map_err(Fault::internal)?.try_into().map_err(Fault::internal)?;
    // It is alone: nobody who happens to listen on the usual ports hears of it.
    let nobody = || Some(Target::Memory(memory().0));
    let deps = Deps { env: Env::system(), datasync: nobody(), notifications: nobody() };
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
    fill::fill(client, args, today, bar).await?;
    let filled = begun.elapsed();
    phase(bar, "users checked");
    fill::verify(client, args, today, bar).await?;
    phase(bar, "users with budgets");
    let insights = fill::live(client, args, today, bar).await?;
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
        "insights": insights,
        "lines_per_second": rounded(count(args.facts) / filled.as_secs_f64(), 0),
        "questions": figures,
    }))
}

async fn ask(client: &Client, question: &str, user_id: String, today: CivilDate) -> Result<(), Fault> {
    let mut client = client.clone();
    // The last that is over: it is whole, whatever day it is. A summary puts another beside it.
    let month = PeriodKind::MONTH.period_of(today).and_then(previous).map_err(Fault::internal)?;
    let (start, end) = (Some(to_date(month.start())), Some(to_date(month.end())));
    let year = today.add_days(1 - DAYS).map_err(Fault::internal)?;
    match question {
        "GetSpending" => {
            let request =
                api::GetSpendingRequest { user_id, start, end, ..api::GetSpendingRequest::default() };
            answer(client.get_spending(request).await).map(drop)
        }
        "GetSummary" => {
            let request = api::GetSummaryRequest { user_id, start, end, ..api::GetSummaryRequest::default() };
            answer(client.get_summary(request).await).map(drop)
        }
        "GetBudgetStatus" => {
            let request = api::GetBudgetStatusRequest { user_id, ..api::GetBudgetStatusRequest::default() };
            answer(client.get_budget_status(request).await).map(drop)
        }
        "ListInsights" => {
            let request = api::ListInsightsRequest { user_id, ..api::ListInsightsRequest::default() };
            answer(client.list_insights(request).await).map(drop)
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
        "{} lines of {} users, stored at {} a second, with {} insights; each question asked {} times",
        cell(document, "facts"),
        cell(document, "users"),
        cell(document, "lines_per_second"),
        cell(document, "insights"),
        cell(document, "samples")
    );
    let entries = document["questions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let row = |entry: &Value| ["question", "p50_ms", "p99_ms", "max_ms"].map(|key| cell(entry, key)).to_vec();
    let header = ["question", "p50 ms", "p99 ms", "longest ms"];
    format!("{title}\n\n{}", table(&header, &[1, 2, 3], entries.iter().map(row)))
}
