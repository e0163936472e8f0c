//! Making figures anew beside those that are answered, and putting them in place.
//!
//! The feed of records is read into tables of their own, behind a cursor that moves with what was read. Then each user's figures are put in place in one
//! transaction that holds the owner's row: what there was is taken away, and what the records are is applied as history is, which fires thresholds
//! silently and corrects closed periods whose sums differ. So a crash leaves a user either the old figures or the new, and the rebuild goes on where
//! it was.
//!
//! # Changes that come meanwhile
//! A user's figures are put in place only if nothing of the user has changed since before the end of the feed was read: then whatever has been applied is in what was
//! read. A live change that was written but not applied yet is on its way with its alert, and is left to come: what it replaces stays until then, for
//! ten minutes.
//!
//! # What stays
//! What users were told and said, thresholds and milestones that have fired, closed periods with their revisions, budgets, goals, series. Nothing
//! of that follows from the records alone.

mod swap;

use std::collections::BTreeMap;

use pathway_store::{Row, StoreError, Tx};
use uuid::Uuid;

use super::{Store, rows};
use crate::error::AnalyticsError;
use crate::fact::Change;

/// A rebuild and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rebuild {
    pub(crate) number: i64,
    /// None for everybody's.
    pub(crate) user_id: Option<String>,
    pub(crate) state: RebuildState,
    /// How far the feed is read.
    pub(crate) sequence: i64,
    pub(crate) changes_read: i64,
    pub(crate) users_done: i64,
    pub(crate) users_total: i64,
    pub(crate) started_at_us: i64,
    pub(crate) ended_at_us: i64,
}

/// What a rebuild is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RebuildState {
    Reading,
    Swapping,
    Done,
}

/// A change as the feed has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) change: Change,
    pub(crate) changed_at_us: i64,
}

macro_rules! rebuilds {
    ($rest:literal) => {
        concat!(
            "SELECT number, user_id, state, sequence, changes_read, users_done, users_total, started_at_us, ended_at_us, request_id FROM rebuilds ",
            $rest
        )
    };
}
const BY_REQUEST: &str = rebuilds!("WHERE request_id = $1");
const RUNNING: &str = rebuilds!("WHERE is_running = 1");
const LATEST: &str = rebuilds!("WHERE number = $1 OR $1 = 0 ORDER BY number DESC LIMIT 1");
const BEGIN: &str = "INSERT INTO rebuilds
     (number, request_id, user_id, state, is_running, sequence, changes_read, users_done, users_total, started_at_us, ended_at_us)
     SELECT COALESCE(MAX(number), 0) + 1, CAST($1 AS TEXT), CAST($2 AS TEXT), 1, 1, 0, 0, 0, 0, CAST($3 AS BIGINT), 0 FROM rebuilds WHERE 1 = 1
     ON CONFLICT DO NOTHING";
const NO_FACTS: &str = "DELETE FROM rebuild_facts";
const NO_USERS: &str = "DELETE FROM rebuild_users";
/// Locks the rebuild's row; nothing where another process has read this already.
const ADVANCE: &str = "UPDATE rebuilds SET sequence = $3, changes_read = changes_read + $4 WHERE number = $1 AND sequence = $2 AND is_running = 1";
const PUT_READ: &str = "INSERT INTO rebuild_facts
     (record_id, version, deleted, user_id, kind, minor, currency, category, day, merchant, account, live, changed_at_us)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
     ON CONFLICT (record_id) DO UPDATE SET version = excluded.version, deleted = excluded.deleted, kind = excluded.kind, minor = excluded.minor,
     currency = excluded.currency, category = excluded.category, day = excluded.day, merchant = excluded.merchant, account = excluded.account,
     live = excluded.live, changed_at_us = excluded.changed_at_us WHERE excluded.version > rebuild_facts.version";
/// Whoever has a record or a figure.
const ALL_USERS: &str =
    "INSERT INTO rebuild_users (user_id) SELECT user_id FROM rebuild_facts UNION SELECT user_id FROM owners";
const ONE_USER: &str = "INSERT INTO rebuild_users (user_id) VALUES ($1)";
const SWAP: &str = "UPDATE rebuilds SET state = 2 WHERE number = $1 AND state = 1";
const COUNT_USERS: &str =
    "UPDATE rebuilds SET users_total = (SELECT COUNT(*) FROM rebuild_users) WHERE number = $1";
const END: &str =
    "UPDATE rebuilds SET state = 3, is_running = 0, ended_at_us = $2 WHERE number = $1 AND is_running = 1";
const NEXT_USER: &str = "SELECT user_id FROM rebuild_users ORDER BY user_id LIMIT 1";
const SEQUENCE: &str = "SELECT sequence FROM owners WHERE user_id = $1";

// === impl Store ===

impl Store {
    /// Begins a rebuild, of one user's figures or of everybody's; answers the one that this request began before.
    pub(crate) async fn begin_rebuild(
        &self,
        user_id: Option<String>,
        request_id: String,
        now_us: i64,
    ) -> Result<Rebuild, AnalyticsError> {
        self.db.write_locking(move |tx| begin(tx, user_id.as_deref(), &request_id, now_us)).await
    }

    /// The rebuild that is under way.
    pub(crate) async fn running_rebuild(&self) -> Result<Option<Rebuild>, AnalyticsError> {
        let rows = self.db.query(RUNNING, Vec::new()).await?;
        rows.first().map(rebuild).transpose()
    }

