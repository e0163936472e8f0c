//! The notices in a database, in the domain's words.
//!
//! Whoever writes locks the feeds of the users first, in the order of their names. What follows reads what is committed and cannot be raced: a
//! dedup key that was looked for stays absent, a number that was taken stays the next one, and two batches never wait for each other in a circle.

use std::collections::{BTreeMap, HashMap};

use pathway_kernel::new_id;
use pathway_store::{Db, Migration, Row, StoreConfig, StoreError, Tx, Val};
use uuid::Uuid;

use crate::error::NotificationsError;
use crate::notice::{Notice, Stored};

const MIGRATIONS: [Migration; 1] =
    [Migration { number: 1, name: "notices", sql: include_str!("../migrations/0001_notices.sql") }];

const FIND: &str = "SELECT id, sequence FROM notices WHERE user_id = $1 AND dedup_key = $2";
const LOCK_OR_BEGIN: &str = "INSERT INTO feeds (user_id, last_sequence, unread) VALUES ($1, 0, 0)
     ON CONFLICT (user_id) DO UPDATE SET unread = feeds.unread RETURNING last_sequence";
const LOCK: &str = "UPDATE feeds SET unread = unread WHERE user_id = $1";
const ADVANCE: &str =
    "UPDATE feeds SET last_sequence = last_sequence + $2, unread = unread + $2 WHERE user_id = $1";
const INSERT: &str = "INSERT INTO notices
     (user_id, sequence, id, dedup_key, type, title, message, metadata, is_read, created_at_us)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9)";
const LIST: &str =
    "SELECT id, sequence, user_id, dedup_key, type, title, message, metadata, is_read, created_at_us
     FROM notices WHERE user_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3";
const LIST_UNREAD: &str =
    "SELECT id, sequence, user_id, dedup_key, type, title, message, metadata, is_read, created_at_us
     FROM notices WHERE user_id = $1 AND sequence > $2 AND is_read = 0 ORDER BY sequence LIMIT $3";
const UNREAD: &str = "SELECT unread FROM feeds WHERE user_id = $1";
const STATE: &str = "SELECT is_read FROM notices WHERE user_id = $1 AND id = $2";
const MARK: &str = "UPDATE notices SET is_read = $3 WHERE user_id = $1 AND id = $2";
const MARK_ALL: &str = "UPDATE notices SET is_read = 1 WHERE user_id = $1 AND sequence <= $2 AND is_read = 0";
const ADD_UNREAD: &str = "UPDATE feeds SET unread = unread + $2 WHERE user_id = $1";

/// The notices of all users; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    db: Db,
}

/// Where a sent notice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) id: Uuid,
    pub(crate) sequence: i64,
    pub(crate) duplicate: bool,
}

/// Which notices to list.
#[derive(Debug, Clone)]
pub(crate) struct Listing {
    pub(crate) user_id: String,
    pub(crate) after: i64,
    pub(crate) limit: i64,
    pub(crate) unread_only: bool,
}

/// Notices and the unread count, from one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) notices: Vec<Stored>,
    pub(crate) unread: i64,
}

// === impl Store ===

impl Store {
    pub(crate) async fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        Ok(Self { db: Db::open(config, MIGRATIONS.to_vec()).await? })
    }

    /// Stores a batch in one transaction; what is there already is answered and not stored again.
    pub(crate) async fn send(
        &self,
        notices: Vec<Notice>,
        now_us: i64,
    ) -> Result<Vec<Sent>, NotificationsError> {
        self.db.write_locking(move |tx| send(tx, &notices, now_us)).await
    }

    pub(crate) async fn list(&self, listing: Listing) -> Result<Page, NotificationsError> {
        self.db
            .read(move |tx| {
                let sql = if listing.unread_only { LIST_UNREAD } else { LIST };
                let key = [Val::from(&listing.user_id), listing.after.into(), listing.limit.into()];
                let notices = tx.query(sql, &key)?.iter().map(stored).collect::<Result<_, _>>()?;
                Ok(Page { notices, unread: unread(tx, &listing.user_id)? })
            })
            .await
    }

    /// Marks notices; answers for each whether the user has it, and how many are unread then.
    pub(crate) async fn mark(
        &self,
        user_id: String,
        ids: Vec<Uuid>,
        read: bool,
    ) -> Result<(Vec<bool>, i64), NotificationsError> {
        self.db
            .write_locking(move |tx| {
                tx.execute(LOCK, &[(&user_id).into()])?;
                let mut known = Vec::with_capacity(ids.len());
                for id in &ids {
                    let key = [Val::from(&user_id), id.into_bytes().into()];
                    let state = tx.query(STATE, &key)?.first().map(|row| row.bool(0)).transpose()?;
                    if state.is_some_and(|was_read| was_read != read) {
                        let [user, id] = key;
                        tx.execute(MARK, &[user, id, read.into()])?;
                        let change = if read { -1_i64 } else { 1 };
                        tx.execute(ADD_UNREAD, &[Val::from(&user_id), change.into()])?;
                    }
                    known.push(state.is_some());
                }
                Ok((known, unread(tx, &user_id)?))
            })
            .await
    }

    /// Marks all up to a sequence as read; answers how many were unread before, and how many are then.
    pub(crate) async fn mark_all(
        &self,
        user_id: String,
        up_to: i64,
    ) -> Result<(i64, i64), NotificationsError> {
        self.db
            .write_locking(move |tx| {
                tx.execute(LOCK, &[(&user_id).into()])?;
                let marked = tx.execute(MARK_ALL, &[Val::from(&user_id), up_to.into()])?;
                let marked = i64::try_from(marked).unwrap_or(i64::MAX);
                tx.execute(ADD_UNREAD, &[Val::from(&user_id), (-marked).into()])?;
                Ok((marked, unread(tx, &user_id)?))
            })
            .await
    }
}

