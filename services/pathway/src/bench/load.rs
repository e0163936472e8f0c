//! Publishing, as fast as it goes.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::ProgressBar;
use pathway_finance::{Currency, Money};
use pathway_kernel::{Code, Fault};
use pathway_proto::pathway::analytics::v1::{BudgetLimit, PeriodKind, SetBudgetsRequest, set_budget_result};
use pathway_proto::pathway::processor::v1::{
    AwaitProcessedRequest, Event, EventPosition, PublishRequest, publish_result,
};
use pathway_rpc::{from_item_status, to_money};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::events::{CURRENCY, Stream};
use crate::client::{Mesh, answer, request, request_within};
use crate::output::note;

/// The topic of the main job.
const TOPIC: &str = "transactions";
/// How many events travel together at saturation.
pub(super) const BATCH: usize = 512;
/// How many batches are under way at once.
pub(super) const IN_FLIGHT: usize = 4;
/// How many calls are under way at once where many users are set up or asked.
const CALLS: usize = 16;
/// How long the wait for processing may take before it is begun again.
const WAIT: Duration = Duration::from_secs(120);
/// How long events may stay unprocessed before something must be wrong.
const GIVE_UP: Duration = Duration::from_secs(1_800);
/// How often a call is made again because its connection was cut, and after how long.
const MOST_CUTS: u32 = 5;
const AFTER_CUT: Duration = Duration::from_millis(200);
/// How long a publisher waits where the service asks it to slow down and does not say for how long.
const SLOW_DOWN: Duration = Duration::from_millis(20);

/// For each partition the last offset that was taken.
#[derive(Debug, Default)]
pub(super) struct Last(BTreeMap<i32, i64>);

// === impl Last ===

impl Last {
    pub(super) fn extend(&mut self, positions: Vec<EventPosition>) {
        for position in positions {
            let last = self.0.entry(position.partition).or_insert(position.offset);
            *last = position.offset.max(*last);
        }
    }

    /// Waits until everything up to here has been processed.
    pub(super) async fn processed(&self, mesh: &Mesh) -> Result<(), Fault> {
        let begun = Instant::now();
        let positions: Vec<EventPosition> =
            self.0.iter().map(|(&partition, &offset)| EventPosition { partition, offset }).collect();
        let mut cuts = 0;
        loop {
            let message = AwaitProcessedRequest { topic: TOPIC.to_owned(), positions: positions.clone() };
            match answer(mesh.processor.clone().await_processed(request_within(message, WAIT)).await) {
                Err(fault) if fault.code() == Code::DeadlineExceeded && begun.elapsed() < GIVE_UP => {}
                Err(fault) if fault.code() == Code::Unavailable && cuts < MOST_CUTS => {
                    cuts += 1;
                    tokio::time::sleep(AFTER_CUT).await;
                }
                ended => return ended.map(|_| ()),
            }
        }
    }
}

/// Publishes a batch and answers where its events are; waits where the service asks for it. Where the connection was cut the batch is sent
/// again, and said so: it changes no total, but it costs.
pub(super) async fn publish(mesh: &Mesh, events: Vec<Vec<u8>>) -> Result<Vec<EventPosition>, Fault> {
    let events: Vec<Event> = events.into_iter().map(|data| Event { data, ..Event::default() }).collect();
    let mut cuts = 0;
    loop {
        let message =
            PublishRequest { topic: TOPIC.to_owned(), events: events.clone(), ..PublishRequest::default() };
        match answer(mesh.processor.clone().publish(request(message)).await) {
            Ok(response) => {
                return response.results.into_iter().map(|result| accepted(result.result)).collect();
            }
            Err(fault) if fault.code() == Code::ResourceExhausted => {
                tokio::time::sleep(fault.retry_after().unwrap_or(SLOW_DOWN)).await;
            }
            Err(fault) if fault.code() == Code::Unavailable && cuts < MOST_CUTS => {
                cuts += 1;
                note(&format!("warning: a batch is published again: {}", fault.message()));
                tokio::time::sleep(AFTER_CUT).await;
            }
            Err(fault) => return Err(fault),
        }
    }
}

/// Publishes `count` events of a stream in batches, several under way, and notes the sizes of the batches. Answers where the last ones are.
pub(super) async fn saturate(
    mesh: &Mesh,
    stream: &mut Stream,
    sizes: &mut Vec<usize>,
    count: u64,
    bar: &ProgressBar,
) -> Result<Last, Fault> {
    let (mut last, mut under_way) = (Last::default(), JoinSet::new());
    let mut left = count;
    while left > 0 || !under_way.is_empty() {
        while left > 0 && under_way.len() < IN_FLIGHT {
            let size = usize::try_from(left).unwrap_or(BATCH).min(BATCH);
            let batch = stream.batch(size).map_err(Fault::internal)?;
            sizes.push(size);
            left -= size as u64;
            let (mesh, events) = (mesh.clone(), batch.iter().map(super::events::Spend::to_json).collect());
            under_way.spawn(async move { publish(&mesh, events).await });
        }
        if let Some(ended) = under_way.join_next().await {
            last.extend(ended.map_err(Fault::internal)??);
            bar.set_position(count - left);
        }
    }
    Ok(last)
}

/// Gives users limits for each month: of each user's name its categories with their limits in minor units.
pub(super) async fn set_budgets(
    mesh: &Mesh,
    budgets: impl Iterator<Item = (String, Vec<(String, i64)>)>,
) -> Result<(), Fault> {
    let currency = Currency::parse(CURRENCY).map_err(Fault::internal)?;
    let limit = |(category, minor)| BudgetLimit {
        category,
        limit: Some(to_money(Money::new(minor, currency))),
        ..BudgetLimit::default()
    };
    let messages = budgets.map(|(user_id, limits)| SetBudgetsRequest {
        user_id,
        limits: limits.into_iter().map(limit).collect(),
        period_kind: PeriodKind::Month.into(),
        time_zone: "UTC".to_owned(),
        ..SetBudgetsRequest::default()
    });
    for_each(messages, |message| {
        let mut client = mesh.analytics.clone();
        async move {
            let response = answer(client.set_budgets(request(message)).await)?;
            let refused = response.results.into_iter().find_map(|result| match result.result {
                Some(set_budget_result::Result::Error(error)) => Some(from_item_status(error)),
                _ => None,
            });
            refused.map_or(Ok(()), Err)
        }
    })
    .await
}

/// Makes a call for each item, several under way at once; ends with the first that fails.
pub(super) async fn for_each<T, F>(
    items: impl Iterator<Item = T>,
    mut call: impl FnMut(T) -> F,
) -> Result<(), Fault>
where
    F: Future<Output = Result<(), Fault>> + Send + 'static,
{
    let mut under_way = JoinSet::new();
    for item in items {
        if under_way.len() >= CALLS
            && let Some(ended) = under_way.join_next().await
        {
            ended.map_err(Fault::internal)??;
        }
        under_way.spawn(call(item));
    }
    while let Some(ended) = under_way.join_next().await {
        ended.map_err(Fault::internal)??;
    }
    Ok(())
}

fn accepted(result: Option<publish_result::Result>) -> Result<EventPosition, Fault> {
    match result {
        Some(publish_result::Result::Accepted(position)) => Ok(position),
        Some(publish_result::Result::Error(error)) => Err(from_item_status(error)),
        None => Err(Fault::internal("a publish result without content")),
    }
}
