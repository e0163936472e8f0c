//! The notices in a database, in the domain's words.
//!
//! Whoever writes locks the feeds of the users first, in the order of their names. What follows reads what is committed and cannot be raced: a
//! dedup key that was looked for stays absent, a number that was taken stays the next one, and two batches never wait for each other in a circle.
//!
//! # A feed of changes without a log
//! Each notice carries the number of its last change, and an index by it *is* the feed of changes: what a device has not seen is the notices with a
//! higher number. A log of changes would tell each step, but a device that comes back wants to know how things stand, and the log would grow with every
//! mark for as long as somebody might come back.

mod deliveries;
mod endpoints;
mod feed;
mod health;
mod marks;
mod outbox;
mod preferences;
mod rows;
mod send;

use std::sync::Arc;

use pathway_store::{Db, Migration, Once, REQUESTS, Row, StoreConfig, StoreError, Tx, Val};
use pathway_telemetry::Telemetry;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::delivery::{Attempt, Claim, Delivery};
use crate::endpoint::Endpoint;
use crate::error::NotificationsError;
use crate::feeds::News;
use crate::notice::{Mark, Notice, Stored};
use crate::preferences::{Channel, Preferences};
use crate::templates::Templates;
pub(crate) use deliveries::{Again, DeliveryListing, Health, Settled, Wanted};
pub(crate) use marks::{Marked, MarkedAll};
use rows::{all_stored, columns};