    /// A rebuild by its number; the latest for 0.
    pub(crate) async fn rebuild(&self, number: i64) -> Result<Option<Rebuild>, AnalyticsError> {
        let rows = self.db.query(LATEST, vec![number.into()]).await?;
        rows.first().map(rebuild).transpose()
    }

    /// Keeps what was read of the feed, up to a sequence.
    pub(crate) async fn keep_read(
        &self,
        of: Rebuild,
        page: Vec<Read>,
        next: i64,
    ) -> Result<(), AnalyticsError> {
        self.db.write_locking(move |tx| keep(tx, &of, &page, next)).await
    }

    /// Everything is read: from now on figures are put in place.
    pub(crate) async fn begin_swap(&self, of: Rebuild) -> Result<(), AnalyticsError> {
        self.db
            .write_locking(move |tx| {
                if tx.execute(SWAP, &[of.number.into()])? > 0 {
                    match &of.user_id {
                        Some(user_id) => tx.execute(ONE_USER, &[user_id.into()])?,
                        None => tx.execute(ALL_USERS, &[])?,
                    };
                    // Counted once they are there.
                    tx.execute(COUNT_USERS, &[of.number.into()])?;
                }
                Ok(())
            })
            .await
    }

    /// Whose figures are put in place next, and how many transactions of the user there have been.
    pub(crate) async fn next_rebuilt(&self) -> Result<Option<(String, Option<i64>)>, AnalyticsError> {
        self.db
            .read(|tx| {
                let Some(row) = tx.query(NEXT_USER, &[])?.into_iter().next() else { return Ok(None) };
                let user_id = row.text(0)?.to_owned();
                let rows = tx.query(SEQUENCE, &[(&user_id).into()])?;
                let sequence = rows.first().map(|row| row.i64(0)).transpose()?;
                Ok(Some((user_id, sequence)))
            })
            .await
    }

    /// Puts a user's figures in place; false, and nothing is changed, where something of the user has changed since `sequence` was read.
    pub(crate) async fn swap(
        &self,
        number: i64,
        user_id: String,
        sequence: Option<i64>,
        now_us: i64,
    ) -> Result<bool, AnalyticsError> {
        self.db.write_locking(move |tx| swap::swap(tx, number, &user_id, sequence, now_us)).await
    }

    /// Everything is in place.
    pub(crate) async fn end_rebuild(&self, number: i64, now_us: i64) -> Result<(), AnalyticsError> {
        self.db
            .write_locking(move |tx| {
                tx.execute(END, &[number.into(), now_us.into()])?;
                tx.execute(NO_FACTS, &[])?;
                Ok(())
            })
            .await
    }
}

fn begin(
    tx: &mut Tx<'_>,
    user_id: Option<&str>,
    request_id: &str,
    now_us: i64,
) -> Result<Rebuild, AnalyticsError> {
    let user_id = user_id.unwrap_or_default();
    let known = if request_id.is_empty() { Vec::new() } else { tx.query(BY_REQUEST, &[request_id.into()])? };
    if let Some(row) = known.first() {
        let known = rebuild(row)?;
        let is_same = known.user_id.as_deref().unwrap_or_default() == user_id;
        return if is_same { Ok(known) } else { Err(StoreError::RequestIdReused.into()) };
    }
    if tx.execute(BEGIN, &[request_id.into(), user_id.into(), now_us.into()])? == 0 {
        return Err(AnalyticsError::RebuildRunning);
    }
    tx.execute(NO_FACTS, &[])?;
    tx.execute(NO_USERS, &[])?;
    let rows = tx.query(RUNNING, &[])?;
    rebuild(rows.first().ok_or(AnalyticsError::Corrupt("rebuild"))?)
}

fn keep(tx: &mut Tx<'_>, of: &Rebuild, page: &[Read], next: i64) -> Result<(), AnalyticsError> {
    let count = i64::try_from(page.len()).unwrap_or(i64::MAX);
    if tx.execute(ADVANCE, &[of.number.into(), of.sequence.into(), next.into(), count.into()])? == 0 {
        return Ok(());
    }
    let is_of = |read: &&Read| of.user_id.as_ref().is_none_or(|user| *user == read.change.fact.user_id);
    // A record may come more than once; its versions come in their order.
    let latest: BTreeMap<Uuid, &Read> =
        page.iter().filter(is_of).map(|read| (read.change.record_id, read)).collect();
    let vals = |(id, read): (Uuid, &Read)| {
        let mut vals = rows::fact_vals(id, &read.change.fact, read.change.is_live);
        vals.push(read.changed_at_us.into());
        vals
    };
    tx.execute_many(PUT_READ, &latest.into_iter().map(vals).collect::<Vec<_>>())?;
    Ok(())
}

fn rebuild(row: &Row) -> Result<Rebuild, AnalyticsError> {
    Ok(Rebuild {
        number: row.i64(0)?,
        user_id: Some(row.text(1)?).filter(|user| !user.is_empty()).map(str::to_owned),
        state: match row.i64(2)? {
            1 => RebuildState::Reading,
            2 => RebuildState::Swapping,
            3 => RebuildState::Done,
            _ => return Err(AnalyticsError::Corrupt("state of a rebuild")),
        },
        sequence: row.i64(3)?,
        changes_read: row.i64(4)?,
        users_done: row.i64(5)?,
        users_total: row.i64(6)?,
        started_at_us: row.i64(7)?,
        ended_at_us: row.i64(8)?,
    })
}

#[cfg(test)]
#[path = "rebuild_tests.rs"]
mod tests;
