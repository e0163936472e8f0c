//! From publish to the notice in the user's live stream.
//!
//! An event that is to be seen at the other end has to cause a notice, so each sample crosses a budget's threshold: its user has a limit of 1.00
//! in a category that nothing else is spent in, and the sample spends 0.85 of it. A user has ten such categories and one open stream.
//!
//! Under load the samples ride in the batches of the background events, one in fifty, and the time runs from the moment at which the batch was
//! *due*, not from when it was sent: a publisher that is late because the machine is busy would otherwise hide just the delays that count.

use std::collections::HashMap;
use std::time::Duration;

use indicatif::ProgressBar;
use pathway_finance::CivilDate;
use pathway_kernel::{Code, Fault};
use pathway_proto::pathway::notifications::v1::WatchNoticesRequest;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tonic::Request;

use super::events::{CURRENCY, Spend, Stream};
use super::load::{Last, publish, set_budgets};
use crate::client::{Mesh, answer};

/// The share of samples among the events under load: one in so many.
const ONE_IN: u64 = 50;
/// Samples of one user.
const OF_USER: u32 = 10;
/// How often a batch is due under load.
const TICK: Duration = Duration::from_millis(5);
/// How long a notice is waited for: a safety net, not a measurement.
const NOTICE_WITHIN: Duration = Duration::from_secs(60);

/// Latencies, sorted.
#[derive(Debug, Clone)]
pub(super) struct Latencies(Vec<Duration>);

/// Users who wait for notices, each with a stream open.
#[derive(Debug)]
struct Watchers {
    prefix: &'static str,
    today: CivilDate,
    arrived: mpsc::UnboundedReceiver<Result<Arrival, Fault>>,
    /// Ends with its owner.
    _streams: JoinSet<()>,
}

/// A notice came: for which sample, and when.
type Arrival = ((String, String), Instant);

// === impl Latencies ===

impl Latencies {
    pub(super) fn new(mut taken: Vec<Duration>) -> Self {
        taken.sort();
        Self(taken)
    }

    /// The latency that `percent` of a hundred do not exceed, in milliseconds.
    pub(super) fn percentile_ms(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
    }
}

/// What one event at a time takes.
#[derive(Debug)]
pub(super) struct OneInFlight {
    /// Until it is accepted: on the disk, in the topic.
    pub(super) accepted: Latencies,
    /// Until its notice is there.
    pub(super) noticed: Latencies,
}

/// One event at a time: the next one is published when the notice of the one before has come.
pub(super) async fn one_in_flight(
    mesh: &Mesh,
    today: CivilDate,
    samples: u32,
    bar: &ProgressBar,
) -> Result<OneInFlight, Fault> {
    // The first ones find connections, caches and pages cold, and do not count.
    let warm_up = samples / 10 + 5;
    let mut watchers = Watchers::open(mesh, "one", today, samples + warm_up).await?;
    let (mut taken, mut accepted) = (Vec::new(), Vec::new());
    for sample in 0..samples + warm_up {
        let begun = Instant::now();
        publish(mesh, vec![watchers.event(sample)]).await?;
        let published = begun.elapsed();
        let (_, arrived) = watchers.next().await?;
        if sample >= warm_up {
            taken.push(arrived.saturating_duration_since(begun));
            accepted.push(published);
        }
        bar.inc(1);
    }
    Ok(OneInFlight { accepted: Latencies::new(accepted), noticed: Latencies::new(taken) })
}

