//! Dead letters: what failed for good, and what became of it.

use pathway_kernel::{Code, Violation};
use pathway_store::{Row, Tx, Val};
use prost::Message as _;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::Store;
use crate::error::ProcessorError;
use crate::events::Envelope;

pub(super) const ADD_DEAD_LETTER: &str = "INSERT INTO dead_letters
     (id, execution_id, pathway, version, topic, partition_id, position, event, node, code, reason, message, violations,
      attempts, failed_at_us, trace_id, answers)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) ON CONFLICT (id) DO NOTHING";
/// One text for all, since a filter that is empty means any.
macro_rules! matching {
    () => {
        "resolution IS NULL AND ($1 = '' OR pathway = $1) AND ($2 = '' OR node = $2) AND ($3 = '' OR code = $3)
         AND ($4 = '' OR reason = $4)"
    };
}
macro_rules! columns {
    () => {
        "id, execution_id, pathway, version, topic, partition_id, position, event, node, code, reason, message, violations,
         attempts, failed_at_us, trace_id, answers, resolution, resolution_reason, resolved_at_us"
    };
}
const LIST_DEAD_LETTERS: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM dead_letters WHERE ",
    matching!(),
    " AND id < $5 ORDER BY id DESC LIMIT $6"
);
const COUNT_DEAD_LETTERS: &str = concat!("SELECT COUNT(*) FROM dead_letters WHERE ", matching!());
const GROUP_DEAD_LETTERS: &str = concat!(
    "SELECT pathway, node, code, reason, COUNT(*), MIN(failed_at_us), MAX(failed_at_us), MIN(message) FROM dead_letters WHERE ",
    matching!(),
    " GROUP BY pathway, node, code, reason ORDER BY COUNT(*) DESC, pathway, node, code, reason LIMIT 1000"
);
const FIND_DEAD_LETTER: &str = concat!("SELECT ", columns!(), " FROM dead_letters WHERE id = $1");
const OF_EXECUTION: &str =
    concat!("SELECT ", columns!(), " FROM dead_letters WHERE execution_id = $1 ORDER BY id DESC LIMIT 1");
const RESOLVE: &str = "UPDATE dead_letters SET resolution = $2, resolution_reason = $3, resolved_at_us = $4
     WHERE id = $1 AND resolution IS NULL";

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
    /// What the nodes answered that had succeeded, by name.
    pub(crate) answers: Map<String, Value>,
    /// What became of it; none while it waits.
    pub(crate) resolution: Option<Resolved>,
}

/// What became of a dead letter, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// `redriven` or `discarded`.
    pub(crate) how: String,
    pub(crate) reason: String,
    pub(crate) at_us: i64,
}

/// Which dead letters that wait; what is empty means any.
#[derive(Debug, Clone, Default)]
pub(crate) struct LetterFilter {
    pub(crate) pathway: String,
    pub(crate) node: String,
    pub(crate) code: String,
    pub(crate) reason: String,
}

/// Dead letters that failed alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) pathway: String,
    pub(crate) node: String,
    pub(crate) code: String,
    pub(crate) reason: String,
    pub(crate) count: i64,
    pub(crate) first_at_us: i64,
    pub(crate) last_at_us: i64,
    /// One of their messages.
    pub(crate) message: String,
}

/// What becomes of a dead letter.
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

// === impl Store ===

impl Store {
    /// Dead letters before an id, newest first, and how many there are in all.
    pub(crate) async fn dead_letters(
        &self,
        before: Uuid,
        filter: LetterFilter,
        limit: i64,
    ) -> Result<(Vec<DeadLetter>, i64), ProcessorError> {
        self.db
            .read(move |tx| {
                let [pathway, node, code, reason] = filter.values();
                let key = [pathway, node, code, reason, before.into_bytes().into(), limit.into()];
                let letters =
                    tx.query(LIST_DEAD_LETTERS, &key)?.iter().map(dead_letter).collect::<Result<_, _>>()?;
                let total = tx.query(COUNT_DEAD_LETTERS, &key[..4])?;
                Ok((letters, total.first().map_or(Ok(0), |row| row.i64(0))?))
            })
            .await
    }

