//! The records in a database, in the domain's words.
//!
//! A batch of writes is one transaction of a handful of statements, whatever its size: what it touches is loaded, the ledger decides in
//! memory, and what came of it is stored. A change's sequence is taken inside that transaction from one row, which is locked until it
//! commits; so on PostgreSQL, too, no reader of the feed can see a sequence before all smaller ones.

mod batch;
mod links;
mod rows;

use std::sync::Arc;

use pathway_finance::Period;
use pathway_store::{Db, Migration, Pages, StoreConfig, StoreError, Tx, Val};
use pathway_telemetry::Telemetry;
use uuid::Uuid;

use crate::error::DatasyncError;
use crate::import::Line;
use crate::records::{Change, Origin, Outcome, Part, Record, Write};
pub(crate) use links::{Paired, Tied};
use rows::{change_columns, change_tables, record_columns};

const MIGRATIONS: [Migration; 3] = [
    Migration { number: 1, name: "records", sql: include_str!("../migrations/0001_records.sql") },
    Migration { number: 2, name: "locality", sql: include_str!("../migrations/0002_locality.sql") },
    Migration { number: 10, name: "links", sql: include_str!("../migrations/0010_links.sql") },
];

/// The records in a database; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Store(Db);

/// What an import did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Imported {
    pub(crate) added: i64,
    pub(crate) unchanged: i64,
    pub(crate) quarantined: i64,
    /// The feed's last change of history: whoever has followed history that far has seen all of it. Not the feed's end, because a follower
    /// that filters hears of other changes at the next heartbeat only, and would be waited for.
    pub(crate) sequence: i64,
}

/// Which of a user's records to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) user_id: String,
    /// A category's key; none for all.
    pub(crate) category: Option<String>,
    pub(crate) show_deleted: bool,
    /// Where the page before ended.
    pub(crate) after: Option<Place>,
    pub(crate) limit: i64,
}

/// A place in a listing, newest date first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) day: i64,
    pub(crate) id: Uuid,
}

/// A run of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FeedPage {
    pub(crate) changes: Vec<Change>,
    /// Where to go on.
    pub(crate) next: i64,
}

const HEAD: &str = "SELECT sequence FROM feed WHERE id = 1";
const LIST: &str = concat!(
    "SELECT ",
    record_columns!("r"),
    " FROM records r WHERE r.user_id = $1 AND r.deleted <= $2 AND (r.day, r.id) < ($3, $4) ORDER BY r.day DESC, r.id DESC LIMIT $5"
);
const LIST_CATEGORY: &str = concat!(
    "SELECT ",
    record_columns!("r"),
    " FROM records r WHERE r.user_id = $1 AND r.deleted <= $2 AND (r.day, r.id) < ($3, $4) AND r.category = $6",
    " ORDER BY r.day DESC, r.id DESC LIMIT $5"
);
const VERSIONS: &str = concat!(
    "SELECT ",
    change_columns!(),
    " FROM ",
    change_tables!(),
    " WHERE r.user_id = $1 AND v.record_id = $2 AND v.version > $3 ORDER BY v.version LIMIT $4"
);
const CHANGES: &str = concat!(
    "SELECT ",
    change_columns!(),
    " FROM ",
    change_tables!(),
    " WHERE v.sequence > $1 ORDER BY v.sequence LIMIT $2"
);
const LIVE_CHANGES: &str = concat!(
    "SELECT ",
    change_columns!(),
    " FROM ",
    change_tables!(),
    " WHERE v.origin = 1 AND v.sequence > $1 ORDER BY v.sequence LIMIT $2"
);
/// The origin stands in the text, because the index is one of history alone.
const CHANGES_OF_HISTORY: &str = concat!(
    "SELECT ",
    change_columns!(),
    " FROM ",
    change_tables!(),
    " WHERE v.origin = 2 AND v.sequence > $1 ORDER BY v.sequence LIMIT $2"
);

// === impl Store ===

