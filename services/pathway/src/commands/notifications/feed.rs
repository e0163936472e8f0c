//! `pathway notifications watch`: every change of a feed, as each of a user's devices gets it.

use std::process::ExitCode;

use pathway_kernel::Fault;
use pathway_proto::pathway::notifications::v1::{
    ChangeKind, FeedChange, WatchNotificationsRequest, WatchNotificationsResponse,
};
use serde_json::{Value, json};
use tonic::Request;

use super::{document, text};
use crate::client::{Mesh, Reconnect};
use crate::output::Output;

pub(super) async fn watch(
    mesh: &Mesh,
    out: &Output,
    user: &str,
    after: i64,
    limit: Option<u64>,
) -> Result<ExitCode, Fault> {
    let (mut after_change, mut left) = (after, limit.unwrap_or(u64::MAX));
    let mut reconnect = Reconnect::default();
    loop {
        let message = WatchNotificationsRequest { user_id: user.to_owned(), after_change };
        let ended = match mesh.notifications.clone().watch_notifications(Request::new(message)).await {
            Err(status) => Err(status),
            Ok(response) => {
                let mut stream = response.into_inner();
                loop {
                    match stream.message().await {
                        Ok(Some(update)) => {
                            reconnect.works();
                            if print(out, &update, &mut left)? {
                                return Ok(ExitCode::SUCCESS);
                            }
                            after_change = update.change;
                        }
                        Ok(None) => break Ok(()),
                        Err(status) => break Err(status),
                    }
                }
            }
        };
        // The number makes a cut stream harmless: go on after the last change shown.
        reconnect.again(ended).await?;
    }
}

/// Prints changes; answers whether it has printed as many as were wanted.
fn print(out: &Output, update: &WatchNotificationsResponse, left: &mut u64) -> Result<bool, Fault> {
    for change in &update.changes {
        out.answer(&described(change, update.unread), || {
            let notice = change.notice.clone().unwrap_or_default();
            format!("{:>6} {:<9} {} {}", change.change, kind(change), notice.id, text(&notice))
        })?;
        *left = left.saturating_sub(1);
        if *left == 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

fn described(change: &FeedChange, unread: i64) -> Value {
    let notice = change.notice.clone().unwrap_or_default();
    json!({"change": change.change, "kind": kind(change), "unread": unread, "notification": document(&notice)})
}

fn kind(change: &FeedChange) -> &'static str {
    match change.kind() {
        ChangeKind::Unspecified => "changed",
        ChangeKind::Created => "created",
        ChangeKind::Read => "read",
        ChangeKind::Unread => "unread",
        ChangeKind::Archived => "archived",
        ChangeKind::Restored => "restored",
        ChangeKind::Replaced => "replaced",
        ChangeKind::Resolved => "resolved",
        ChangeKind::Withdrawn => "withdrawn",
    }
}
