//! Running a partition.
//!
//! A worker takes what is there, runs the pathway over it, and commits. It has no state but the committed offset, so it can die at any moment: the
//! next one begins where the last commit was. Partitions run side by side, so while one waits for a peer or a disk, others work.

use std::sync::Arc;
use std::time::Duration;

use pathway_engine::{BatchOutcome, EventOutcome, Failure, Input, Position};
use pathway_kernel::{Backoff, Clock, Code, Fault, Rng, stable_id};
use pathway_topics::{StoredEvent, Topics};
use prost::Message as _;
use serde_json::Value;
use tokio::sync::broadcast;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::events::Envelope;
use crate::pathways::Shipped;
use crate::store::{DeadLetter, Ended, Execution, NodeRecord, Status, Store};

/// The most events of a batch.
const BATCH: usize = 512;
/// The longest that a parked partition waits before it tries again.
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// How often a worker looks without having been woken: another process may append to a shared store.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The worker of one partition.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) partition: i32,
    pub(crate) shipped: Arc<Shipped>,
    pub(crate) topics: Topics,
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) rng: Rng,
    pub(crate) ended: broadcast::Sender<Arc<Vec<Execution>>>,
}

/// An event that is to be run, with what its history needs.
struct Event {
    stored: StoredEvent,
    envelope: Envelope,
    execution_id: Uuid,
}

// === impl Worker ===

