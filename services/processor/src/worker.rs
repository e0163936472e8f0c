//! Running a partition.
//!
//! A worker takes what is there, runs the pathway over it, and commits. It has no state but the committed offset, so it can die at any moment: the
//! next one begins where the last commit was. Partitions run side by side, so while one waits for a peer or a disk, others work.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use pathway_engine::{
    BatchOutcome, Definition, DefinitionError, EventOutcome, Failure, Input, Pathway, Position,
};
use pathway_kernel::{Backoff, Code, Fault, Rng, stable_id};
use pathway_topics::StoredEvent;
use prost::Message as _;
use serde_json::{Map, Value};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::events::Envelope;
use crate::processing::Processing;
use crate::store::{DeadLetter, Ended, Execution, NodeRecord, Status};

/// The most events of a batch where no version is active that says how many.
const BATCH: usize = 512;
/// The longest that a parked partition waits before it tries again.
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// How often a worker looks without having been woken: another process may append to a shared store.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The worker of one partition.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) partition: i32,
    /// The pathway's name, which is also that of its group in the topic.
    pub(crate) pathway: String,
    pub(crate) topic: String,
    pub(crate) processing: Processing,
    pub(crate) rng: Rng,
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
        let span = tracing::info_span!("worker", pathway = self.pathway, partition = self.partition);
        let _ = shutdown.run_until_cancelled(self.work().instrument(span)).await;
    }

    async fn work(&self) {
        let mut appended = self.processing.topics.subscribe_appends(&self.topic);
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
        let topics = &self.processing.topics;
        let next = topics.committed(&self.topic, &self.pathway, self.partition).await?;
        let mut stored = topics.fetch(&self.topic, self.partition, next, self.batch()).await?;
        let Some(first) = stored.first().map(|event| event.offset) else { return Ok(false) };
        // Asked for after the events were read: every activation that decides one of them is known.
        let current = self.processing.registry.current().await?;
        let line = current.line(&self.pathway).ok_or_else(|| not_registered(&self.pathway))?;
        let (stretch, until) = line.at(self.partition, first);
        stored.retain(|event| event.offset < until);
        let next = stored.last().map_or(first, |event| event.offset + 1);
        match &stretch.pathway {
            None => self.end(next, Vec::new(), Vec::new()).await?,
            Some(Err(mistakes)) => return Err(not_runnable(&self.pathway, mistakes)),
            Some(Ok(pathway)) => {
                let mut events: Vec<Event> = stored.into_iter().map(|stored| self.event(stored)).collect();
                limit(&mut events, pathway.definition());
                let next = events.last().map_or(next, |event| event.stored.offset + 1);
                let span = batch_span(&events);
                self.run_batch(pathway, events, next, attempt, &span).instrument(span.clone()).await?;
            }
        }
        Ok(true)
    }

    /// How many events to read: as many as the version that is active takes at once.
    fn batch(&self) -> usize {
        let known = self.processing.registry.known();
        let active = known.line(&self.pathway).and_then(|line| line.active());
        active.map_or(BATCH, |pathway| pathway.definition().limits().batch)
    }

    async fn run_batch(
        &self,
        pathway: &Pathway,
        events: Vec<Event>,
        next: i64,
        attempt: u32,
        span: &tracing::Span,
    ) -> Result<(), Fault> {
        let (started_at_us, begun) = (self.processing.clock.now_us(), Instant::now());
        // An offset names an event only within its topic.
        let epoch: Arc<str> = format!("{}/{}", self.processing.topics.epoch(), self.topic).into();
        let inputs = events.iter().map(|event| event.input(&epoch)).collect();
        let outcomes = match pathway.run(inputs).await {
            BatchOutcome::Done(outcomes) => outcomes,
            BatchOutcome::Park(fault) => return Err(fault),
        };
        let run = Run {
            worker: self,
            version: pathway.definition().version(),
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
        self.end(next, executions, dead_letters).await
    }

    /// Keeps what a batch left behind, with the offset.
    async fn end(
        &self,
        next: i64,
        executions: Vec<Execution>,
        dead_letters: Vec<DeadLetter>,
    ) -> Result<(), Fault> {
        let ended = Ended {
            topic: self.topic.clone(),
            group: self.pathway.clone(),
            partition: self.partition,
            next,
            executions: executions.clone(),
            dead_letters,
        };
        self.processing.store.end(ended).await?;
        self.processing.topics.notify_committed(&self.topic, &self.pathway, self.partition, next);
        // Nobody may be watching.
        let _ = self.processing.ended.send(Arc::new(executions));
        Ok(())
    }

    fn event(&self, stored: StoredEvent) -> Event {
        // What was appended was an envelope; anything else has no data and fails by its schema, as a dead letter.
        let envelope = Envelope::decode(&*stored.payload).unwrap_or_default();
        let (partition, offset) = (stored.partition.to_string(), stored.offset.to_string());
        let epoch = self.processing.topics.epoch();
        let parts = [epoch, self.pathway.as_str(), self.topic.as_str(), partition.as_str(), offset.as_str()];
        let execution_id = stable_id(stored.appended_at_us, &parts);
        Event { stored, envelope, execution_id }
    }
}

