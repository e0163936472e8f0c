//! Removing what is kept no longer.
//!
//! What an undelivered message tells of stays, however old it is and however many there are: the message is sent, or can be recovered. Of the rest, all that is older than the age
//! goes, and beyond the number what has been read. The keys of the latter are kept until its age comes, so that no replay tells it again.
//!
//! A removal is no change of the feed: who has been told of a notice need not be told that it is kept no longer. Only the unread count is, where it changes. Who resumes before what
//! was removed could not be told what became of that, and lists anew.

use std::collections::{BTreeMap, BTreeSet};

use pathway_store::{Row, StoreError, Tx, Val};
use uuid::Uuid;

use super::Store;
use super::feed::{ADVANCE, Feed};
use super::rows::{all_stored, columns};
use crate::error::NotificationsError;
use crate::feeds::News;
use crate::notice::Stored;

/// Ids begin with their time: they are in the order of their age.
const OLD: &str = "SELECT user_id, sequence, id FROM notices WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3";
const BY_PLACE: &str = concat!("SELECT ", columns!(), " FROM notices WHERE user_id = $1 AND sequence = $2");
const FEEDS: &str =
    "SELECT user_id, last_sequence - trimmed_to FROM feeds WHERE user_id > $1 ORDER BY user_id LIMIT $2";
/// The newest that is too many.
const BORDER: &str =
    "SELECT sequence FROM notices WHERE user_id = $1 ORDER BY sequence DESC LIMIT 1 OFFSET $2";
const READ: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM notices WHERE user_id = $1 AND sequence > $2 AND sequence <= $3 AND is_read = 1 ORDER BY sequence LIMIT $4"
);
const COUNT: &str = "SELECT COUNT(*) FROM notices WHERE user_id = $1";
const TRIMMED: &str = "UPDATE feeds SET trimmed_to = last_sequence - $2 WHERE user_id = $1";
const UNDELIVERED: &str = "SELECT 1 FROM deliveries
     WHERE user_id = $1 AND sequence = $2 AND state IN ('waiting', 'failed') LIMIT 1";
const UNDELIVERED_IN_DIGESTS: &str = "SELECT gathered.sequence FROM deliveries
     JOIN gathered ON gathered.delivery_id = deliveries.id
     WHERE deliveries.user_id = $1 AND deliveries.sequence = 0 AND deliveries.state IN ('waiting', 'failed')";
const REMEMBER: &str = "INSERT INTO told (user_id, dedup_key, id, sequence, created_at_us)
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (user_id, dedup_key) DO NOTHING";
/// With its messages, which cannot be sent again without it.
const REMOVE: [&str; 3] = [
    "DELETE FROM attempts WHERE delivery_id IN
     (SELECT id FROM deliveries WHERE user_id = $1 AND sequence = $2)",
    "DELETE FROM deliveries WHERE user_id = $1 AND sequence = $2",
    "DELETE FROM notices WHERE user_id = $1 AND sequence = $2",
];
const GONE: &str = "UPDATE feeds SET
     gone_change = CASE WHEN gone_change < $2 THEN $2 ELSE gone_change END,
     gone_sequence = CASE WHEN gone_sequence < $3 THEN $3 ELSE gone_sequence END
     WHERE user_id = $1";
const OLD_KEYS: [(&str, &str); 2] = [
    (
        "SELECT user_id, dedup_key FROM told WHERE created_at_us < $1 ORDER BY created_at_us LIMIT $2",
        "DELETE FROM told WHERE user_id = $1 AND dedup_key = $2",
    ),
    (
        "SELECT user_id, dedup_key FROM endings WHERE created_at_us < $1 ORDER BY created_at_us LIMIT $2",
        "DELETE FROM endings WHERE user_id = $1 AND dedup_key = $2",
    ),
];

/// How many rows one transaction looks at.
const AT_ONCE: i64 = 500;

/// How far a look has come, and what the watchers of the feeds are told.
#[derive(Debug)]
pub(crate) struct Swept<T> {
    /// Where to go on; none at the end.
    pub(crate) next: Option<T>,
    pub(crate) news: Vec<News>,
}

