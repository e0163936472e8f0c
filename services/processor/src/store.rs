//! The queries, in this service's words.

use pathway_engine::NodeStatus;
use pathway_kernel::{Code, Violation};
use pathway_store::{Db, Migration, Row, StoreConfig, StoreError, Val};
use pathway_topics::Topics;
use prost::Message as _;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::ProcessorError;
use crate::events::Envelope;

const MIGRATIONS: [Migration; 2] = [
    Migration { number: 1, name: "executions", sql: include_str!("../migrations/0001_executions.sql") },
    Migration { number: 2, name: "resolutions", sql: include_str!("../migrations/0002_resolutions.sql") },
];

const ADD_EXECUTION: &str = "INSERT INTO executions
     (id, pathway, version, event_id, topic, partition_id, position, status, nodes, started_at_us, duration_us, trace_id)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (id) DO NOTHING";
const ADD_DEAD_LETTER: &str = "INSERT INTO dead_letters
     (id, execution_id, pathway, version, topic, partition_id, position, event, node, code, reason, message, violations,
      attempts, failed_at_us, trace_id)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) ON CONFLICT (id) DO NOTHING";
const LIST_EXECUTIONS: &str =
    "SELECT id, pathway, version, event_id, topic, partition_id, position, status, nodes,
     started_at_us, duration_us, trace_id FROM executions
     WHERE id < $1 AND ($2 = '' OR pathway = $2) AND ($3 = 0 OR status = $3) ORDER BY id DESC LIMIT $4";
const LIST_DEAD_LETTERS: &str =
    "SELECT id, execution_id, pathway, version, topic, partition_id, position, event, node, code,
     reason, message, violations, attempts, failed_at_us, trace_id FROM dead_letters
     WHERE id < $1 AND ($2 = '' OR pathway = $2) AND resolution IS NULL ORDER BY id DESC LIMIT $3";
const COUNT_DEAD_LETTERS: &str =
    "SELECT COUNT(*) FROM dead_letters WHERE ($1 = '' OR pathway = $1) AND resolution IS NULL";
const FIND_DEAD_LETTER: &str =
    "SELECT id, execution_id, pathway, version, topic, partition_id, position, event, node, code,
     reason, message, violations, attempts, failed_at_us, trace_id, resolution FROM dead_letters WHERE id = $1";
const RESOLVE: &str = "UPDATE dead_letters SET resolution = $2, resolution_reason = $3, resolved_at_us = $4
     WHERE id = $1 AND resolution IS NULL";
const TRIM: &str = "DELETE FROM executions
     WHERE id <= (SELECT id FROM executions ORDER BY id DESC LIMIT 1 OFFSET $1)";

/// How an execution ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Succeeded,
    Failed,
}

/// One run of a pathway for one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Execution {
    pub(crate) id: Uuid,
    pub(crate) pathway: String,
    pub(crate) version: String,
    pub(crate) event_id: String,
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) status: Status,
    pub(crate) nodes: Vec<NodeRecord>,
    pub(crate) started_at_us: i64,
    pub(crate) duration_us: i64,
    pub(crate) trace_id: String,
}

/// What one node did, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeRecord {
    pub(crate) node: String,
    /// 1 succeeded, 2 failed, 3 skipped.
    pub(crate) status: i32,
    pub(crate) attempts: i32,
    pub(crate) duration_us: i64,
    pub(crate) error_code: String,
}

/// An event that failed for good.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DeadLetter {
    pub(crate) id: Uuid,
    pub(crate) execution_id: Uuid,
    pub(crate) pathway: String,
    pub(crate) version: String,
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) event: Envelope,
    pub(crate) node: String,
    pub(crate) code: Code,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) violations: Vec<Violation>,
    pub(crate) attempts: i32,
    pub(crate) failed_at_us: i64,
    pub(crate) trace_id: String,
}

/// What became of a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// Its event was published again.
    Redriven,
    /// It was put aside.
    Discarded {
        /// Why.
        reason: String,
    },
}

