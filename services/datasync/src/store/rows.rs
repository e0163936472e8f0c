//! Rows into records and back.

use std::sync::Arc;

use pathway_finance::{CivilDate, Currency, LineKind, Money};
use pathway_store::{Row, Val};
use uuid::Uuid;

use crate::error::DatasyncError;
use crate::records::{Change, Content, Identity, Known, Links, Origin, Position, Record};

/// The fifteen columns of a record at a version, in the order in which [`state`] reads them.
macro_rules! state_columns {
    ($table:literal) => {
        concat!(
            $table,
            ".version, ",
            $table,
            ".deleted, ",
            $table,
            ".kind, ",
            $table,
            ".minor, ",
            $table,
            ".currency, ",
            $table,
            ".category, ",
            $table,
            ".day, ",
            $table,
            ".merchant, ",
            $table,
            ".description, ",
            $table,
            ".occurred_at_us, ",
            $table,
            ".held_in, ",
            $table,
            ".pending, ",
            $table,
            ".split_of, ",
            $table,
            ".is_split, ",
            $table,
            ".paired_with"
        )
    };
}

/// The five columns of a record that never change, then its state.
macro_rules! record_columns {
    ($table:literal) => {
        concat!(
            "r.id, r.user_id, r.source, r.account, r.line_key, ",
            $crate::store::rows::state_columns!($table)
        )
    };
}

/// A record as it became, then the change, then the state before.
macro_rules! change_columns {
    () => {
        concat!(
            $crate::store::rows::record_columns!("v"),
            ", v.sequence, v.origin, v.changed_at_us, ",
            $crate::store::rows::state_columns!("b")
        )
    };
}

/// What [`change_columns`] reads from.
macro_rules! change_tables {
    () => {
        "versions v JOIN records r ON r.id = v.record_id \
         LEFT JOIN versions b ON b.record_id = v.record_id AND b.version = v.version - 1"
    };
}

pub(crate) use {change_columns, change_tables, record_columns, state_columns};

/// Where the state begins in a row of [`record_columns`], the rest of a change in one of [`change_columns`], and the state before there.
const STATE: usize = 5;
const CHANGE: usize = 20;
const BEFORE: usize = 23;

/// The record of a row of `record_columns`.
pub(super) fn record(row: &Row) -> Result<Arc<Record>, DatasyncError> {
    state(row, STATE, Uuid::from_bytes(row.id(0)?), Arc::new(identity(row)?))
}

/// The record of a row of `record_columns` that four more columns follow: its last position, and whether its name is retired.
pub(super) fn known(row: &Row) -> Result<Known, DatasyncError> {
    let last = match row.opt_text(CHANGE)? {
        None => None,
        Some(epoch) => Some(Position {
            epoch: epoch.to_owned(),
            partition: row.i32(CHANGE + 1)?,
            offset: row.i64(CHANGE + 2)?,
        }),
    };
    Ok(Known { record: record(row)?, last, retired: row.bool(CHANGE + 3)? })
}

/// The change of a row of `change_columns`.
pub(super) fn change(row: &Row) -> Result<Change, DatasyncError> {
    let after = record(row)?;
    let before = match row.opt_i64(BEFORE)? {
        None => None,
        Some(_) => Some(state(row, BEFORE, after.id, Arc::clone(&after.identity))?),
    };
    let origin = match row.i64(CHANGE + 1)? {
        1 => Origin::Live,
        2 => Origin::History,
        _ => return Err(DatasyncError::Corrupt("origin")),
    };
    Ok(Change { sequence: row.i64(CHANGE)?, before, after, origin, changed_at_us: row.i64(CHANGE + 2)? })
}

/// How an origin is stored.
pub(super) const fn origin_code(origin: Origin) -> i64 {
    match origin {
        Origin::Live => 1,
        Origin::History => 2,
    }
}

/// The four values that find a record.
pub(super) fn identity_vals(identity: &Identity) -> Vec<Val> {
    vec![
        (&identity.user_id).into(),
        (&identity.source).into(),
        (&identity.account).into(),
        (&identity.key).into(),
    ]
}

/// The values of a record's state, in the order of `state_columns`.
pub(super) fn state_vals(record: &Record) -> Vec<Val> {
    let content = &record.content;
    vec![
        record.version.into(),
        record.deleted.into(),
        content.kind.code().into(),
        content.amount.minor().into(),
        content.amount.currency().code().into(),
        (&content.category).into(),
        content.date.epoch_days().into(),
        (&content.merchant).into(),
        (&content.description).into(),
        content.occurred_at_us.into(),
        (&content.account).into(),
        content.pending.into(),
        record.links.split_of.map(Uuid::into_bytes).into(),
        record.links.is_split.into(),
        record.links.paired_with.map(Uuid::into_bytes).into(),
    ]
}

/// The three values of a position; NULL where there is none.
pub(super) fn position_vals(position: Option<&Position>) -> [Val; 3] {
    [
        position.map(|position| &position.epoch).into(),
        position.map(|position| position.partition).into(),
        position.map(|position| position.offset).into(),
    ]
}

fn opt_id(row: &Row, at: usize) -> Result<Option<Uuid>, DatasyncError> {
    match row.values().get(at) {
        Some(Val::Null) => Ok(None),
        _ => Ok(Some(Uuid::from_bytes(row.id(at)?))),
    }
}

fn identity(row: &Row) -> Result<Identity, DatasyncError> {
    Ok(Identity {
        user_id: row.text(1)?.to_owned(),
        source: row.text(2)?.to_owned(),
        account: row.text(3)?.to_owned(),
        key: row.text(4)?.to_owned(),
    })
}

fn state(row: &Row, at: usize, id: Uuid, identity: Arc<Identity>) -> Result<Arc<Record>, DatasyncError> {
    let currency = Currency::parse(row.text(at + 4)?).map_err(|_| DatasyncError::Corrupt("currency"))?;
    let content = Content {
        kind: LineKind::from_code(row.i64(at + 2)?).ok_or(DatasyncError::Corrupt("kind"))?,
        amount: Money::new(row.i64(at + 3)?, currency),
        category: row.text(at + 5)?.to_owned(),
        date: CivilDate::from_epoch_days(row.i64(at + 6)?).map_err(|_| DatasyncError::Corrupt("date"))?,
        merchant: row.text(at + 7)?.to_owned(),
        description: row.text(at + 8)?.to_owned(),
        occurred_at_us: row.i64(at + 9)?,
        account: row.text(at + 10)?.to_owned(),
        pending: row.bool(at + 11)?,
    };
    let links = Links {
        split_of: opt_id(row, at + 12)?,
        is_split: row.bool(at + 13)?,
        paired_with: opt_id(row, at + 14)?,
    };
    Ok(Arc::new(Record { id, identity, version: row.i64(at)?, content, links, deleted: row.bool(at + 1)? }))
}
