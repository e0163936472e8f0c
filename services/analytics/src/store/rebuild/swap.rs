//! Putting a user's figures in place.

use std::collections::BTreeMap;

use pathway_store::{Tx, Val};
use uuid::Uuid;

use super::super::{batch, closing, rows};
use crate::error::AnalyticsError;
use crate::fact::{Change, Fact};

/// How long a live change may be on its way from the records to the figures.
const ON_ITS_WAY_US: i64 = 600_000_000;

const USER_DONE: &str = "DELETE FROM rebuild_users WHERE user_id = $1";
const COUNT_DONE: &str = "UPDATE rebuilds SET users_done = users_done + 1 WHERE number = $1";
const LOCK: &str = "UPDATE owners SET unscanned = 1 WHERE user_id = $1 RETURNING sequence";
const READ: &str = "SELECT version, deleted, user_id, kind, minor, currency, category, day, merchant, account, record_id, live, changed_at_us
     FROM rebuild_facts WHERE user_id = $1";
const FACTS: &str = "SELECT version, deleted, user_id, kind, minor, currency, category, day, merchant, account, record_id, live
     FROM facts WHERE user_id = $1";
const SET_LIVE: &str = "UPDATE facts SET live = 1 WHERE record_id = $1";
/// What follows from a user's records and from nothing else, and what followers have of it.
const TAKE_AWAY: [&str; 6] = [
    "DELETE FROM facts WHERE user_id = $1",
    "DELETE FROM day_totals WHERE user_id = $1",
    "DELETE FROM lifetime_totals WHERE user_id = $1",
    "DELETE FROM recent_purchases WHERE user_id = $1",
    "UPDATE goals SET linked = 0 WHERE user_id = $1",
    "DELETE FROM touched WHERE user_id = $1",
];

/// Puts a user's figures in place; false, and nothing is changed, where something of the user has changed since `sequence` was read.
pub(super) fn swap(
    tx: &mut Tx<'_>,
    number: i64,
    user_id: &str,
    sequence: Option<i64>,
    now_us: i64,
) -> Result<bool, AnalyticsError> {
    let locked = tx.query(LOCK, &[user_id.into()])?;
    if locked.first().map(|row| row.i64(0)).transpose()? != sequence {
        return Ok(false);
    }
    // Another process may have been here first.
    if tx.execute(USER_DONE, &[user_id.into()])? == 0 {
        return Ok(true);
    }
    tx.execute(COUNT_DONE, &[number.into()])?;
    let (changes, live) = records(tx, user_id, now_us)?;
    // What has ended closes by what there was, and is corrected below.
    batch::lock_owner(tx, user_id, now_us)?;
    for sql in TAKE_AWAY {
        tx.execute(sql, &[user_id.into()])?;
    }
    if !changes.is_empty() {
        batch::apply(tx, &changes, now_us)?;
        tx.execute_many(SET_LIVE, &live)?;
    }
    closing::recheck(tx, user_id, now_us)?;
    Ok(true)
}

/// What a user's records are, as history, and which of them had just happened when they were applied.
fn records(
    tx: &mut Tx<'_>,
    user_id: &str,
    now_us: i64,
) -> Result<(Vec<Change>, Vec<[Val; 1]>), AnalyticsError> {
    let mut known: BTreeMap<Uuid, (Fact, bool)> = BTreeMap::new();
    for row in tx.query(FACTS, &[user_id.into()])? {
        known.insert(Uuid::from_bytes(row.id(10)?), (rows::fact(&row)?, row.bool(11)?));
    }
    let (mut changes, mut live) = (Vec::new(), Vec::new());
    for row in tx.query(READ, &[user_id.into()])? {
        let (record_id, read) = (Uuid::from_bytes(row.id(10)?), rows::fact(&row)?);
        let applied = known.get(&record_id);
        let is_applied = applied.is_some_and(|(fact, _)| fact.version >= read.version);
        let is_coming = row.bool(11)? && row.i64(12)? > now_us.saturating_sub(ON_ITS_WAY_US);
        let fact = match applied {
            Some((fact, _)) if !is_applied && is_coming => fact.clone(),
            None if is_coming => continue,
            _ => read,
        };
        if applied.is_some_and(|(known, is_live)| *is_live && known.version == fact.version) {
            live.push([record_id.into_bytes().into()]);
        }
        changes.push(Change { record_id, fact, is_live: false });
    }
    // In the order of their ids, as they are stored.
    changes.sort_by_key(|change| change.record_id);
    Ok((changes, live))
}