// === impl Event ===

impl Event {
    /// The key that keeps it in order with others.
    fn key(&self, definition: &Definition) -> String {
        if !self.envelope.partition_key.is_empty() {
            return self.envelope.partition_key.clone();
        }
        let data = serde_json::from_slice(&self.envelope.data).unwrap_or(Value::Null);
        // It had one when it was published; where the version says otherwise now, it is alone.
        definition.key(&data).unwrap_or_else(|_| self.stored.offset.to_string())
    }

    fn input(&self, epoch: &Arc<str>) -> Input {
        Input {
            event_id: self.envelope.id.clone(),
            position: Position {
                epoch: Arc::clone(epoch),
                partition: self.stored.partition,
                offset: self.stored.offset,
            },
            data: serde_json::from_slice(&self.envelope.data).unwrap_or(Value::Null),
            done: Map::new(),
        }
    }
}

/// Cuts a batch at the first event that is one too many, of all or of its key. What follows stays behind it, in order.
fn limit(events: &mut Vec<Event>, definition: &Definition) {
    let limits = definition.limits();
    let mut end = events.len().min(limits.batch);
    if limits.per_key < end {
        let mut counts: HashMap<String, usize> = HashMap::new();
        let is_one_too_many = |event: &Event| {
            let count = counts.entry(event.key(definition)).or_default();
            *count += 1;
            *count > limits.per_key
        };
        end = events.iter().position(is_one_too_many).unwrap_or(end).min(end);
    }
    events.truncate(end);
}

/// What the executions of one batch have in common.
struct Run<'a> {
    worker: &'a Worker,
    version: &'a str,
    started_at_us: i64,
    duration_us: i64,
    attempts: i32,
    trace_id: String,
}

// === impl Run ===

impl Run<'_> {
    /// How often a node was tried, those tries included after which the batch was parked.
    fn tries(&self, in_this_run: u32) -> i32 {
        let in_this_run = i32::try_from(in_this_run).unwrap_or(i32::MAX);
        if in_this_run == 0 { 0 } else { (self.attempts - 1).saturating_add(in_this_run) }
    }

    fn execution(&self, event: &Event, outcome: &EventOutcome) -> Execution {
        let nodes = outcome.nodes.iter().map(|run| NodeRecord {
            node: run.node.clone(),
            status: NodeRecord::status_code(run.status),
            attempts: self.tries(run.attempts),
            duration_us: micros(run.duration),
            error_code: run.error.map(Code::name).unwrap_or_default().to_owned(),
            started_after_us: micros(run.started_after),
        });
        Execution {
            id: event.execution_id,
            pathway: self.worker.pathway.clone(),
            version: self.version.to_owned(),
            event_id: event.envelope.id.clone(),
            topic: self.worker.topic.clone(),
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
        let id = event.execution_id.to_string();
        DeadLetter {
            id: stable_id(event.stored.appended_at_us, &["dead letter", id.as_str()]),
            execution_id: event.execution_id,
            pathway: self.worker.pathway.clone(),
            version: self.version.to_owned(),
            topic: self.worker.topic.clone(),
            partition: event.stored.partition,
            offset: event.stored.offset,
            event: event.envelope,
            node: failure.node,
            code: failure.fault.code(),
            reason: failure.fault.reason().to_owned(),
            message: failure.fault.message().to_owned(),
            violations: failure.fault.violations().to_vec(),
            attempts: self.attempts,
            failed_at_us: self.worker.processing.clock.now_us(),
            trace_id: self.trace_id.clone(),
        }
    }
}

/// Activations are never removed, so this is a defect; the partition waits rather than lose an event.
fn not_registered(pathway: &str) -> Fault {
    let message = format!("the pathway `{pathway}` is not in the store any more");
    Fault::new(Code::Unavailable, "UNKNOWN_PATHWAY", message)
}

/// The events wait for a processor that can run their version.
fn not_runnable(pathway: &str, mistakes: &[DefinitionError]) -> Fault {
    let mistakes: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    let message = format!("this processor cannot run a version of `{pathway}`: {}", mistakes.join("; "));
    Fault::new(Code::Unavailable, "NOT_RUNNABLE", message)
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
