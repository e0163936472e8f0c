//! Rows of notices.

use pathway_store::{Row, StoreError, Val};
use uuid::Uuid;

use crate::error::NotificationsError;
use crate::notice::{Action, ChangeKind, Notice, State, Stored};

/// The columns of a notice, in the order in which [`stored`] reads them. A macro, because a statement is one constant text.
macro_rules! columns {
    () => {
        "id, sequence, user_id, dedup_key, type, title, message, metadata, is_read, created_at_us,
         about, is_critical, channel, state, is_archived, change, change_kind, changed_at_us"
    };
}
pub(super) use columns;

pub(super) const INSERT: &str = concat!(
    "INSERT INTO notices (",
    columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)"
);
/// What can change of a notice.
pub(super) const UPDATE: &str = "UPDATE notices
     SET is_read = $3, state = $4, is_archived = $5, change = $6, change_kind = $7, changed_at_us = $8
     WHERE user_id = $1 AND sequence = $2";

pub(super) fn insert_vals(stored: &Stored) -> Result<[Val; 18], NotificationsError> {
    let notice = &stored.notice;
    Ok([
        stored.id.into_bytes().into(),
        stored.sequence.into(),
        (&notice.user_id).into(),
        (&notice.dedup_key).into(),
        (&notice.kind).into(),
        (&notice.title).into(),
        (&notice.message).into(),
        serde_json::to_string(&notice.metadata)?.into(),
        stored.is_read.into(),
        stored.created_at_us.into(),
        (&notice.about).into(),
        notice.is_critical.into(),
        (&notice.channel).into(),
        stored.state.name().into(),
        stored.is_archived.into(),
        stored.change.into(),
        stored.change_kind.name().into(),
        stored.changed_at_us.into(),
    ])
}

pub(super) fn update_vals(stored: &Stored) -> [Val; 8] {
    [
        (&stored.notice.user_id).into(),
        stored.sequence.into(),
        stored.is_read.into(),
        stored.state.name().into(),
        stored.is_archived.into(),
        stored.change.into(),
        stored.change_kind.name().into(),
        stored.changed_at_us.into(),
    ]
}

pub(super) fn stored(row: &Row) -> Result<Stored, NotificationsError> {
    let strange = |index, expected| StoreError::Column { index, expected };
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
            about: row.text(10)?.to_owned(),
            is_critical: row.bool(11)?,
            channel: row.text(12)?.to_owned(),
            action: Action::Tell,
        },
        is_read: row.bool(8)?,
        created_at_us: row.i64(9)?,
        state: State::parse(row.text(13)?).ok_or_else(|| strange(13, "a notice's state"))?,
        is_archived: row.bool(14)?,
        change: row.i64(15)?,
        change_kind: ChangeKind::parse(row.text(16)?).ok_or_else(|| strange(16, "a kind of change"))?,
        changed_at_us: row.i64(17)?,
    })
}

pub(super) fn all_stored(rows: &[Row]) -> Result<Vec<Stored>, NotificationsError> {
    rows.iter().map(stored).collect()
}
