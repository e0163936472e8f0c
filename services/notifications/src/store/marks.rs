//! Marks: what a user does with their notices.

use std::collections::BTreeMap;

use pathway_store::{Tx, Val};
use uuid::Uuid;

use super::feed::{ADVANCE, Feed};
use super::rows::{UPDATE, all_stored, columns, stored, update_vals};
use crate::error::NotificationsError;
use crate::feeds::News;
use crate::notice::{Mark, Stored};

const BY_ID: &str = concat!("SELECT ", columns!(), " FROM notices WHERE user_id = $1 AND id = $2");
const MARK_ALL: &str = "UPDATE notices
     SET is_read = 1, change = $3 + sequence, change_kind = 'read', changed_at_us = $4
     WHERE user_id = $1 AND sequence <= $2 AND is_read = 0";
const CHANGES: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM notices WHERE user_id = $1 AND change > $2 ORDER BY change LIMIT $3"
);

/// The most notices that one mark of all hands to the watchers; they read more for themselves.
const MOST_TOLD: i64 = 256;

/// What came of marking notices one by one.
#[derive(Debug, Clone)]
pub(crate) struct Marked {
    /// For each id, whether the user has such a notice.
    pub(crate) known: Vec<bool>,
    /// How many are unread then.
    pub(crate) unread: i64,
    /// What changed, if anything did.
    pub(crate) news: Option<News>,
}

/// What came of marking all.
#[derive(Debug, Clone)]
pub(crate) struct MarkedAll {
    /// How many were unread before.
    pub(crate) marked: i64,
    /// How many are unread then.
    pub(crate) unread: i64,
    /// What changed, if anything did.
    pub(crate) news: Option<News>,
}

pub(super) fn mark(
    tx: &mut Tx<'_>,
    user_id: &str,
    ids: &[Uuid],
    mark: Mark,
    now_us: i64,
) -> Result<Marked, NotificationsError> {
    let Some(mut feed) = Feed::lock(tx, user_id)? else {
        return Ok(Marked { known: vec![false; ids.len()], unread: 0, news: None });
    };
    let keys: Vec<[Val; 2]> = ids.iter().map(|id| [user_id.into(), id.into_bytes().into()]).collect();
    let rows = tx.query_many(BY_ID, &keys)?;
    let known = rows.iter().map(|rows| !rows.is_empty()).collect();
    // An id may be named twice; the notice is there once.
    let mut notices: BTreeMap<i64, Stored> = BTreeMap::new();
    for row in rows.iter().flatten() {
        let stored = stored(row)?;
        notices.insert(stored.sequence, stored);
    }
    let mut changed = Vec::new();
    for mut stored in notices.into_values() {
        let was_read = stored.is_read;
        if stored.mark(mark) {
            feed.unread += i64::from(was_read) - i64::from(stored.is_read);
            stored.change = feed.next_change();
            stored.changed_at_us = now_us;
            changed.push(stored);
        }
    }
    let updates: Vec<[Val; 8]> = changed.iter().map(update_vals).collect();
    tx.execute_many(UPDATE, &updates)?;
    let unread = feed.unread;
    if changed.is_empty() {
        return Ok(Marked { known, unread, news: None });
    }
    tx.execute(ADVANCE, &feed.advance_vals())?;
    changed.into_iter().for_each(|stored| feed.tell(stored));
    Ok(Marked { known, unread, news: Some(feed.into_news(true)) })
}

/// Marks all up to a sequence as read.
pub(super) fn mark_all(
    tx: &mut Tx<'_>,
    user_id: &str,
    up_to: i64,
    now_us: i64,
) -> Result<MarkedAll, NotificationsError> {
    let Some(mut feed) = Feed::lock(tx, user_id)? else {
        return Ok(MarkedAll { marked: 0, unread: 0, news: None });
    };
    let base = feed.changes_by_place();
    let marked = tx.execute(MARK_ALL, &[user_id.into(), up_to.into(), base.into(), now_us.into()])?;
    let marked = i64::try_from(marked).unwrap_or(i64::MAX);
    if marked == 0 {
        return Ok(MarkedAll { marked, unread: feed.unread, news: None });
    }
    feed.unread -= marked;
    tx.execute(ADVANCE, &feed.advance_vals())?;
    let is_told = marked <= MOST_TOLD;
    if is_told {
        for stored in changes(tx, user_id, base, MOST_TOLD)? {
            feed.tell(stored);
        }
    }
    Ok(MarkedAll { marked, unread: feed.unread, news: Some(feed.into_news(is_told)) })
}

/// What changed after a number, in order.
pub(super) fn changes(
    tx: &mut Tx<'_>,
    user_id: &str,
    after: i64,
    limit: i64,
) -> Result<Vec<Stored>, NotificationsError> {
    all_stored(&tx.query(CHANGES, &[user_id.into(), after.into(), limit.into()])?)
}