impl Worker {
    /// Works until `shutdown`. A batch that is under way is abandoned: it was not committed, so it runs again.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let span = tracing::info_span!("worker", topic = self.shipped.topic, partition = self.partition);
        let _ = shutdown.run_until_cancelled(self.work().instrument(span)).await;
    }

    async fn work(&self) {
        let mut appended = self.topics.subscribe_appends(&self.shipped.topic);
        let backoff = parked_backoff();
        let mut tries = 0;
        loop {
            // Marked as seen before the log is read: what is appended after that wakes us again.
            appended.borrow_and_update();
            match self.step(tries + 1).await {
                Ok(true) => tries = 0,
                Ok(false) => {
                    tries = 0;
                    // The sender lives as long as the topics that we hold.
                    let _ = tokio::time::timeout(LOOK_AGAIN, appended.changed()).await;
                }
                Err(fault) => {
                    // A peer, or the breaker before it, may know better than we when to come again.
                    let wait = fault.retry_after().unwrap_or_else(|| backoff.delay(tries, &self.rng));
                    let wait = wait.min(LONGEST_WAIT);
                    let (code, reason, wait_ms) = (fault.code().name(), fault.reason(), wait.as_millis());
                    tracing::warn!(code, reason, wait_ms, attempt = tries + 1, "parked");
                    tries = tries.saturating_add(1);
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    /// Runs one batch; false where there was none. An error means that it has to be run again.
    async fn step(&self, attempt: u32) -> Result<bool, Fault> {
        let (topic, group) = (&self.shipped.topic, self.shipped.pathway.definition().name());
        let next = self.topics.committed(topic, group, self.partition).await?;
        let stored = self.topics.fetch(topic, self.partition, next, BATCH).await?;
        let Some(last) = stored.last().map(|event| event.offset) else { return Ok(false) };
        let events: Vec<Event> = stored.into_iter().map(|stored| self.event(stored)).collect();
        let span = batch_span(&events);
        self.run_batch(events, last + 1, attempt, &span).instrument(span.clone()).await?;
        Ok(true)
    }

    async fn run_batch(
        &self,
        events: Vec<Event>,
        next: i64,
        attempt: u32,
        span: &tracing::Span,
    ) -> Result<(), Fault> {
        let (started_at_us, begun) = (self.clock.now_us(), Instant::now());
        let epoch: Arc<str> = self.topics.epoch().into();
        let inputs = events.iter().map(|event| event.input(&epoch)).collect();
        let outcomes = match self.shipped.pathway.run(inputs).await {
            BatchOutcome::Done(outcomes) => outcomes,
            BatchOutcome::Park(fault) => return Err(fault),
        };
        let run = Run {
            worker: self,
            started_at_us,
            duration_us: micros(begun.elapsed()),
            attempts: i32::try_from(attempt).unwrap_or(i32::MAX),
            trace_id: pathway_telemetry::trace_id(span),
        };
        let (mut executions, mut dead_letters) = (Vec::with_capacity(events.len()), Vec::new());
        for (event, outcome) in events.into_iter().zip(outcomes) {
            executions.push(run.execution(&event, &outcome));
            dead_letters.extend(outcome.failure.map(|failure| run.dead_letter(event, failure)));
        }
        if !dead_letters.is_empty() {
            tracing::warn!(count = dead_letters.len(), "events failed for good");
        }
        let ended = Ended {
            topic: self.shipped.topic.clone(),
            group: self.shipped.pathway.definition().name().to_owned(),
            partition: self.partition,
            next,
            executions: executions.clone(),
            dead_letters,
        };
        self.store.end(ended).await?;
        let group = self.shipped.pathway.definition().name();
        self.topics.notify_committed(&self.shipped.topic, group, self.partition, next);
        // Nobody may be watching.
        let _ = self.ended.send(Arc::new(executions));
        Ok(())
    }

    fn event(&self, stored: StoredEvent) -> Event {
        // What was appended was an envelope; anything else has no data and fails by its schema, as a dead letter.
        let envelope = Envelope::decode(&*stored.payload).unwrap_or_default();
        let (partition, offset) = (stored.partition.to_string(), stored.offset.to_string());
        let parts = [self.topics.epoch(), self.shipped.topic.as_str(), partition.as_str(), offset.as_str()];
        let execution_id = stable_id(stored.appended_at_us, &parts);
        Event { stored, envelope, execution_id }
    }
}

// === impl Event ===

impl Event {
    fn input(&self, epoch: &Arc<str>) -> Input {
        Input {
            event_id: self.envelope.id.clone(),
            position: Position {
                epoch: Arc::clone(epoch),
                partition: self.stored.partition,
                offset: self.stored.offset,
            },
            data: serde_json::from_slice(&self.envelope.data).unwrap_or(Value::Null),
        }
    }
}

/// What the executions of one batch have in common.
struct Run<'a> {
    worker: &'a Worker,
    started_at_us: i64,
    duration_us: i64,
    attempts: i32,
    trace_id: String,
}

// === impl Run ===

impl Run<'_> {
    fn execution(&self, event: &Event, outcome: &EventOutcome) -> Execution {
        let definition = self.worker.shipped.pathway.definition();
        let nodes = outcome.nodes.iter().map(|run| NodeRecord {
            node: run.node.clone(),
            status: NodeRecord::status_code(run.status),
            attempts: self.attempts,
            duration_us: micros(run.duration),
            error_code: run.error.map(Code::name).unwrap_or_default().to_owned(),
        });
        Execution {
            id: event.execution_id,
            pathway: definition.name().to_owned(),
            version: definition.version().to_owned(),
            event_id: event.envelope.id.clone(),
            topic: self.worker.shipped.topic.clone(),
            partition: event.stored.partition,
            offset: event.stored.offset,
            status: if outcome.failure.is_none() { Status::Succeeded } else { Status::Failed },
            nodes: nodes.collect(),
            started_at_us: self.started_at_us,
            duration_us: self.duration_us,
            trace_id: self.trace_id.clone(),
        }
    }

    fn dead_letter(&self, event: Event, failure: Failure) -> DeadLetter {
        let definition = self.worker.shipped.pathway.definition();
        let id = event.execution_id.to_string();
        DeadLetter {
            id: stable_id(event.stored.appended_at_us, &["dead letter", id.as_str()]),
            execution_id: event.execution_id,
            pathway: definition.name().to_owned(),
            version: definition.version().to_owned(),
            topic: self.worker.shipped.topic.clone(),
            partition: event.stored.partition,
            offset: event.stored.offset,
            event: event.envelope,
            node: failure.node,
            code: failure.fault.code(),
            reason: failure.fault.reason().to_owned(),
            message: failure.fault.message().to_owned(),
            violations: failure.fault.violations().to_vec(),
            attempts: self.attempts,
            failed_at_us: self.worker.clock.now_us(),
            trace_id: self.trace_id.clone(),
        }
    }
}

/// A batch of one goes on in its event's trace; a larger one has a trace of its own.
fn batch_span(events: &[Event]) -> tracing::Span {
    let span =
        tracing::info_span!("process", otel.kind = "consumer", messaging.batch.message_count = events.len());
    if let [event] = events {
        pathway_telemetry::set_parent(&span, &event.envelope.traceparent);
    }
    span
}

/// A parked partition looks again soon at first, for most outages are a restart. It need not wait long: a peer that stays away is guarded by its
/// breaker, which says when it will be asked again.
fn parked_backoff() -> Backoff {
    Backoff::try_new(Duration::from_millis(200), Duration::from_secs(3), 0.5).unwrap_or_default()
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
