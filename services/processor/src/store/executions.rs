//! Executions: what ran.
//!
//! # Why there is one index, and a bound on the work
//! Each index costs something for every event, and nobody looks at most executions. Ids are time-ordered, so the primary key lists them by age, and that
//! is the only order there is. A filter is applied while the table is walked from the newest on; a page ends when it is full or when so many rows have been
//! looked at, and its token says where to go on. So a question that matches little answers with short pages, and never holds the store up.

use pathway_engine::NodeStatus;
use pathway_store::{Row, Val};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Store;
use crate::error::ProcessorError;

pub(super) const ADD_EXECUTION: &str = "INSERT INTO executions
     (id, pathway, version, event_id, topic, partition_id, position, status, nodes, started_at_us, duration_us, trace_id,
      partition_key, error_code)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT (id) DO NOTHING";
const LIST_EXECUTIONS: &str =
    "SELECT id, pathway, version, event_id, topic, partition_id, position, status, nodes, started_at_us,
     duration_us, trace_id, partition_key, error_code FROM executions
     WHERE id < $1 AND id >= $2 AND ($3 = '' OR pathway = $3) AND ($4 = 0 OR status = $4)
     AND ($5 = '' OR partition_key = $5) AND ($6 = '' OR error_code = $6) AND ($7 = '' OR event_id = $7)
     AND ($8 = '' OR topic = $8) AND started_at_us >= $9 AND started_at_us < $10 ORDER BY id DESC LIMIT $11";
const LAST_LOOKED_AT: &str = "SELECT id FROM executions WHERE id < $1 ORDER BY id DESC LIMIT 1 OFFSET $2";
const GET_EXECUTION: &str =
    "SELECT id, pathway, version, event_id, topic, partition_id, position, status, nodes, started_at_us,
     duration_us, trace_id, partition_key, error_code FROM executions WHERE id = $1";
const NEWEST_TO_GO: &str = "SELECT id FROM executions ORDER BY id DESC LIMIT 1 OFFSET $1";
/// What waits as a dead letter is not over.
const TRIM: &str = "DELETE FROM executions WHERE id IN (
     SELECT id FROM executions WHERE id <= $1 AND NOT EXISTS (
       SELECT 1 FROM dead_letters WHERE dead_letters.execution_id = executions.id AND resolution IS NULL)
     ORDER BY id LIMIT $2)";
/// The most rows that a page looks at.
const LOOKED_AT: i64 = 10_000;
/// How many rows one transaction removes: few enough that a batch behind it hardly waits.
const CHUNK: i64 = 2_000;

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
    pub(crate) partition_key: String,
    /// The failure's code; empty where it succeeded.
    pub(crate) error_code: String,
}

/// What one node did, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeRecord {
    pub(crate) node: String,
    /// 1 succeeded, 2 failed, 3 skipped, 4 fell back, 5 reused.
    pub(crate) status: i32,
    pub(crate) attempts: i32,
    pub(crate) duration_us: i64,
    pub(crate) error_code: String,
    /// Counted from the beginning of the execution.
    #[serde(default)]
    pub(crate) started_after_us: i64,
}

/// Which executions; what is empty or none means any.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExecutionFilter {
    pub(crate) pathway: String,
    pub(crate) status: Option<Status>,
    pub(crate) partition_key: String,
    pub(crate) error_code: String,
    pub(crate) event_id: String,
    pub(crate) topic: String,
    pub(crate) started_from_us: Option<i64>,
    pub(crate) started_before_us: Option<i64>,
}

/// Which executions are removed: those beyond the newest `keep`, and those whose event was published before an instant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trim {
    pub(crate) keep: i64,
    pub(crate) before_us: i64,
}

// === impl Store ===

impl Store {
    /// Executions before an id, newest first, and where the next page begins, if there is one.
    pub(crate) async fn executions(
        &self,
        before: Uuid,
        filter: ExecutionFilter,
        limit: i64,
    ) -> Result<(Vec<Execution>, Option<Uuid>), ProcessorError> {
        self.db
            .read(move |tx| {
                let before = Val::from(before.into_bytes());
                let looked_at = tx.query(LAST_LOOKED_AT, &[before.clone(), (LOOKED_AT - 1).into()])?;
                let last = looked_at.first().map(|row| row.id(0)).transpose()?;
                let key = [
                    before,
                    last.unwrap_or_default().into(),
                    Val::from(&filter.pathway),
                    filter.status.map_or(0, Status::code).into(),
                    Val::from(&filter.partition_key),
                    Val::from(&filter.error_code),
                    Val::from(&filter.event_id),
                    Val::from(&filter.topic),
                    filter.started_from_us.unwrap_or(i64::MIN).into(),
                    filter.started_before_us.unwrap_or(i64::MAX).into(),
                    limit.into(),
                ];
                let rows = tx.query(LIST_EXECUTIONS, &key)?;
                let found: Vec<Execution> = rows.iter().map(execution).collect::<Result<_, _>>()?;
                let is_full = i64::try_from(found.len()).is_ok_and(|count| count >= limit);
                let next = match found.last().filter(|_| is_full) {
                    Some(last) => Some(last.id),
                    None => last.map(Uuid::from_bytes),
                };
                Ok((found, next))
            })
            .await
    }

    /// One execution.
    pub(crate) async fn execution(&self, id: Uuid) -> Result<Option<Execution>, ProcessorError> {
        let rows = self.db.query(GET_EXECUTION, vec![id.into_bytes().into()]).await?;
        rows.first().map(execution).transpose()
    }

    /// Removes old executions, in pieces; answers how many. What waits as a dead letter stays.
    pub(crate) async fn trim(&self, trim: Trim) -> Result<u64, ProcessorError> {
        let rows = self.db.query(NEWEST_TO_GO, vec![trim.keep.max(0).into()]).await?;
        let by_count = rows.first().map(|row| row.id(0)).transpose()?.unwrap_or_default();
        let newest = by_count.max(oldest_id_of(trim.before_us));
        let mut removed = 0;
        loop {
            let row: [Val; 2] = [newest.into(), CHUNK.into()];
            let chunk = self.db.write(move |tx| tx.execute(TRIM, &row)).await?;
            removed += chunk;
            if chunk < CHUNK.unsigned_abs() {
                return Ok(removed);
            }
        }
    }
}

// === impl Status ===

impl Status {
    pub(super) const fn code(self) -> i64 {
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
            NodeStatus::FellBack => 4,
            NodeStatus::Reused => 5,
        }
    }
}

/// The smallest id (UUIDv7) of an instant: its first 48 bits are milliseconds.
fn oldest_id_of(us: i64) -> [u8; 16] {
    let milliseconds = u128::try_from(us / 1_000).unwrap_or(0);
    (milliseconds << 80).to_be_bytes()
}

pub(super) fn execution_row(execution: &Execution) -> Result<Vec<Val>, ProcessorError> {
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
        Val::from(&execution.partition_key),
        Val::from(&execution.error_code),
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
        partition_key: row.text(12)?.to_owned(),
        error_code: row.text(13)?.to_owned(),
    })
}
