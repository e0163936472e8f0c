//! The queries, in this service's words.

mod calls;
mod dead_letters;
mod executions;
mod pathways;
mod replays;

use std::sync::Arc;

use pathway_store::{Db, Migration, Once, REQUESTS, StoreConfig, StoreError, Val};
use pathway_topics::Topics;

use crate::error::ProcessorError;
pub(crate) use calls::{Reserving, Stood, answer_in, reserve_in};
pub(crate) use dead_letters::{DeadLetter, Group, LetterFilter, Resolution, resolve_in};
pub(crate) use executions::{Execution, ExecutionFilter, NodeRecord, Status, Trim};
pub(crate) use pathways::{Activation, Origin, Start, Version};
pub(crate) use replays::{Replay, ReplayState, ReplayStep, is_replay};

const MIGRATIONS: [Migration; 7] = [
    Migration { number: 1, name: "executions", sql: include_str!("../migrations/0001_executions.sql") },
    Migration { number: 2, name: "resolutions", sql: include_str!("../migrations/0002_resolutions.sql") },
    Migration { number: 3, name: "pathways", sql: include_str!("../migrations/0003_pathways.sql") },
    Migration { number: 4, name: "inspection", sql: include_str!("../migrations/0004_inspection.sql") },
    Migration { number: 5, name: "replays", sql: include_str!("../migrations/0005_replays.sql") },
    Migration { number: 6, name: "calls", sql: include_str!("../migrations/0006_calls.sql") },
    REQUESTS,
];

/// What a batch leaves behind.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) topic: String,
    pub(crate) group: String,
    pub(crate) partition: i32,
    pub(crate) next: i64,
    pub(crate) executions: Arc<Vec<Execution>>,
    pub(crate) dead_letters: Vec<DeadLetter>,
    /// Where the batch is one of a replay: what it adds to that.
    pub(crate) replay: Option<ReplayStep>,
}

/// Executions and dead letters; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    db: Db,
}

// === impl Store ===

impl Store {
    pub(crate) async fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        let migrations = MIGRATIONS.iter().chain(pathway_topics::MIGRATIONS).copied().collect();
        Ok(Self { db: Db::open(config, migrations).await? })
    }

    /// Whether the store answers.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        self.db.ping().await
    }

    /// The database, for the topics that live beside these tables.
    pub(crate) fn db(&self) -> Db {
        self.db.clone()
    }

    /// What the same call was answered before, if it was done.
    pub(crate) async fn answered(&self, once: &Once) -> Result<Option<Vec<u8>>, ProcessorError> {
        let once = once.clone();
        Ok(self.db.read(move |tx| once.find(tx)).await?)
    }

    /// Keeps what a batch left behind and its offset, in one transaction.
    pub(crate) async fn end(&self, ended: Ended) -> Result<(), ProcessorError> {
        let executions: Vec<Vec<Val>> =
            ended.executions.iter().map(executions::execution_row).collect::<Result<_, _>>()?;
        let dead_letters: Vec<Vec<Val>> =
            ended.dead_letters.iter().map(dead_letters::dead_letter_row).collect::<Result<_, _>>()?;
        self.db
            .write(move |tx| {
                if let Some(step) = ended.replay {
                    step.keep(tx, dead_letters.len())?;
                }
                tx.execute_many(executions::ADD_EXECUTION, &executions)?;
                tx.execute_many(dead_letters::ADD_DEAD_LETTER, &dead_letters)?;
                Topics::commit_in(tx, &ended.topic, &ended.group, ended.partition, ended.next)?;
                Ok::<_, ProcessorError>(())
            })
            .await
    }
}
