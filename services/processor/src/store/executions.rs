//! Executions: what ran.

use pathway_engine::NodeStatus;
use pathway_store::{Row, Val};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Store;
use crate::error::ProcessorError;

pub(super) const ADD_EXECUTION: &str = "INSERT INTO executions
     (id, pathway, version, event_id, topic, partition_id, position, status, nodes, started_at_us, duration_us, trace_id)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (id) DO NOTHING";
const LIST_EXECUTIONS: &str =
    "SELECT id, pathway, version, event_id, topic, partition_id, position, status, nodes,
     started_at_us, duration_us, trace_id FROM executions
     WHERE id < $1 AND ($2 = '' OR pathway = $2) AND ($3 = 0 OR status = $3) ORDER BY id DESC LIMIT $4";
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
    /// 1 succeeded, 2 failed, 3 skipped, 4 fell back, 5 reused.
    pub(crate) status: i32,
    pub(crate) attempts: i32,
    pub(crate) duration_us: i64,
    pub(crate) error_code: String,
    /// Counted from the beginning of the execution.
    #[serde(default)]
    pub(crate) started_after_us: i64,
}

// === impl Store ===

impl Store {
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
            NodeStatus::FellBack => 4,
            NodeStatus::Reused => 5,
        }
    }
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
