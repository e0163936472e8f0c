//! A user's feed while a transaction changes it: its lock, its counters, and what its watchers will be told.

use std::sync::Arc;

use pathway_store::{Row, StoreError, Tx, Val};

use crate::feeds::{News, Update};
use crate::notice::Stored;

const LOCK_OR_BEGIN: &str =
    "INSERT INTO feeds (user_id, last_sequence, unread, last_change) VALUES ($1, 0, 0, 0)
     ON CONFLICT (user_id) DO UPDATE SET unread = feeds.unread
     RETURNING last_sequence, unread, last_change, has_routes";
const LOCK: &str = "UPDATE feeds SET unread = unread WHERE user_id = $1 RETURNING last_sequence, unread, last_change, has_routes";
pub(super) const ADVANCE: &str =
    "UPDATE feeds SET last_sequence = $2, unread = $3, last_change = $4 WHERE user_id = $1";

/// Locks the feed too, and begins it where the user has none.
pub(super) const HAS_ROUTES: &str =
    "INSERT INTO feeds (user_id, last_sequence, unread, last_change, has_routes) VALUES ($1, 0, 0, 0, 1)
     ON CONFLICT (user_id) DO UPDATE SET has_routes = 1";

/// A user's feed, locked until the transaction ends.
#[derive(Debug)]
pub(super) struct Feed {
    user_id: String,
    last_sequence: i64,
    pub(super) unread: i64,
    last_change: i64,
    /// The last change before this transaction.
    before: i64,
    /// Whether the user has said anything of what goes where.
    pub(super) has_routes: bool,
    changed: Vec<Stored>,
}

// === impl Feed ===

impl Feed {
    /// Locks the feed, and begins it where the user has none.
    pub(super) fn lock_or_begin(tx: &mut Tx<'_>, user_id: &str) -> Result<Self, StoreError> {
        let locked = tx.query(LOCK_OR_BEGIN, &[user_id.into()])?;
        Self::of(user_id, locked.first().ok_or(StoreError::Column { index: 0, expected: "a feed" })?)
    }

    /// Locks the feed where the user has one.
    pub(super) fn lock(tx: &mut Tx<'_>, user_id: &str) -> Result<Option<Self>, StoreError> {
        tx.query(LOCK, &[user_id.into()])?.first().map(|row| Self::of(user_id, row)).transpose()
    }

    fn of(user_id: &str, row: &Row) -> Result<Self, StoreError> {
        let last_change = row.i64(2)?;
        Ok(Self {
            user_id: user_id.to_owned(),
            last_sequence: row.i64(0)?,
            unread: row.i64(1)?,
            last_change,
            before: last_change,
            has_routes: row.bool(3)?,
            changed: Vec::new(),
        })
    }

    /// The place of the next new notice.
    pub(super) const fn next_sequence(&mut self) -> i64 {
        self.last_sequence += 1;
        self.last_sequence
    }

    /// The number of the next change.
    pub(super) const fn next_change(&mut self) -> i64 {
        self.last_change += 1;
        self.last_change
    }

    /// Gives each notice up to `sequence` that a statement marks a number of its own, with no look at any: after what there is, by its place.
    /// Answers the number to add a place to.
    pub(super) const fn changes_by_place(&mut self) -> i64 {
        let base = self.last_change;
        self.last_change += self.last_sequence;
        base
    }

    pub(super) fn tell(&mut self, stored: Stored) {
        self.changed.push(stored);
    }

    pub(super) const fn is_changed(&self) -> bool {
        self.last_change != self.before
    }

    pub(super) fn advance_vals(&self) -> [Val; 4] {
        [(&self.user_id).into(), self.last_sequence.into(), self.unread.into(), self.last_change.into()]
    }

    /// What the watchers are told. `is_whole` where every change was told to this feed; watchers read the store otherwise.
    pub(super) fn into_news(self, is_whole: bool) -> News {
        let (last, unread) = (self.last_change, self.unread);
        let update = Update { changes: self.changed, last, unread, ..Update::default() };
        News { user_id: self.user_id, before: self.before, last, update: is_whole.then(|| Arc::new(update)) }
    }
}
