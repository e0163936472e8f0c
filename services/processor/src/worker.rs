//! Running a partition.
//!
//! A worker takes what is there, runs the pathway over it, and commits. It has no state but the committed offset, so it can die at any moment: the
//! next one begins where the last commit was. Partitions run side by side, so while one waits for a peer or a disk, others work.

mod event;
mod pace;
mod record;
mod trace;

use std::sync::Arc;
use std::time::Duration;

use pathway_engine::{BatchOutcome, DefinitionError, Pathway};
use pathway_kernel::{Code, Fault, Rng};
use pathway_telemetry::LOGS;
use pathway_topics::StoredEvent;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::processing::Processing;
use event::{Event, limit};
use pace::Pace;
pub(crate) use pace::{park, parked_for};
use record::{Run, alerts};
use trace::BatchTrace;

/// The most events of a batch where no version is active that says how many.
const BATCH: usize = 512;
/// How often a worker looks without having been woken: another process may append to a shared store.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The worker of one partition.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) partition: i32,
    /// The pathway's name.
    pub(crate) pathway: String,
    /// The group whose cursor moves: the pathway's name, or that of a replay.
    pub(crate) group: String,
    /// The replay that this is for.
    pub(crate) replay: Option<Uuid>,
    pub(crate) topic: String,
    pub(crate) processing: Processing,
    pub(crate) rng: Rng,
}

/// What a step came to.
enum Stepped {
    /// There was nothing to run; what comes next will be at this offset.
    Idle(i64),
    /// Everything before this offset has been run.
    Reached(i64),
}

// === impl Worker ===

