//! Running events once more.
//!
//! # Why a replay is a group of its own
//! It has its own cursors, so it goes on after a crash where it was, holds back from retention what it has not yet read, and leaves the cursors of the pathway
//! alone: what is published meanwhile is run meanwhile. It ends where the topic ended when it was begun, or it would never end.
//!
//! # Why it doubles nothing
//! It runs the events at the positions that they have always had, and tools know an event by its position: a record that is at that state already
//! answers as it did before. A service whose store was lost or wiped has not seen the position, takes the event, and so is built anew.
//!
//! # Why it is slow by choice
//! One batch of a replay is under way at a time, over all its partitions, and a rate spaces them. Peers serve what is new at the same time, and a
//! rebuild can wait.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use pathway_engine::Pathway;
use pathway_kernel::{Fault, Rng};
use pathway_telemetry::LOGS;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::error::{ProcessorError, REPLAY_ENDED};
use crate::processing::Processing;
use crate::store::{Replay, ReplayState};
use crate::worker::{Worker, park, parked_for};

/// How often to look for replays that another process was asked for, and for those that could not be run.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How many batches of a paced replay there are in a second.
const BATCHES_PER_SECOND: i64 = 10;

/// Runs replays as they come.
#[derive(Debug)]
pub(crate) struct Replays {
    processing: Processing,
    rng: Rng,
    /// Those that are being run; their tasks end by themselves.
    running: HashMap<Uuid, tokio_util::sync::DropGuard>,
    tasks: TaskTracker,
}

/// One of them.
struct Runner {
    replay: Replay,
    processing: Processing,
    rng: Rng,
}

// === impl Replays ===

impl Replays {
    pub(crate) fn new(processing: Processing, rng: Rng) -> Self {
        Self { processing, rng, running: HashMap::new(), tasks: TaskTracker::new() }
    }

    /// Works until `shutdown`, and until every replay has stopped.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let _ = shutdown.clone().run_until_cancelled(self.start_as_they_come(&shutdown)).await;
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn start_as_they_come(&mut self, shutdown: &CancellationToken) {
        loop {
            if let Err(error) = self.start_new(shutdown).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not look for replays");
            }
            // Time running out only means looking again.
            let _ = tokio::time::timeout(LOOK_AGAIN, self.processing.replays.notified()).await;
        }
    }

    async fn start_new(&mut self, shutdown: &CancellationToken) -> Result<(), ProcessorError> {
        let replays = self.processing.store.running_replays().await?;
        // One that was cancelled is stopped in the middle of its batch, which would be refused.
        self.running.retain(|id, _| replays.iter().any(|replay| replay.id == *id));
        for replay in replays {
            if self.running.contains_key(&replay.id) {
                continue;
            }
            let token = shutdown.child_token();
            self.running.insert(replay.id, token.clone().drop_guard());
            let span = tracing::info_span!(target: LOGS, "replay", pathway = replay.pathway, id = %replay.id);
            let runner = Runner { replay, processing: self.processing.clone(), rng: self.rng.clone() };
            self.tasks.spawn(async move {
                let _ = token.run_until_cancelled(runner.run().instrument(span)).await;
            });
        }
        Ok(())
    }
}

// === impl Runner ===

impl Runner {
    /// Runs it to its end, however often something fails on the way.
    async fn run(self) {
        let mut tries = 0;
        loop {
            match self.work(&mut tries).await {
                Ok(()) => return,
                Err(fault) if fault.reason() == REPLAY_ENDED => return,
                Err(fault) => {
                    let wait = parked_for(&fault, tries, &self.rng);
                    let (code, reason) = (fault.code().name(), fault.reason());
                    tracing::warn!(code, reason, attempt = tries + 1, "a replay waits");
                    tries = tries.saturating_add(1);
                    park(wait, self.processing.tools.breakers()).await;
                }
            }
        }
    }

    async fn work(&self, tries: &mut u32) -> Result<(), Fault> {
        let replay = &self.replay;
        let pathway = self.version().await?;
        let mut is_done = vec![false; replay.ends.len()];
        while is_done.contains(&false) {
            for (partition, (&end, is_done)) in (0..).zip(replay.ends.iter().zip(&mut is_done)) {
                if *is_done {
                    continue;
                }
                let steps = self.worker(partition).step_to(&pathway, end, self.most(), *tries + 1).await?;
                *is_done = steps == 0;
                *tries = 0;
                tokio::time::sleep(self.pause(steps)).await;
            }
        }
        let now_us = self.processing.clock.now_us();
        if self.processing.store.end_replay(replay, ReplayState::Done, now_us).await? {
            tracing::info!(total = replay.total, "a replay has come to its end");
        }
        Ok(())
    }

    /// The version that it was begun with.
    async fn version(&self) -> Result<Arc<Pathway>, Fault> {
        let history = self.processing.pathway(&self.replay.pathway, &self.replay.version).await?;
        Ok(history.chosen.pathway)
    }

    fn worker(&self, partition: i32) -> Worker {
        Worker {
            partition,
            pathway: self.replay.pathway.clone(),
            group: self.replay.group(),
            replay: Some(self.replay.id),
            topic: self.replay.topic.clone(),
            processing: self.processing.clone(),
            rng: self.rng.clone(),
        }
    }

    /// The most events of a batch.
    fn most(&self) -> usize {
        let paced = usize::try_from(self.replay.rate / BATCHES_PER_SECOND).unwrap_or(usize::MAX).max(1);
        if self.replay.rate > 0 { paced } else { usize::MAX }
    }

    /// How long to wait after so many events.
    fn pause(&self, events: i64) -> Duration {
        let micros = events.saturating_mul(1_000_000).checked_div(self.replay.rate).unwrap_or(0);
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }
}