/// What a batch leaves behind.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) topic: String,
    pub(crate) group: String,
    pub(crate) partition: i32,
    pub(crate) next: i64,
    pub(crate) executions: Vec<Execution>,
    pub(crate) dead_letters: Vec<DeadLetter>,
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

    /// The database, for the topics that live beside these tables.
    pub(crate) fn db(&self) -> Db {
        self.db.clone()
    }

    /// Keeps what a batch left behind and its offset, in one transaction.
    pub(crate) async fn end(&self, ended: Ended) -> Result<(), ProcessorError> {
        let executions: Vec<Vec<Val>> =
            ended.executions.iter().map(execution_row).collect::<Result<_, _>>()?;
        let dead_letters: Vec<Vec<Val>> =
            ended.dead_letters.iter().map(dead_letter_row).collect::<Result<_, _>>()?;
        self.db
            .write(move |tx| {
                tx.execute_many(ADD_EXECUTION, &executions)?;
                tx.execute_many(ADD_DEAD_LETTER, &dead_letters)?;
                Topics::commit_in(tx, &ended.topic, &ended.group, ended.partition, ended.next)?;
                Ok::<_, ProcessorError>(())
            })
            .await
    }

    /// Executions before an id, newest first. No pathway and no status mean any.
    pub(crate) async fn executions(
        &self,
        before: Uuid,
        pathway: &str,
        status: Option<Status>,
        limit: i64,
    ) -> Result<Vec<Execution>, ProcessorError> {
        let key = vec![
            before.into_bytes().into(),
            pathway.into(),
            Val::I64(status.map_or(0, Status::code)),
            limit.into(),
        ];
        self.db.query(LIST_EXECUTIONS, key).await?.iter().map(execution).collect()
    }

    /// Dead letters before an id, newest first, and how many there are in all.
    pub(crate) async fn dead_letters(
        &self,
        before: Uuid,
        pathway: String,
        limit: i64,
    ) -> Result<(Vec<DeadLetter>, i64), ProcessorError> {
        self.db
            .read(move |tx| {
                let key = [Val::from(before.into_bytes()), Val::from(&pathway), limit.into()];
                let letters =
                    tx.query(LIST_DEAD_LETTERS, &key)?.iter().map(dead_letter).collect::<Result<_, _>>()?;
                let total = tx.query(COUNT_DEAD_LETTERS, &key[1..2])?;
                Ok((letters, total.first().map_or(Ok(0), |row| row.i64(0))?))
            })
            .await
    }

    /// The dead letters of some ids, in their order, each with whether it still waits; none where there is no such one.
    pub(crate) async fn find_dead_letters(
        &self,
        ids: &[Uuid],
    ) -> Result<Vec<Option<(DeadLetter, bool)>>, ProcessorError> {
        let keys: Vec<[Val; 1]> = ids.iter().map(|id| [id.into_bytes().into()]).collect();
        self.db
            .read(move |tx| {
                let found = tx.query_many(FIND_DEAD_LETTER, &keys)?;
                let letter = |row: &Row| Ok((dead_letter(row)?, row.opt_text(16)?.is_none()));
                found.iter().map(|rows| rows.first().map(letter).transpose()).collect()
            })
            .await
    }

    /// Notes what became of dead letters; answers for each whether it had been waiting.
    pub(crate) async fn resolve(
        &self,
        ids: Vec<Uuid>,
        resolution: Resolution,
        now_us: i64,
    ) -> Result<Vec<bool>, ProcessorError> {
        self.db
            .write(move |tx| {
                let (name, reason) = match &resolution {
                    Resolution::Redriven => ("redriven", ""),
                    Resolution::Discarded { reason } => ("discarded", reason.as_str()),
                };
                let resolve = |id: &Uuid| {
                    let row = [id.into_bytes().into(), name.into(), reason.into(), now_us.into()];
                    Ok(tx.execute(RESOLVE, &row)? > 0)
                };
                ids.iter().map(resolve).collect()
            })
            .await
    }

    /// Removes all executions but the newest.
    pub(crate) async fn trim(&self, keep: i64) -> Result<u64, ProcessorError> {
        self.db.write(move |tx| Ok(tx.execute(TRIM, &[keep.max(0).into()])?)).await
    }
}

// === impl Status ===