// === impl Store ===

impl Store {
    /// Removes notices that were stored before an instant, a few after `after`.
    pub(crate) async fn remove_old(
        &self,
        before_us: i64,
        after: Uuid,
    ) -> Result<Swept<Uuid>, NotificationsError> {
        let before = first_id_of(before_us);
        self.db.write_locking(move |tx| by_age(tx, before, after)).await
    }

    /// The users after one whose feeds may have more than `keep` notices, and where to go on.
    pub(crate) async fn long_feeds(
        &self,
        after: String,
        keep: i64,
    ) -> Result<(Vec<String>, Option<String>), StoreError> {
        self.db.read(move |tx| long_feeds(tx, &after, keep)).await
    }

    /// Removes what a user has read beyond the newest `keep`, a few after a place.
    pub(crate) async fn remove_many(
        &self,
        user_id: String,
        keep: i64,
        after: i64,
    ) -> Result<Swept<i64>, NotificationsError> {
        self.db.write_locking(move |tx| by_number(tx, &user_id, keep, after)).await
    }

    /// Removes keys that were remembered before an instant, a few at a time; answers whether there may be more.
    pub(crate) async fn remove_old_keys(&self, before_us: i64) -> Result<bool, StoreError> {
        self.db.write(move |tx| keys(tx, before_us)).await
    }
}

/// The least id of an instant's millisecond.
pub(super) fn first_id_of(instant_us: i64) -> Uuid {
    let millis = u64::try_from(instant_us / 1000).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid()
}

/// Removes notices that are older than an id, a few after `after`.
fn by_age(tx: &mut Tx<'_>, before: Uuid, after: Uuid) -> Result<Swept<Uuid>, NotificationsError> {
    let old = tx.query(OLD, &[after.into_bytes().into(), before.into_bytes().into(), AT_ONCE.into()])?;
    let mut places: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for row in &old {
        places.entry(row.text(0)?.to_owned()).or_default().push(row.i64(1)?);
    }
    // All locks first, in the order of the names.
    let mut feeds = Vec::with_capacity(places.len());
    for (user_id, places) in &places {
        feeds.extend(Feed::lock(tx, user_id)?.map(|feed| (user_id, places, feed)));
    }
    let mut news = Vec::new();
    for (user_id, places, feed) in feeds {
        let keys: Vec<[Val; 2]> = places.iter().map(|place| [user_id.into(), (*place).into()]).collect();
        let rows: Vec<Row> = tx.query_many(BY_PLACE, &keys)?.into_iter().flatten().collect();
        news.extend(remove(tx, user_id, feed, all_stored(&rows)?, false)?);
    }
    let last = old.last().map(|row| row.id(2)).transpose()?.map(Uuid::from_bytes);
    Ok(Swept { next: last.filter(|_| is_full(old.len())), news })
}

/// The users after one whose feeds may have become too long, and where to go on.
fn long_feeds(tx: &mut Tx<'_>, after: &str, keep: i64) -> Result<(Vec<String>, Option<String>), StoreError> {
    let rows = tx.query(FEEDS, &[after.into(), AT_ONCE.into()])?;
    let mut long = Vec::new();
    for row in &rows {
        if row.i64(1)? > keep {
            long.push(row.text(0)?.to_owned());
        }
    }
    let last = rows.last().map(|row| row.text(0).map(str::to_owned)).transpose()?;
    Ok((long, last.filter(|_| is_full(rows.len()))))
}

