//! The generated types of notices and the domain's, both ways.

use pathway_proto::pathway::notifications::v1 as api;
use pathway_proto::pathway::types::v1 as types;
use pathway_rpc::to_item_status;

use crate::error::NotificationsError;
use crate::feeds::Update;
use crate::notice::{Action, ChangeKind, Notice, State, Stored};

use crate::store::Sent;

pub(super) fn from_notice(notice: types::Notice) -> Notice {
    let action = match notice.action() {
        types::NoticeAction::Unspecified | types::NoticeAction::Tell => Action::Tell,
        types::NoticeAction::Resolve => Action::End(State::Resolved),
        types::NoticeAction::Withdraw => Action::End(State::Withdrawn),
    };
    Notice {
        user_id: notice.user_id,
        dedup_key: notice.dedup_key,
        kind: notice.r#type,
        title: notice.title,
        message: notice.message,
        metadata: notice.metadata.into_iter().collect(),
        about: notice.about,
        is_critical: notice.critical,
        channel: notice.channel,
        action,
    }
}

pub(super) fn to_stored(stored: Stored) -> api::StoredNotice {
    let notice = stored.notice;
    api::StoredNotice {
        id: stored.id.to_string(),
        sequence: stored.sequence,
        notice: Some(types::Notice {
            user_id: notice.user_id,
            dedup_key: notice.dedup_key,
            r#type: notice.kind,
            title: notice.title,
            message: notice.message,
            metadata: notice.metadata.into_iter().collect(),
            about: notice.about,
            critical: notice.is_critical,
            channel: notice.channel,
            action: types::NoticeAction::Tell.into(),
        }),
        read: stored.is_read,
        created_at_us: stored.created_at_us,
        state: to_state(stored.state).into(),
        archived: stored.is_archived,
        change: stored.change,
        changed_at_us: stored.changed_at_us,
    }
}

const fn to_state(state: State) -> api::NoticeState {
    match state {
        State::Open => api::NoticeState::Open,
        State::Replaced => api::NoticeState::Replaced,
        State::Resolved => api::NoticeState::Resolved,
        State::Withdrawn => api::NoticeState::Withdrawn,
    }
}

const fn to_kind(kind: ChangeKind) -> api::ChangeKind {
    match kind {
        ChangeKind::Created => api::ChangeKind::Created,
        ChangeKind::Read => api::ChangeKind::Read,
        ChangeKind::Unread => api::ChangeKind::Unread,
        ChangeKind::Archived => api::ChangeKind::Archived,
        ChangeKind::Restored => api::ChangeKind::Restored,
        ChangeKind::Replaced => api::ChangeKind::Replaced,
        ChangeKind::Resolved => api::ChangeKind::Resolved,
        ChangeKind::Withdrawn => api::ChangeKind::Withdrawn,
    }
}

pub(super) fn to_update(update: &Update) -> api::WatchNotificationsResponse {
    let to_change = |stored: &Stored| api::FeedChange {
        change: stored.change,
        kind: to_kind(stored.change_kind).into(),
        notice: Some(to_stored(stored.clone())),
    };
    api::WatchNotificationsResponse {
        changes: update.changes.iter().map(to_change).collect(),
        change: update.last,
        unread: update.unread,
    }
}

pub(super) fn to_message(stored: Stored) -> api::WatchNoticesResponse {
    api::WatchNoticesResponse { notice: Some(to_stored(stored)) }
}

pub(super) fn to_result(result: Result<Sent, NotificationsError>) -> api::SendNoticeResult {
    use api::send_notice_result::Result as Item;
    let result = match result {
        Ok(sent) => Item::Outcome(api::SendOutcome {
            id: if sent.id.is_nil() { String::new() } else { sent.id.to_string() },
            sequence: sent.sequence,
            duplicate: sent.is_duplicate,
            ended: sent.ended,
        }),
        Err(error) => Item::Error(to_item_status(&error.into())),
    };
    api::SendNoticeResult { result: Some(result) }
}
