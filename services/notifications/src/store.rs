//! The notices in a database, in the domain's words.
//!
//! Whoever writes locks the feeds of the users first, in the order of their names. What follows reads what is committed and cannot be raced: a
//! dedup key that was looked for stays absent, a number that was taken stays the next one, and two batches never wait for each other in a circle.
//!
//! # A feed of changes without a log
//! Each notice carries the number of its last change, and an index by it *is* the feed of changes: what a device has not seen is the notices with a
//! higher number. A log of changes would tell each step, but a device that comes back wants to know how things stand, and the log would grow with every
//! mark for as long as somebody might come back.

mod claims;
mod deliveries;
mod endpoints;
mod feed;
mod health;
mod marks;
mod outbox;
mod preferences;
mod retention;
mod rows;
mod send;

use std::sync::Arc;

use pathway_store::{Db, Migration, Once, REQUESTS, Row, StoreConfig, StoreError, Tx, Val};
use pathway_telemetry::Telemetry;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::error::NotificationsError;
use crate::feeds::News;
use crate::notice::{Mark, Notice, Stored};
use crate::templates::Templates;
pub(crate) use claims::{Health, Settled, Wanted};
pub(crate) use deliveries::{Again, DeliveryListing};
pub(crate) use marks::{Marked, MarkedAll};
use rows::{all_stored, columns};

const MIGRATIONS: [Migration; 6] = [
    Migration { number: 1, name: "notices", sql: include_str!("../migrations/0001_notices.sql") },
    Migration { number: 2, name: "changes", sql: include_str!("../migrations/0002_changes.sql") },
    REQUESTS,
    Migration { number: 3, name: "deliveries", sql: include_str!("../migrations/0003_deliveries.sql") },
    Migration { number: 4, name: "retention", sql: include_str!("../migrations/0004_retention.sql") },
    Migration { number: 5, name: "email", sql: include_str!("../migrations/0005_email.sql") },
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
const STANDING: &str = "SELECT unread, last_change, gone_change, gone_sequence FROM feeds WHERE user_id = $1";

const MAKE_SECRET: &str =
    "INSERT INTO secrets (name, secret) VALUES ('links', $1) ON CONFLICT (name) DO NOTHING";
const SECRET: &str = "SELECT secret FROM secrets WHERE name = 'links'";

/// The notices of all users; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    db: Db,
    templates: Arc<Templates>,
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
    /// Whether something goes out.
    pub(crate) has_work: bool,
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
    /// The highest change and place of what is kept no longer.
    pub(crate) gone_change: i64,
    pub(crate) gone_sequence: i64,
}

// === impl Store ===

impl Store {
    pub(crate) async fn open(config: &StoreConfig, templates: Arc<Templates>) -> Result<Self, StoreError> {
        Ok(Self { db: Db::open(config, MIGRATIONS.to_vec()).await?, templates })
    }

    /// Whether other processes may write too.
    pub(crate) const fn is_shared(&self) -> bool {
        self.db.is_shared()
    }

    /// What this store's own signatures are made with: `new`, unless there is one already.
    pub(crate) async fn secret(&self, new: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        self.db
            .write(move |tx| {
                tx.execute(MAKE_SECRET, &[new.clone().into()])?;
                let rows = tx.query(SECRET, &[])?;
                let row = rows.first().ok_or(StoreError::Column { index: 0, expected: "a secret" })?;
                row.blob(0).map(<[u8]>::to_vec)
            })
            .await
    }

    /// From now on, tells `telemetry` how it goes.
    pub(crate) fn tell(&self, telemetry: &Telemetry) {
        self.db.tell(telemetry);
    }

    /// Whether the store answers.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        self.db.ping().await
    }

    /// Stores a batch in one transaction; what is there already is answered and not stored again.
    pub(crate) async fn send(
        &self,
        notices: Vec<Notice>,
        now_us: i64,
    ) -> Result<SentAll, NotificationsError> {
        let templates = Arc::clone(&self.templates);
        self.db.write_locking(move |tx| send::send(tx, &notices, &templates, now_us)).await
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
        let mark = move |tx: &mut Tx<'_>| {
            let all = marks::mark_all(tx, &user_id, up_to, now_us)?;
            Ok(((all.marked, all.unread), all.news))
        };
        let ((marked, unread), news) = self.once(once, mark).await?;
        Ok(MarkedAll { marked, unread, news: news.flatten() })
    }

    /// Does something in a transaction; where the call has an id, once: the same call again is answered what was kept, without what only who did it is told.
    async fn once<K, T>(
        &self,
        once: Option<Once>,
        work: impl Fn(&mut Tx<'_>) -> Result<(K, T), NotificationsError> + Send + 'static,
    ) -> Result<(K, Option<T>), NotificationsError>
    where
        K: Serialize + DeserializeOwned + Send + 'static,
        T: Send + 'static,
    {
        self.db
            .write_locking(move |tx| {
                let Some(once) = &once else {
                    let (kept, told) = work(tx)?;
                    return Ok((kept, Some(told)));
                };
                if let Some(before) = once.begin(tx)? {
                    return Ok((serde_json::from_slice(&before)?, None));
                }
                let (kept, told) = work(tx)?;
                once.end(tx, &serde_json::to_vec(&kept)?)?;
                Ok((kept, Some(told)))
            })
            .await
    }

    /// How far feeds have come, as news without their changes.
    pub(crate) async fn standings(&self, users: Vec<String>) -> Result<Vec<News>, StoreError> {
        self.db
            .read(move |tx| {
                let keys: Vec<[Val; 1]> = users.iter().map(|user_id| [user_id.into()]).collect();
                let rows = tx.query_many(STANDING, &keys)?;
                let news = |(user_id, rows): (&String, Vec<Row>)| {
                    let last = rows.first()?.i64(1);
                    let of = |last| News { user_id: user_id.clone(), before: last, last, update: None };
                    Some(last.map(of))
                };
                users.iter().zip(rows).filter_map(news).collect()
            })
            .await
    }
}

fn page(tx: &mut Tx<'_>, user_id: &str, notices: Vec<Stored>) -> Result<Page, NotificationsError> {
    let standing = tx.query(STANDING, &[user_id.into()])?;
    let number = |index| standing.first().map_or(Ok(0), |row| row.i64(index));
    let (unread, last_change) = (number(0)?, number(1)?);
    Ok(Page { notices, unread, last_change, gone_change: number(2)?, gone_sequence: number(3)? })
}

#[cfg(test)]
mod outbox_tests;
#[cfg(test)]
mod retention_tests;
#[cfg(test)]
mod tests;