    /// Dead letters by cause, the most frequent first.
    pub(crate) async fn dead_letter_groups(
        &self,
        filter: &LetterFilter,
    ) -> Result<Vec<Group>, ProcessorError> {
        let rows = self.db.query(GROUP_DEAD_LETTERS, filter.values().to_vec()).await?;
        rows.iter().map(group).collect()
    }

    /// The dead letters of some ids, in their order, whether they wait or not; none where there is no such one.
    pub(crate) async fn find_dead_letters(
        &self,
        ids: &[Uuid],
    ) -> Result<Vec<Option<DeadLetter>>, ProcessorError> {
        let keys: Vec<[Val; 1]> = ids.iter().map(|id| [id.into_bytes().into()]).collect();
        self.db
            .read(move |tx| {
                let found = tx.query_many(FIND_DEAD_LETTER, &keys)?;
                found.iter().map(|rows| rows.first().map(dead_letter).transpose()).collect()
            })
            .await
    }

    /// The dead letter that an execution ended in, if it did.
    pub(crate) async fn dead_letter_of(&self, execution: Uuid) -> Result<Option<DeadLetter>, ProcessorError> {
        let rows = self.db.query(OF_EXECUTION, vec![execution.into_bytes().into()]).await?;
        rows.first().map(dead_letter).transpose()
    }

    /// Notes what became of dead letters; answers for each whether it had been waiting.
    pub(crate) async fn resolve(
        &self,
        ids: Vec<Uuid>,
        resolution: Resolution,
        now_us: i64,
    ) -> Result<Vec<bool>, ProcessorError> {
        self.db.write(move |tx| resolve_in(tx, &ids, &resolution, now_us)).await
    }
}

// === impl LetterFilter ===

impl LetterFilter {
    fn values(&self) -> [Val; 4] {
        [&self.pathway, &self.node, &self.code, &self.reason].map(Val::from)
    }
}

/// Within another transaction; answers for each whether it waited until then.
pub(crate) fn resolve_in(
    tx: &mut Tx<'_>,
    ids: &[Uuid],
    resolution: &Resolution,
    now_us: i64,
) -> Result<Vec<bool>, ProcessorError> {
    let (name, reason) = match resolution {
        Resolution::Redriven => ("redriven", ""),
        Resolution::Discarded { reason } => ("discarded", reason.as_str()),
    };
    let resolve = |id: &Uuid| {
        let row = [id.into_bytes().into(), name.into(), reason.into(), now_us.into()];
        Ok(tx.execute(RESOLVE, &row)? > 0)
    };
    ids.iter().map(resolve).collect()
}

pub(super) fn dead_letter_row(letter: &DeadLetter) -> Result<Vec<Val>, ProcessorError> {
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
        serde_json::to_string(&letter.answers).map_err(|error| ProcessorError::Corrupt(error.into()))?.into(),
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
        answers: serde_json::from_str(row.text(16)?)
            .map_err(|error| ProcessorError::Corrupt(error.into()))?,
        resolution: resolved(row)?,
    })
}

fn resolved(row: &Row) -> Result<Option<Resolved>, ProcessorError> {
    let Some(how) = row.opt_text(17)? else { return Ok(None) };
    let reason = row.opt_text(18)?.unwrap_or_default().to_owned();
    Ok(Some(Resolved { how: how.to_owned(), reason, at_us: row.opt_i64(19)?.unwrap_or_default() }))
}

fn group(row: &Row) -> Result<Group, ProcessorError> {
    Ok(Group {
        pathway: row.text(0)?.to_owned(),
        node: row.text(1)?.to_owned(),
        code: row.text(2)?.to_owned(),
        reason: row.text(3)?.to_owned(),
        count: row.i64(4)?,
        first_at_us: row.i64(5)?,
        last_at_us: row.i64(6)?,
        message: row.text(7)?.to_owned(),
    })
}
