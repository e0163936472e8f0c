//! `pathway notifications`: what a user has been told.

use std::process::ExitCode;

use pathway_kernel::Fault;
use pathway_proto::pathway::notifications::v1::{
    ListNoticesRequest, MarkAllReadRequest, StoredNotice, WatchNoticesRequest,
};
use serde_json::{Map, Value, json};
use tonic::Request;

use crate::cli::Notifications;
use crate::client::{Mesh, Reconnect, answer, request};
use crate::output::{Output, instant};

/// The service's largest page.
const PAGE: i32 = 1000;

pub(crate) async fn run(mesh: &Mesh, out: &Output, args: &Notifications) -> Result<ExitCode, Fault> {
    if args.follow {
        return follow(mesh, out, args).await;
    }
    let (notices, mut unread) = list(mesh, &args.user, args.after).await?;
    if args.mark_all_read {
        // Only what was shown: a notice that came in meanwhile stays unread.
        let shown = notices.last().map_or(args.after, |notice| notice.sequence);
        if shown > 0 {
            let message = MarkAllReadRequest { user_id: args.user.clone(), up_to_sequence: shown };
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
    let mut notices = Vec::new();
    let mut after_sequence = after;
    loop {
        let message = ListNoticesRequest {
            user_id: user.to_owned(),
            after_sequence,
            page_size: PAGE,
            unread_only: false,
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
    format!(
        "{mark} {} [{}] {}: {}",
        instant(stored.created_at_us),
        notice.r#type,
        notice.title,
        notice.message
    )
}

async fn follow(mesh: &Mesh, out: &Output, args: &Notifications) -> Result<ExitCode, Fault> {
    let mut after = args.after;
    let mut reconnect = Reconnect::default();
    loop {
        let message = WatchNoticesRequest { user_id: args.user.clone(), after_sequence: after };
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