impl Worker {
    /// Works until `shutdown`. A batch that is under way is abandoned: it was not committed, so it runs again.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let span =
            tracing::info_span!(target: LOGS, "worker", pathway = self.pathway, partition = self.partition);
        let _ = shutdown.run_until_cancelled(self.work().instrument(span)).await;
    }

    async fn work(&self) {
        let mut appended = self.processing.topics.subscribe_appends(&self.topic);
        let (mut tries, mut pace) = (0, Pace::Full);
        // Where no other process may have the partition, the worker itself knows how far it has come.
        let is_alone = !self.processing.store.db().is_shared();
        let mut reached = None;
        loop {
            // Marked as seen before the log is read: what is appended after that wakes us again.
            appended.borrow_and_update();
            let stepped = self.step(tries + 1, pace, reached).await;
            reached = match &stepped {
                Ok(Stepped::Idle(next) | Stepped::Reached(next)) if is_alone => Some(*next),
                Ok(_) | Err(_) => None,
            };
            match stepped {
                Ok(Stepped::Reached(_)) => {
                    self.unpark(tries);
                    (tries, pace) = (0, pace.went_well());
                }
                Ok(Stepped::Idle(_)) => {
                    self.unpark(tries);
                    tries = 0;
                    // The sender lives as long as the topics that we hold.
                    let _ = tokio::time::timeout(LOOK_AGAIN, appended.changed()).await;
                }
                Err(fault) => {
                    let wait = parked_for(&fault, tries, &self.rng);
                    let (code, reason, wait_ms) = (fault.code().name(), fault.reason(), wait.as_millis());
                    tracing::warn!(code, reason, wait_ms, attempt = tries + 1, "parked");
                    if tries == 0 {
                        self.processing.metrics.parked(&self.pathway, true);
                    }
                    (tries, pace) = (tries.saturating_add(1), Pace::Canary);
                    park(wait, self.processing.tools.breakers()).await;
                }
            }
        }
    }

    /// Counts the partition as one that goes on, where it had waited.
    fn unpark(&self, tries: u32) {
        if tries > 0 {
            self.processing.metrics.parked(&self.pathway, false);
        }
    }

    /// Runs one batch from `reached` on, or from the committed offset. An error means that it has to be run again.
    async fn step(&self, attempt: u32, pace: Pace, reached: Option<i64>) -> Result<Stepped, Fault> {
        let topics = &self.processing.topics;
        let begin = match reached {
            Some(reached) => reached,
            None => topics.committed(&self.topic, &self.group, self.partition).await?,
        };
        let most = pace.at_most(self.batch());
        let mut stored = topics.fetch(&self.topic, self.partition, begin, most).await?;
        let Some(first) = stored.first().map(|event| event.offset) else { return Ok(Stepped::Idle(begin)) };
        // Asked for after the events were read: every activation that decides one of them is known.
        let current = self.processing.registry.current().await?;
        let line = current.line(&self.pathway).ok_or_else(|| not_registered(&self.pathway))?;
        let (stretch, until) = line.at(self.partition, first);
        stored.retain(|event| event.offset < until);
        let next = match &stretch.pathway {
            None => {
                let next = stored.last().map_or(first, |event| event.offset + 1);
                self.end(next, Vec::new(), Vec::new(), 0).await?;
                next
            }
            Some(Err(mistakes)) => return Err(not_runnable(&self.pathway, mistakes)),
            Some(Ok(pathway)) => self.run_stored(pathway, stored, attempt).await?.unwrap_or(first),
        };
        Ok(Stepped::Reached(next))
    }

    /// Runs a batch of at most `most` events before `end` with a version of a replay; answers by how many offsets it came further, 0 at the end.
    pub(crate) async fn step_to(
        &self,
        pathway: &Pathway,
        end: i64,
        most: usize,
        attempt: u32,
    ) -> Result<i64, Fault> {
        let topics = &self.processing.topics;
        let begun = topics.committed(&self.topic, &self.group, self.partition).await?;
        if begun >= end {
            return Ok(0);
        }
        let most = most.clamp(1, pathway.definition().limits().batch);
        let mut stored = topics.fetch(&self.topic, self.partition, begun, most).await?;
        stored.retain(|event| event.offset < end);
        let next = self.run_stored(pathway, stored, attempt).await?;
        if next.is_none() {
            // What there was had been removed before the replay held it.
            self.end(end, Vec::new(), Vec::new(), end - begun).await?;
        }
        Ok(next.unwrap_or(end) - begun)
    }

    /// Runs as many of these events as go into one batch; answers the offset behind the last of them, none where there are none.
    async fn run_stored(
        &self,
        pathway: &Pathway,
        stored: Vec<StoredEvent>,
        attempt: u32,
    ) -> Result<Option<i64>, Fault> {
        let definition = pathway.definition();
        let read = |stored| Event::read(self, definition, stored);
        let mut events: Vec<Event> = stored.into_iter().map(read).collect();
        limit(&mut events, definition);
        let Some(next) = events.last().map(|event| event.stored.offset + 1) else { return Ok(None) };
        self.run_batch(pathway, events, next, attempt).await?;
        Ok(Some(next))
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
    ) -> Result<(), Fault> {
        let trace = BatchTrace::begin(self, &events, attempt);
        let ran = self.run_traced(pathway, events, next, attempt, &trace);
        let ran = ran.instrument(trace.span.clone()).await;
        if let Err(fault) = &ran {
            trace.parked(fault);
        }
        ran
    }

    async fn run_traced(
        &self,
        pathway: &Pathway,
        mut events: Vec<Event>,
        next: i64,
        attempt: u32,
        trace: &BatchTrace,
    ) -> Result<(), Fault> {
        let (started_at_us, begun) = (self.processing.clock.now_us(), Instant::now());
        // An offset names an event only within its topic.
        let epoch: Arc<str> = format!("{}/{}", self.processing.topics.epoch(), self.topic).into();
        let version = pathway.definition().version();
        let inputs = events.iter_mut().map(|event| event.input(&epoch, version)).collect();
        let outcomes = match pathway.run(inputs).await {
            BatchOutcome::Done(outcomes) => outcomes,
            BatchOutcome::Park(fault) => return Err(fault),
        };
        let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
        let run = Run {
            worker: self,
            version,
            started_at_us,
            duration_us: micros(begun.elapsed()),
            attempts: i32::try_from(attempt).unwrap_or(i32::MAX),
            trace,
        };
        let metrics = &self.processing.metrics;
        let (batch, oldest) = (events.len(), events.first().map_or(0, |event| event.stored.appended_at_us));
        let alerts = alerts(pathway);
        let (mut executions, mut dead_letters) = (Vec::with_capacity(events.len()), Vec::new());
        for (event, outcome) in events.into_iter().zip(outcomes) {
            trace.ended(self, &event, &outcome, started_at_us, run.duration_us);
            if let Some(delay_us) = run.alert_delay(&event, &outcome, &alerts) {
                metrics.alert(&self.pathway, delay_us);
            }
            if let Some(failure) = &outcome.failure {
                metrics.dead_letter(&self.pathway, failure.fault.code().name());
            }
            executions.push(run.execution(&event, &outcome));
            let answers = outcome.answers;
            dead_letters.extend(outcome.failure.map(|failure| run.dead_letter(event, failure, answers)));
        }
        if !dead_letters.is_empty() {
            tracing::warn!(count = dead_letters.len(), "events failed for good");
        }
        self.end(next, executions, dead_letters, count).await?;
        metrics.batch(&self.pathway, batch, begun.elapsed(), started_at_us - oldest);
        Ok(())
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

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