/// Removes what a user has read beyond the newest `keep`, a few after a place.
fn by_number(
    tx: &mut Tx<'_>,
    user_id: &str,
    keep: i64,
    after: i64,
) -> Result<Swept<i64>, NotificationsError> {
    let Some(feed) = Feed::lock(tx, user_id)? else { return Ok(Swept { next: None, news: Vec::new() }) };
    let user = Val::from(user_id);
    let border = tx.query(BORDER, &[user.clone(), keep.into()])?;
    let border = border.first().map_or(Ok(0), |row| row.i64(0))?;
    let rows = tx.query(READ, &[user.clone(), after.into(), border.into(), AT_ONCE.into()])?;
    let read = all_stored(&rows)?;
    let last = read.last().map(|stored| stored.sequence);
    let news = remove(tx, user_id, feed, read, true)?.into_iter().collect();
    let next = last.filter(|_| is_full(rows.len()));
    if next.is_none() {
        let left = tx.query(COUNT, std::slice::from_ref(&user))?;
        let left = left.first().map_or(Ok(0), |row| row.i64(0))?;
        // What had to stay is looked at again when there is more.
        tx.execute(TRIMMED, &[user, left.min(keep).into()])?;
    }
    Ok(Swept { next, news })
}

/// Removes keys that were remembered before an instant, a few at a time; answers whether there may be more.
fn keys(tx: &mut Tx<'_>, before_us: i64) -> Result<bool, StoreError> {
    let mut may_be_more = false;
    for (find, remove) in OLD_KEYS {
        let old = tx.query(find, &[before_us.into(), AT_ONCE.into()])?;
        let keys: Vec<[Val; 2]> = old
            .iter()
            .map(|row| Ok([row.text(0)?.into(), row.text(1)?.into()]))
            .collect::<Result<_, StoreError>>()?;
        tx.execute_many(remove, &keys)?;
        may_be_more |= is_full(old.len());
    }
    Ok(may_be_more)
}

/// Removes those of a user's notices that no undelivered message tells of; answers what the watchers are told.
fn remove(
    tx: &mut Tx<'_>,
    user_id: &str,
    mut feed: Feed,
    notices: Vec<Stored>,
    remembers: bool,
) -> Result<Option<News>, NotificationsError> {
    let keys: Vec<[Val; 2]> = notices.iter().map(|stored| place(user_id, stored)).collect();
    let undelivered = tx.query_many(UNDELIVERED, &keys)?;
    let gathered = tx.query(UNDELIVERED_IN_DIGESTS, &[user_id.into()])?;
    let gathered: BTreeSet<i64> = gathered.iter().map(|row| row.i64(0)).collect::<Result<_, _>>()?;
    let gone: Vec<Stored> = notices
        .into_iter()
        .zip(undelivered)
        .filter(|(stored, undelivered)| undelivered.is_empty() && !gathered.contains(&stored.sequence))
        .map(|(stored, _)| stored)
        .collect();
    let Some(sequence) = gone.iter().map(|stored| stored.sequence).max() else { return Ok(None) };
    let change = gone.iter().map(|stored| stored.change).max().unwrap_or_default();
    if remembers {
        tx.execute_many(REMEMBER, &gone.iter().map(remembered).collect::<Vec<_>>())?;
    }
    let keys: Vec<[Val; 2]> = gone.iter().map(|stored| place(user_id, stored)).collect();
    for statement in REMOVE {
        tx.execute_many(statement, &keys)?;
    }
    tx.execute(GONE, &[user_id.into(), change.into(), sequence.into()])?;
    let unread = gone.iter().filter(|stored| !stored.is_read).count();
    if unread == 0 {
        return Ok(None);
    }
    feed.unread -= i64::try_from(unread).unwrap_or(i64::MAX);
    feed.next_change();
    tx.execute(ADVANCE, &feed.advance_vals())?;
    Ok(Some(feed.into_news(true)))
}

fn place(user_id: &str, stored: &Stored) -> [Val; 2] {
    [user_id.into(), stored.sequence.into()]
}

fn remembered(stored: &Stored) -> [Val; 5] {
    [
        (&stored.notice.user_id).into(),
        (&stored.notice.dedup_key).into(),
        stored.id.into_bytes().into(),
        stored.sequence.into(),
        stored.created_at_us.into(),
    ]
}

fn is_full(count: usize) -> bool {
    i64::try_from(count).is_ok_and(|count| count >= AT_ONCE)
}