impl Store {
    pub(crate) async fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        Ok(Self(Db::open_with(config, Pages::Small, MIGRATIONS.to_vec()).await?))
    }

    /// From now on, tells `telemetry` how it goes.
    pub(crate) fn tell(&self, telemetry: &Telemetry) {
        self.0.tell(telemetry);
    }

    /// Whether the store answers.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        self.0.ping().await
    }

    /// Writes a batch, in order, and answers as many outcomes.
    pub(crate) async fn write(&self, writes: Vec<Write>, now_us: i64) -> Result<Vec<Outcome>, DatasyncError> {
        self.0.write(move |tx| batch::write(tx, &writes, now_us)).await
    }

    /// Imports a statement's lines.
    pub(crate) async fn import(&self, lines: Vec<Line>, now_us: i64) -> Result<Imported, DatasyncError> {
        self.0.write(move |tx| batch::import(tx, &lines, now_us)).await
    }

    /// Splits a user's line; answers it and its parts.
    pub(crate) async fn split(
        &self,
        user_id: String,
        id: Uuid,
        parts: Vec<Part>,
        now_us: i64,
    ) -> Result<Tied, DatasyncError> {
        self.0.write(move |tx| links::split(tx, &user_id, id, &parts, now_us)).await
    }

    /// Pairs the legs of a user's transfers in a period, where it is certain which they are.
    pub(crate) async fn pair_all(
        &self,
        user_id: String,
        period: Period,
        now_us: i64,
    ) -> Result<Paired, DatasyncError> {
        self.0.write(move |tx| links::pair_all(tx, &user_id, period, now_us)).await
    }

    /// Pairs two of a user's lines; answers the leg that the money left, then the other.
    pub(crate) async fn pair(
        &self,
        user_id: String,
        ids: [Uuid; 2],
        now_us: i64,
    ) -> Result<Tied, DatasyncError> {
        self.0.write(move |tx| links::pair(tx, &user_id, ids, now_us)).await
    }

    /// Takes a user's pair apart; answers the line that was named, then the other.
    pub(crate) async fn unpair(&self, user_id: String, id: Uuid, now_us: i64) -> Result<Tied, DatasyncError> {
        self.0.write(move |tx| links::unpair(tx, &user_id, id, now_us)).await
    }

    /// A page of a user's records, newest date first.
    pub(crate) async fn list(&self, listing: &Listing) -> Result<Vec<Arc<Record>>, DatasyncError> {
        let after = listing.after.unwrap_or(Place { day: i64::MAX, id: Uuid::max() });
        let mut params: Vec<Val> = vec![
            (&listing.user_id).into(),
            listing.show_deleted.into(),
            after.day.into(),
            after.id.into_bytes().into(),
            listing.limit.into(),
        ];
        let sql = match &listing.category {
            None => LIST,
            Some(category) => {
                params.push(category.into());
                LIST_CATEGORY
            }
        };
        self.0.query(sql, params).await?.iter().map(rows::record).collect()
    }

    /// At most `limit` versions of a user's record after one, oldest first; none where the user has no such record.
    pub(crate) async fn versions(
        &self,
        user_id: &str,
        id: Uuid,
        after: i64,
        limit: i64,
    ) -> Result<Vec<Change>, DatasyncError> {
        let key = vec![user_id.into(), id.into_bytes().into(), after.into(), limit.into()];
        let rows = self.0.query(VERSIONS, key).await?;
        rows.iter().map(rows::change).collect()
    }

    /// At most `limit` changes after a sequence.
    pub(crate) async fn changes(
        &self,
        after: i64,
        limit: i64,
        origin: Option<Origin>,
    ) -> Result<FeedPage, DatasyncError> {
        self.0.read(move |tx| page(tx, after, limit, origin)).await
    }

    /// The feed's last sequence.
    pub(crate) async fn head(&self) -> Result<i64, DatasyncError> {
        self.0.read(head).await
    }
}

/// The feed's last sequence, as this transaction sees it.
fn head(tx: &mut Tx<'_>) -> Result<i64, DatasyncError> {
    let rows = tx.query(HEAD, &[])?;
    Ok(rows.first().ok_or(DatasyncError::Corrupt("feed"))?.i64(0)?)
}

fn page(tx: &mut Tx<'_>, after: i64, limit: i64, origin: Option<Origin>) -> Result<FeedPage, DatasyncError> {
    let head = head(tx)?;
    if after > head {
        return Err(DatasyncError::CursorBeyondFeed { after, head });
    }
    let sql = match origin {
        None => CHANGES,
        Some(Origin::Live) => LIVE_CHANGES,
        Some(Origin::History) => CHANGES_OF_HISTORY,
    };
    let rows = tx.query(sql, &[after.into(), limit.into()])?;
    let changes = rows.iter().map(rows::change).collect::<Result<Vec<_>, _>>()?;
    let is_full = i64::try_from(changes.len()).is_ok_and(|count| count >= limit);
    // Where the page is not full, nothing that was filtered out has to be read again.
    let next = if is_full { changes.last().map_or(after, |change| change.sequence) } else { head };
    Ok(FeedPage { changes, next })
}

#[cfg(test)]
mod tests;
