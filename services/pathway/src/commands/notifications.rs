//! `pathway notifications`: what a user has been told.

mod feed;
mod marks;
mod send;

use std::process::ExitCode;

use pathway_kernel::Fault;
use pathway_proto::pathway::notifications::v1::{
    ListNoticesRequest, MarkAllReadRequest, NoticeState, StoredNotice, WatchNoticesRequest,
};
use serde_json::{Map, Value, json};
use tonic::Request;

use crate::cli::{NotificationAction as Action, Notifications};
use crate::client::{Mesh, Reconnect, answer, request};
use crate::output::{Output, instant};
pub(crate) use send::facts;

/// The service's largest page.
const PAGE: i32 = 1000;

pub(crate) async fn run(mesh: &Mesh, out: &Output, args: Notifications) -> Result<ExitCode, Fault> {
    let client = &mesh.notifications;
    match args.action {
        // The grammar asks for the user where there is no verb.
        None if args.follow => follow(mesh, out, &args.user.unwrap_or_default(), args.after).await,
        None => {
            let which = Which { unread_only: false, include_all: args.all };
            show(mesh, out, &args.user.unwrap_or_default(), args.after, which, args.mark_all_read).await
        }
        Some(Action::List { user, unread, all, after }) => {
            let which = Which { unread_only: unread, include_all: all };
            show(mesh, out, &user, after, which, false).await
        }
        Some(Action::Watch { user, after, limit }) => feed::watch(mesh, out, &user, after, limit).await,
        Some(Action::Read(chosen)) => marks::mark(client, out, chosen, true).await,
        Some(Action::Unread(chosen)) => marks::mark(client, out, chosen, false).await,
        Some(Action::Archive(chosen)) => marks::archive(client, out, chosen, true).await,
        Some(Action::Restore(chosen)) => marks::archive(client, out, chosen, false).await,
        Some(Action::Send(send)) => send::run(client, out, send).await,
    }
}

/// Which notices to list.
#[derive(Debug, Clone, Copy, Default)]
struct Which {
    unread_only: bool,
    include_all: bool,
}

async fn show(
    mesh: &Mesh,
    out: &Output,
    user: &str,
    after: i64,
    which: Which,
    mark_all_read: bool,
) -> Result<ExitCode, Fault> {
    let (notices, mut unread) = pages(mesh, user, after, which).await?;
    if mark_all_read {
        // Only what was shown: a notice that came in meanwhile stays unread.
        let shown = notices.last().map_or(after, |notice| notice.sequence);
        if shown > 0 {
            let message = MarkAllReadRequest {
                user_id: user.to_owned(),
                up_to_sequence: shown,
                ..MarkAllReadRequest::default()
            };
            unread = answer(mesh.notifications.clone().mark_all_read(request(message)).await)?.unread;
        }
    }
    let document =
        json!({"unread": unread, "notifications": notices.iter().map(document).collect::<Vec<_>>()});
    out.answer(&document, || {
        let mut text: String = notices.iter().map(|notice| text(notice) + "\n").collect();
        let noun = if notices.len() == 1 { "notification" } else { "notifications" };
        text.push_str(&format!("{} {noun}, {unread} unread", notices.len()));
        text
    })?;
    Ok(ExitCode::SUCCESS)
}

/// All of a user's notices after a sequence number, and how many of all are unread.
pub(crate) async fn list(mesh: &Mesh, user: &str, after: i64) -> Result<(Vec<StoredNotice>, i64), Fault> {
    pages(mesh, user, after, Which::default()).await
}

async fn pages(mesh: &Mesh, user: &str, after: i64, which: Which) -> Result<(Vec<StoredNotice>, i64), Fault> {
    let mut notices = Vec::new();
    let mut after_sequence = after;
    loop {
        let message = ListNoticesRequest {
            user_id: user.to_owned(),
            after_sequence,
            page_size: PAGE,
            unread_only: which.unread_only,
            include_all: which.include_all,
        };
        let page = answer(mesh.notifications.clone().list_notices(request(message)).await)?;
        notices.extend(page.notices);
        if page.next_after_sequence == 0 {
            return Ok((notices, page.unread));
        }
        after_sequence = page.next_after_sequence;
    }
}

/// One line for people.
pub(crate) fn text(stored: &StoredNotice) -> String {
    let notice = stored.notice.clone().unwrap_or_default();
    let mark = if stored.read { ' ' } else { '*' };
    let state = match state(stored) {
        "open" => String::new(),
        state => format!(" ({state})"),
    };
    format!(
        "{mark} {} [{}]{state} {}: {}",
        instant(stored.created_at_us),
        notice.r#type,
        notice.title,
        notice.message
    )
}

/// Whether what it tells still holds.
fn state(stored: &StoredNotice) -> &'static str {
    match stored.state() {
        NoticeState::Unspecified | NoticeState::Open => "open",
        NoticeState::Replaced => "replaced",
        NoticeState::Resolved => "resolved",
        NoticeState::Withdrawn => "withdrawn",
    }
}

async fn follow(mesh: &Mesh, out: &Output, user: &str, after: i64) -> Result<ExitCode, Fault> {
    let mut after = after;
    let mut reconnect = Reconnect::default();
    loop {
        let message = WatchNoticesRequest { user_id: user.to_owned(), after_sequence: after };
        let ended = match mesh.notifications.clone().watch_notices(Request::new(message)).await {
            Err(status) => Err(status),
            Ok(response) => {
                let mut stream = response.into_inner();
                loop {
                    match stream.message().await {
                        Ok(Some(message)) => {
                            reconnect.works();
                            if let Some(notice) = message.notice {
                                after = notice.sequence;
                                out.answer(&document(&notice), || text(&notice))?;
                            }
                        }
                        Ok(None) => break Ok(()),
                        Err(status) => break Err(status),
                    }
                }
            }
        };
        // The sequence number makes a cut stream harmless: go on after the last notice shown.
        reconnect.again(ended).await?;
    }
}

fn document(stored: &StoredNotice) -> Value {
    let notice = stored.notice.clone().unwrap_or_default();
    let mut metadata: Vec<(String, Value)> =
        notice.metadata.into_iter().map(|(key, value)| (key, json!(value))).collect();
    metadata.sort_by(|a, b| a.0.cmp(&b.0));
    json!({
        "id": stored.id,
        "sequence": stored.sequence,
        "type": notice.r#type,
        "title": notice.title,
        "message": notice.message,
        "read": stored.read,
        "archived": stored.archived,
        "state": state(stored),
        "about": notice.about,
        "created_at": instant(stored.created_at_us),
        "metadata": Value::Object(Map::from_iter(metadata)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_has_every_field() {
        let stored = StoredNotice { id: "x".into(), sequence: 3, ..StoredNotice::default() };
        let document = document(&stored);
        for key in ["id", "sequence", "type", "title", "message", "read", "created_at", "metadata"] {
            assert!(document.get(key).is_some(), "{key}");
        }
    }
}