/// At `rate` events a second, one in fifty a sample; notes the sizes of the stream's batches.
pub(super) async fn loaded(
    mesh: &Mesh,
    today: CivilDate,
    (samples, rate): (u32, u32),
    (stream, sizes): (&mut Stream, &mut Vec<usize>),
    bar: &ProgressBar,
) -> Result<Latencies, Fault> {
    let mut watchers = Watchers::open(mesh, "load", today, samples).await?;
    let total = u64::from(samples) * ONE_IN;
    let (mut due_at, mut published) = (HashMap::new(), JoinSet::new());
    let mut ticks = tokio::time::interval(TICK);
    // A tick that was missed is made up for: the rate is what was promised.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut sent, begun) = (0, Instant::now());
    while sent < total {
        let due = ticks.tick().await;
        let elapsed = u64::try_from(due.saturating_duration_since(begun).as_millis()).unwrap_or(u64::MAX);
        let until = (elapsed * u64::from(rate) / 1_000 + 1).min(total);
        if until == sent {
            continue;
        }
        // The last of each fifty is the sample.
        let is_sample = |number: &u64| number % ONE_IN == ONE_IN - 1;
        let own: Vec<u32> = (sent..until)
            .filter(is_sample)
            .filter_map(|number| u32::try_from(number / ONE_IN).ok())
            .collect();
        let count = usize::try_from(until - sent).unwrap_or(0) - own.len();
        let mut events: Vec<Vec<u8>> = Vec::new();
        if count > 0 {
            events.extend(stream.batch(count).map_err(Fault::internal)?.iter().map(Spend::to_json));
            sizes.push(count);
        }
        for sample in own {
            due_at.insert(watchers.key(sample), due);
            events.push(watchers.event(sample));
        }
        let mesh = mesh.clone();
        published.spawn(async move { publish(&mesh, events).await });
        sent = until;
        bar.set_position(sent);
    }
    let mut last = Last::default();
    while let Some(ended) = published.join_next().await {
        last.extend(ended.map_err(Fault::internal)??);
    }
    let mut taken = Vec::new();
    while taken.len() < due_at.len() {
        let (key, arrived) = watchers.next().await?;
        let due =
            due_at.get(&key).ok_or_else(|| Fault::internal("a notice that nothing was published for"))?;
        taken.push(arrived.saturating_duration_since(*due));
    }
    last.processed(mesh).await?;
    Ok(Latencies::new(taken))
}

// === impl Watchers ===

impl Watchers {
    /// Sets the budgets of as many users as the samples need, and opens their streams.
    async fn open(mesh: &Mesh, prefix: &'static str, today: CivilDate, samples: u32) -> Result<Self, Fault> {
        let users: Vec<String> =
            (0..samples.div_ceil(OF_USER)).map(|user| format!("{prefix}-{user}")).collect();
        let limits: Vec<(String, i64)> = (0..OF_USER).map(|number| (category(number), 100)).collect();
        set_budgets(mesh, users.iter().map(|user| (user.clone(), limits.clone()))).await?;
        let (send, arrived) = mpsc::unbounded_channel();
        let mut streams = JoinSet::new();
        for user in users {
            let message = WatchNoticesRequest { user_id: user.clone(), after_sequence: 0 };
            let mut notices = answer(mesh.notifications.clone().watch_notices(Request::new(message)).await)?;
            let send = send.clone();
            streams.spawn(async move {
                loop {
                    let arrival = match notices.message().await {
                        Ok(Some(message)) => {
                            let now = Instant::now();
                            let Some(notice) = message.notice.and_then(|stored| stored.notice) else {
                                continue;
                            };
                            let category = notice.metadata.get("category").cloned().unwrap_or_default();
                            Ok(((user.clone(), category), now))
                        }
                        Ok(None) => Err(Fault::internal("a live stream ended")),
                        Err(status) => Err(pathway_rpc::from_status(status)),
                    };
                    let is_over = arrival.is_err();
                    if send.send(arrival).is_err() || is_over {
                        return;
                    }
                }
            });
        }
        Ok(Self { prefix, today, arrived, _streams: streams })
    }

    /// The user and the category of a sample.
    fn key(&self, sample: u32) -> (String, String) {
        (format!("{}-{}", self.prefix, sample / OF_USER), category(sample % OF_USER))
    }

    fn event(&self, sample: u32) -> Vec<u8> {
        let (user_id, category) = self.key(sample);
        let event = json!({
            "id": format!("sample-{sample}"),
            "user_id": user_id,
            "amount": "0.85",
            "currency": CURRENCY,
            "category": category,
            "transaction_date": self.today.to_string(),
        });
        event.to_string().into_bytes()
    }

    async fn next(&mut self) -> Result<Arrival, Fault> {
        let arrival = tokio::time::timeout(NOTICE_WITHIN, self.arrived.recv()).await;
        let late = || {
            let message = format!("a notice did not come within {} s", NOTICE_WITHIN.as_secs());
            Fault::new(Code::DeadlineExceeded, "NOTICE_MISSING", message)
        };
        arrival.ok().flatten().ok_or_else(late)?
    }
}

fn category(number: u32) -> String {
    format!("watched_{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let latencies = Latencies::new((1..=200).rev().map(Duration::from_millis).collect());
        let near = |percent, ms: f64| (latencies.percentile_ms(percent) - ms).abs() < 1e-9;
        assert!(near(50, 100.0) && near(99, 198.0) && near(100, 200.0));
        assert!(Latencies::new(Vec::new()).percentile_ms(50).abs() < 1e-9);
    }
}