const MIGRATIONS: [Migration; 4] = [
    Migration { number: 1, name: "notices", sql: include_str!("../migrations/0001_notices.sql") },
    Migration { number: 2, name: "changes", sql: include_str!("../migrations/0002_changes.sql") },
    REQUESTS,
    Migration { number: 3, name: "deliveries", sql: include_str!("../migrations/0003_deliveries.sql") },
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
                    let row = rows.into_iter().next()?;
                    let (unread, last) = (row.i64(0), row.i64(1));
                    let of = |unread, last| News {
                        user_id: user_id.clone(),
                        before: last,
                        last,
                        unread,
                        changes: None,
                    };
                    Some(unread.and_then(|unread| last.map(|last| of(unread, last))))
                };
                users.iter().zip(rows).filter_map(news).collect()
            })
            .await
    }

    /// What a user has said.
    pub(crate) async fn preferences(&self, user_id: String) -> Result<Preferences, NotificationsError> {
        self.db.read(move |tx| preferences::load(tx, &user_id)).await
    }

    /// Changes what a user has said, by what `change` makes of it.
    pub(crate) async fn update_preferences(
        &self,
        user_id: String,
        change: impl Fn(&mut Preferences) + Send + 'static,
    ) -> Result<Preferences, NotificationsError> {
        self.db.write_locking(move |tx| preferences::update(tx, &user_id, &change)).await
    }

    /// Takes messages that are due.
    pub(crate) async fn claim(&self, wanted: Wanted) -> Result<Vec<Claim>, NotificationsError> {
        self.db.write_locking(move |tx| deliveries::claim(tx, &wanted)).await
    }

    /// When the next message is due after now.
    pub(crate) async fn next_due(&self, now_us: i64) -> Result<Option<i64>, StoreError> {
        self.db.read(move |tx| deliveries::next_due(tx, now_us)).await
    }

    /// Records what came of attempts; answers what the owners of endpoints were told.
    pub(crate) async fn settle(
        &self,
        settled: Vec<Settled>,
        now_us: i64,
    ) -> Result<Vec<News>, NotificationsError> {
        let templates = Arc::clone(&self.templates);
        self.db
            .write_locking(move |tx| {
                let news = health::note(tx, &settled, &templates, now_us)?;
                deliveries::settle(tx, &settled)?;
                Ok(news)
            })
            .await
    }

    /// Removes messages that were written before an instant and have ended, a few at a time; answers whether there may be more.
    pub(crate) async fn forget(&self, before_us: i64) -> Result<bool, StoreError> {
        // The least id of its millisecond.
        let millis = u64::try_from(before_us / 1000).unwrap_or(0);
        let before = uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid();
        self.db.write(move |tx| deliveries::forget(tx, before, 500)).await
    }

    /// A user's messages, newest first, each with every attempt.
    pub(crate) async fn deliveries(
        &self,
        listing: DeliveryListing,
    ) -> Result<Vec<(Delivery, Vec<Attempt>)>, NotificationsError> {
        self.db.read(move |tx| deliveries::list(tx, &listing)).await
    }

    /// Lets a user's message go out now; answers how it is then. A call that has an id is done once.
    pub(crate) async fn retry(
        &self,
        user_id: String,
        id: Uuid,
        now_us: i64,
        once: Option<Once>,
    ) -> Result<(Delivery, Vec<Attempt>), NotificationsError> {
        let user = user_id.clone();
        self.once(once, move |tx| Ok((deliveries::retry(tx, &user, id, now_us)?, ()))).await?;
        self.db.read(move |tx| deliveries::find(tx, &user_id, id)).await
    }

    /// Lets messages of a user's endpoint go out once more; answers how many. A call that has an id is done once.
    pub(crate) async fn again(
        &self,
        user_id: String,
        id: Uuid,
        which: Again,
        now_us: i64,
        once: Option<Once>,
    ) -> Result<u64, NotificationsError> {
        let again = move |tx: &mut Tx<'_>| {
            endpoints::find(tx, &user_id, Channel::Webhook, id)?;
            Ok((deliveries::again(tx, &user_id, &id.to_string(), &which, now_us)?, ()))
        };
        Ok(self.once(once, again).await?.0)
    }

    /// A user's endpoints of a channel, in the order in which they were made.
    pub(crate) async fn endpoints(
        &self,
        user_id: String,
        channel: Channel,
    ) -> Result<Vec<Endpoint>, NotificationsError> {
        self.db.read(move |tx| endpoints::list(tx, &user_id, channel)).await
    }

    /// Stores a new webhook, and keeps with the call what its receiver is to have; answers both, as the webhook is then. A call that has an id is done once.
    pub(crate) async fn add_webhook(
        &self,
        endpoint: Endpoint,
        secret: String,
        once: Option<Once>,
    ) -> Result<(Endpoint, String), NotificationsError> {
        let user_id = endpoint.user_id.clone();
        let add = move |tx: &mut Tx<'_>| {
            endpoints::add(tx, &endpoint, false)?;
            Ok(((endpoint.id.into_bytes(), secret.clone()), ()))
        };
        let ((id, secret), _) = self.once(once, add).await?;
        let id = Uuid::from_bytes(id);
        let found = self.db.read(move |tx| endpoints::find(tx, &user_id, Channel::Webhook, id)).await?;
        Ok((found, secret))
    }

    /// Gives a webhook other keys, by what `change` makes of them, and keeps with the call what its receiver is to have, which is answered. A call that has an id is
    /// done once.
    pub(crate) async fn rotate(
        &self,
        user_id: String,
        id: Uuid,
        secret: String,
        once: Option<Once>,
        change: impl Fn(&mut Endpoint) + Send + 'static,
    ) -> Result<String, NotificationsError> {
        let rotate = move |tx: &mut Tx<'_>| {
            endpoints::update(tx, &user_id, Channel::Webhook, id, &change)?;
            Ok((secret.clone(), ()))
        };
        Ok(self.once(once, rotate).await?.0)
    }

    /// Stores a new endpoint, and removes the user's others of its channel with the same URL where `alone`.
    pub(crate) async fn add_endpoint(
        &self,
        endpoint: Endpoint,
        alone: bool,
    ) -> Result<(), NotificationsError> {
        self.db.write_locking(move |tx| endpoints::add(tx, &endpoint, alone)).await
    }

    /// Changes a user's endpoint, by what `change` makes of it.
    pub(crate) async fn update_endpoint(
        &self,
        user_id: String,
        channel: Channel,
        id: Uuid,
        change: impl Fn(&mut Endpoint) + Send + 'static,
    ) -> Result<Endpoint, NotificationsError> {
        self.db.write_locking(move |tx| endpoints::update(tx, &user_id, channel, id, &change)).await
    }

    /// Removes a user's endpoint and drops what waits for it.
    pub(crate) async fn remove_endpoint(
        &self,
        user_id: String,
        channel: Channel,
        id: Uuid,
        now_us: i64,
    ) -> Result<(), NotificationsError> {
        self.db.write_locking(move |tx| endpoints::remove(tx, &user_id, channel, id, now_us)).await
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
mod outbox_tests;
#[cfg(test)]
mod tests;