impl Status {
    const fn code(self) -> i64 {
        match self {
            Self::Succeeded => 1,
            Self::Failed => 2,
        }
    }
}

// === impl NodeRecord ===

impl NodeRecord {
    pub(crate) const fn status_code(status: NodeStatus) -> i32 {
        match status {
            NodeStatus::Succeeded => 1,
            NodeStatus::Failed => 2,
            NodeStatus::Skipped => 3,
        }
    }
}

fn execution_row(execution: &Execution) -> Result<Vec<Val>, ProcessorError> {
    let nodes =
        serde_json::to_string(&execution.nodes).map_err(|error| ProcessorError::Corrupt(error.into()))?;
    Ok(vec![
        execution.id.into_bytes().into(),
        Val::from(&execution.pathway),
        Val::from(&execution.version),
        Val::from(&execution.event_id),
        Val::from(&execution.topic),
        execution.partition.into(),
        execution.offset.into(),
        execution.status.code().into(),
        nodes.into(),
        execution.started_at_us.into(),
        execution.duration_us.into(),
        Val::from(&execution.trace_id),
    ])
}

fn execution(row: &Row) -> Result<Execution, ProcessorError> {
    Ok(Execution {
        id: Uuid::from_bytes(row.id(0)?),
        pathway: row.text(1)?.to_owned(),
        version: row.text(2)?.to_owned(),
        event_id: row.text(3)?.to_owned(),
        topic: row.text(4)?.to_owned(),
        partition: row.i32(5)?,
        offset: row.i64(6)?,
        status: if row.i64(7)? == Status::Succeeded.code() { Status::Succeeded } else { Status::Failed },
        nodes: serde_json::from_str(row.text(8)?).map_err(|error| ProcessorError::Corrupt(error.into()))?,
        started_at_us: row.i64(9)?,
        duration_us: row.i64(10)?,
        trace_id: row.text(11)?.to_owned(),
    })
}

fn dead_letter_row(letter: &DeadLetter) -> Result<Vec<Val>, ProcessorError> {
    let violations: Vec<(&str, &str)> =
        letter.violations.iter().map(|v| (v.field.as_str(), v.description.as_str())).collect();
    let violations =
        serde_json::to_string(&violations).map_err(|error| ProcessorError::Corrupt(error.into()))?;
    Ok(vec![
        letter.id.into_bytes().into(),
        letter.execution_id.into_bytes().into(),
        Val::from(&letter.pathway),
        Val::from(&letter.version),
        Val::from(&letter.topic),
        letter.partition.into(),
        letter.offset.into(),
        letter.event.encode_to_vec().into(),
        Val::from(&letter.node),
        letter.code.name().into(),
        Val::from(&letter.reason),
        Val::from(&letter.message),
        violations.into(),
        letter.attempts.into(),
        letter.failed_at_us.into(),
        Val::from(&letter.trace_id),
    ])
}

fn dead_letter(row: &Row) -> Result<DeadLetter, ProcessorError> {
    let code = row.text(9)?;
    let violations: Vec<(String, String)> =
        serde_json::from_str(row.text(12)?).map_err(|error| ProcessorError::Corrupt(error.into()))?;
    Ok(DeadLetter {
        id: Uuid::from_bytes(row.id(0)?),
        execution_id: Uuid::from_bytes(row.id(1)?),
        pathway: row.text(2)?.to_owned(),
        version: row.text(3)?.to_owned(),
        topic: row.text(4)?.to_owned(),
        partition: row.i32(5)?,
        offset: row.i64(6)?,
        event: Envelope::decode(row.blob(7)?).map_err(|error| ProcessorError::Corrupt(error.into()))?,
        node: row.text(8)?.to_owned(),
        code: Code::ALL.into_iter().find(|known| known.name() == code).unwrap_or(Code::Internal),
        reason: row.text(10)?.to_owned(),
        message: row.text(11)?.to_owned(),
        violations: violations.into_iter().map(|(field, what)| Violation::new(field, what)).collect(),
        attempts: row.i32(13)?,
        failed_at_us: row.i64(14)?,
        trace_id: row.text(15)?.to_owned(),
    })
}
