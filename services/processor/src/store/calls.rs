//! Calls that must not be made twice: what was reserved, and what was answered.

use pathway_engine::{Finalised, Reservation, Standing};
use pathway_store::{Row, Tx, Val};
use serde_json::Value;
use uuid::Uuid;

use super::Store;
use crate::error::ProcessorError;

/// Answers the row that stands afterwards: whoever finds another's token there was not the first.
const RESERVE: &str =
    "INSERT INTO calls (log, partition_id, position, call, owner, token, until_us) VALUES ($1, $2, $3, $4, $5, $6, $7)
     ON CONFLICT (log, partition_id, position, call) DO UPDATE SET call = excluded.call
     RETURNING owner, token, until_us, answer";
const ANSWER: &str =
    "UPDATE calls SET answer = $5 WHERE log = $1 AND partition_id = $2 AND position = $3 AND call = $4";
const RELEASE: &str = "DELETE FROM calls WHERE log = $1 AND partition_id = $2 AND position = $3 AND call = $4
     AND answer IS NULL";
const FORGET: &str = "DELETE FROM calls WHERE log = $1 AND partition_id = $2 AND position < $3";

/// Who reserves, and until when the calls have ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reserving {
    /// The process.
    pub(crate) owner: Uuid,
    /// The reservation, unique within the process.
    pub(crate) token: i64,
    pub(crate) now_us: i64,
    pub(crate) until_us: i64,
}

/// How a call stood before it was reserved.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stood {
    Known(Standing),
    /// Somebody is making it; it ends by then.
    UnderWay {
        until_us: i64,
    },
}

// === impl Store ===

impl Store {
    /// Reserves calls, and answers how each stood before.
    pub(crate) async fn reserve(
        &self,
        calls: Vec<Reservation>,
        who: Reserving,
    ) -> Result<Vec<Stood>, ProcessorError> {
        let is_shared = self.db.is_shared();
        self.db.write(move |tx| reserve_in(tx, &calls, who, is_shared)).await
    }

    /// Keeps what became of calls.
    pub(crate) async fn finalise(&self, calls: Vec<Finalised>) -> Result<(), ProcessorError> {
        let (mut answered, mut released) = (Vec::new(), Vec::new());
        for Finalised { call, answer } in calls {
            let mut row = key(&call);
            match answer {
                Some(answer) => {
                    row.push(answer.to_string().into());
                    answered.push(row);
                }
                None => released.push(row),
            }
        }
        self.db
            .write(move |tx| {
                tx.execute_many(ANSWER, &answered)?;
                tx.execute_many(RELEASE, &released)?;
                Ok(())
            })
            .await
    }

    /// Forgets the calls for events before `first`, which are no longer there to be run again.
    pub(crate) async fn forget_calls(
        &self,
        log: String,
        partition: i32,
        first: i64,
    ) -> Result<u64, ProcessorError> {
        let row = [log.into(), partition.into(), first.into()];
        self.db.write(move |tx| Ok(tx.execute(FORGET, &row)?)).await
    }
}

/// Reserves calls within a transaction.
pub(crate) fn reserve_in(
    tx: &mut Tx<'_>,
    calls: &[Reservation],
    who: Reserving,
    is_shared: bool,
) -> Result<Vec<Stood>, ProcessorError> {
    let row = |call: &Reservation| {
        let mut row = key(call);
        row.extend([who.owner.into_bytes().into(), who.token.into(), who.until_us.into()]);
        row
    };
    let rows: Vec<Vec<Val>> = calls.iter().map(row).collect();
    let answers = tx.query_many(RESERVE, &rows)?;
    let first = |rows: &Vec<Row>| match rows.first() {
        Some(row) => stood(row, who, is_shared),
        None => Err(ProcessorError::Corrupt("a reservation without a row".into())),
    };
    answers.iter().map(first).collect()
}

/// Keeps an answer within a transaction.
pub(crate) fn answer_in(tx: &mut Tx<'_>, call: &Reservation, answer: &Value) -> Result<(), ProcessorError> {
    let mut row = key(call);
    row.push(answer.to_string().into());
    tx.execute(ANSWER, &row)?;
    Ok(())
}

fn stood(row: &Row, who: Reserving, is_shared: bool) -> Result<Stood, ProcessorError> {
    if let Some(answer) = row.opt_text(3)? {
        let answer = serde_json::from_str(answer).map_err(|error| ProcessorError::Corrupt(error.into()))?;
        return Ok(Stood::Known(Standing::Answered(answer)));
    }
    let (is_ours, until_us) = (row.blob(0)? == who.owner.as_bytes(), row.i64(2)?);
    if is_ours && row.i64(1)? == who.token {
        return Ok(Stood::Known(Standing::New));
    }
    // Where the store is one process's own, another owner is a process that is dead.
    let may_live = is_ours || is_shared;
    Ok(if may_live && who.now_us < until_us {
        Stood::UnderWay { until_us }
    } else {
        Stood::Known(Standing::Unknown)
    })
}

/// The call's name within its event: its key without what says which event.
fn key(call: &Reservation) -> Vec<Val> {
    let position = &call.position;
    let event = format!("{}/{}/{}/", position.epoch, position.partition, position.offset);
    let name = call.key.strip_prefix(&event).unwrap_or(&call.key);
    vec![Val::from(&*position.epoch), position.partition.into(), position.offset.into(), name.into()]
}