fn send(tx: &mut Tx<'_>, notices: &[Notice], now_us: i64) -> Result<Vec<Sent>, NotificationsError> {
    let mut last: BTreeMap<&str, i64> = notices.iter().map(|notice| (notice.user_id.as_str(), 0)).collect();
    for (user_id, last) in &mut last {
        let locked = tx.query(LOCK_OR_BEGIN, &[(*user_id).into()])?;
        *last = locked.first().ok_or(StoreError::Column { index: 0, expected: "a sequence" })?.i64(0)?;
    }
    let keys: Vec<[Val; 2]> = notices.iter().map(key_vals).collect();
    let mut sent: HashMap<(&str, &str), Sent> = HashMap::new();
    for (notice, found) in notices.iter().zip(tx.query_many(FIND, &keys)?) {
        if let Some(row) = found.first() {
            let known = Sent { id: Uuid::from_bytes(row.id(0)?), sequence: row.i64(1)?, duplicate: true };
            sent.insert((&notice.user_id, &notice.dedup_key), known);
        }
    }
    let (mut answers, mut rows) = (Vec::with_capacity(notices.len()), Vec::new());
    let mut taken: BTreeMap<&str, i64> = BTreeMap::new();
    for notice in notices {
        let key = (notice.user_id.as_str(), notice.dedup_key.as_str());
        if let Some(known) = sent.get(&key) {
            answers.push(*known);
            continue;
        }
        let count = taken.entry(&notice.user_id).or_default();
        *count += 1;
        let sequence = last.get(notice.user_id.as_str()).copied().unwrap_or_default() + *count;
        let new = Sent { id: new_id(now_us), sequence, duplicate: false };
        rows.push(row_vals(notice, new, now_us)?);
        sent.insert(key, Sent { duplicate: true, ..new });
        answers.push(new);
    }
    tx.execute_many(INSERT, &rows)?;
    let advances: Vec<[Val; 2]> =
        taken.into_iter().map(|(user_id, count)| [user_id.into(), count.into()]).collect();
    tx.execute_many(ADVANCE, &advances)?;
    Ok(answers)
}

fn key_vals(notice: &Notice) -> [Val; 2] {
    [(&notice.user_id).into(), (&notice.dedup_key).into()]
}

fn row_vals(notice: &Notice, sent: Sent, now_us: i64) -> Result<[Val; 9], NotificationsError> {
    Ok([
        (&notice.user_id).into(),
        sent.sequence.into(),
        sent.id.into_bytes().into(),
        (&notice.dedup_key).into(),
        (&notice.kind).into(),
        (&notice.title).into(),
        (&notice.message).into(),
        serde_json::to_string(&notice.metadata)?.into(),
        now_us.into(),
    ])
}

fn unread(tx: &mut Tx<'_>, user_id: &str) -> Result<i64, StoreError> {
    tx.query(UNREAD, &[user_id.into()])?.first().map_or(Ok(0), |row| row.i64(0))
}

fn stored(row: &Row) -> Result<Stored, NotificationsError> {
    Ok(Stored {
        id: Uuid::from_bytes(row.id(0)?),
        sequence: row.i64(1)?,
        notice: Notice {
            user_id: row.text(2)?.to_owned(),
            dedup_key: row.text(3)?.to_owned(),
            kind: row.text(4)?.to_owned(),
            title: row.text(5)?.to_owned(),
            message: row.text(6)?.to_owned(),
            metadata: serde_json::from_str(row.text(7)?)?,
        },
        is_read: row.bool(8)?,
        created_at_us: row.i64(9)?,
    })
}

#[cfg(test)]
mod tests;
