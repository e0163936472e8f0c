//! The notices in a database, in the domain's words.
//!
//! Whoever writes locks the feeds of the users first, in the order of their names. What follows reads what is committed and cannot be raced: a
//! dedup key that was looked for stays absent, a number that was taken stays the next one, and two batches never wait for each other in a circle.
//!
//! # A feed of changes without a log
//! Each notice carries the number of its last change, and an index by it *is* the feed of changes: what a device has not seen is the notices with a
//! higher number. A log of changes would tell each step, but a device that comes back wants to know how things stand, and the log would grow with every
//! mark for as long as somebody might come back.

mod feed;
mod marks;
mod rows;
mod send;

use pathway_store::{Db, Migration, Once, REQUESTS, StoreConfig, StoreError, Tx, Val};
use uuid::Uuid;

use crate::error::NotificationsError;
use crate::feeds::News;
use crate::notice::{Mark, Notice, Stored};
pub(crate) use marks::{Marked, MarkedAll};
use rows::{all_stored, columns};

const MIGRATIONS: [Migration; 3] = [
    Migration { number: 1, name: "notices", sql: include_str!("../migrations/0001_notices.sql") },
    Migration { number: 2, name: "changes", sql: include_str!("../migrations/0002_changes.sql") },
    REQUESTS,
];

const LIST_ALL: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM notices WHERE user_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3"
);
const LIST_INBOX: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM notices WHERE user_id = $1 AND sequence > $2 AND is_archived = 0 AND state IN ('open', 'resolved')
     ORDER BY sequence LIMIT $3"
);
const LIST_UNREAD: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM notices WHERE user_id = $1 AND sequence > $2 AND is_read = 0 ORDER BY sequence LIMIT $3"
);
const STANDING: &str = "SELECT unread, last_change FROM feeds WHERE user_id = $1";

/// The notices of all users; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    db: Db,
}

/// Where a sent notice is, or what it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) id: Uuid,
    pub(crate) sequence: i64,
    /// How many notices it replaced, resolved or withdrew.
    pub(crate) ended: i64,
    pub(crate) is_duplicate: bool,
}

/// What came of a batch, and what the watchers of its users are told.
#[derive(Debug, Clone)]
pub(crate) struct SentAll {
    pub(crate) sent: Vec<Sent>,
    pub(crate) news: Vec<News>,
}

/// Which notices to list.
#[derive(Debug, Clone)]
pub(crate) struct Listing {
    pub(crate) user_id: String,
    pub(crate) after: i64,
    pub(crate) limit: i64,
    pub(crate) which: Which,
}

/// Which notices to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// What was put away, replaced or withdrawn too.
    All,
    /// What there is to see.
    Inbox,
    /// What there is to read.
    Unread,
}

/// Notices with the feed's counters, from one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) notices: Vec<Stored>,
    pub(crate) unread: i64,
    pub(crate) last_change: i64,
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
    ) -> Result<SentAll, NotificationsError> {
        self.db.write_locking(move |tx| send::send(tx, &notices, now_us)).await
    }

    pub(crate) async fn list(&self, listing: Listing) -> Result<Page, NotificationsError> {
        self.db
            .read(move |tx| {
                let sql = match listing.which {
                    Which::All => LIST_ALL,
                    Which::Inbox => LIST_INBOX,
                    Which::Unread => LIST_UNREAD,
                };
                let key = [Val::from(&listing.user_id), listing.after.into(), listing.limit.into()];
                let notices = all_stored(&tx.query(sql, &key)?)?;
                page(tx, &listing.user_id, notices)
            })
            .await
    }

    /// What changed of a feed after a number, in order.
    pub(crate) async fn changes(
        &self,
        user_id: String,
        after: i64,
        limit: i64,
    ) -> Result<Page, NotificationsError> {
        self.db
            .read(move |tx| {
                let notices = marks::changes(tx, &user_id, after, limit)?;
                page(tx, &user_id, notices)
            })
            .await
    }

    /// Marks notices; answers for each whether the user has it, and how many are unread then.
    pub(crate) async fn mark(
        &self,
        user_id: String,
        ids: Vec<Uuid>,
        mark: Mark,
        now_us: i64,
    ) -> Result<Marked, NotificationsError> {
        self.db.write_locking(move |tx| marks::mark(tx, &user_id, &ids, mark, now_us)).await
    }

    /// Marks all up to a sequence as read; answers how many were unread before, and how many are then. A call that has an id is done once.
    pub(crate) async fn mark_all(
        &self,
        user_id: String,
        up_to: i64,
        now_us: i64,
        once: Option<Once>,
    ) -> Result<MarkedAll, NotificationsError> {
        self.db
            .write_locking(move |tx| {
                let Some(once) = &once else { return marks::mark_all(tx, &user_id, up_to, now_us) };
                if let Some(before) = once.begin(tx)? {
                    let (marked, unread) = serde_json::from_slice(&before)?;
                    return Ok(MarkedAll { marked, unread, news: None });
                }
                let all = marks::mark_all(tx, &user_id, up_to, now_us)?;
                once.end(tx, &serde_json::to_vec(&(all.marked, all.unread))?)?;
                Ok(all)
            })
            .await
    }
}

fn page(tx: &mut Tx<'_>, user_id: &str, notices: Vec<Stored>) -> Result<Page, NotificationsError> {
    let standing = tx.query(STANDING, &[user_id.into()])?;
    let (unread, last_change) = match standing.first() {
        Some(row) => (row.i64(0)?, row.i64(1)?),
        None => (0, 0),
    };
    Ok(Page { notices, unread, last_change })
}

#[cfg(test)]
mod tests;
