//! Marking and putting away.

use std::process::ExitCode;

use pathway_kernel::Fault;
use pathway_proto::google::rpc::Status;
use pathway_proto::pathway::notifications::v1::notifications_service_client::NotificationsServiceClient;
use pathway_proto::pathway::notifications::v1::{ArchiveNoticesRequest, MarkNoticesRequest};
use pathway_rpc::{Channel, from_item_status};
use serde_json::{Value, json};

use crate::cli::Chosen;
use crate::client::{answer, request};
use crate::output::Output;

type Client = NotificationsServiceClient<Channel>;

pub(super) async fn mark(
    client: &Client,
    out: &Output,
    chosen: Chosen,
    read: bool,
) -> Result<ExitCode, Fault> {
    let message = MarkNoticesRequest { user_id: chosen.user, ids: chosen.ids.clone(), read };
    let marked = answer(client.clone().mark_notices(request(message)).await)?;
    told(out, &chosen.ids, marked.results, marked.unread)
}

pub(super) async fn archive(
    client: &Client,
    out: &Output,
    chosen: Chosen,
    archived: bool,
) -> Result<ExitCode, Fault> {
    let message = ArchiveNoticesRequest { user_id: chosen.user, ids: chosen.ids.clone(), archived };
    let marked = answer(client.clone().archive_notices(request(message)).await)?;
    told(out, &chosen.ids, marked.results, marked.unread)
}

/// Prints what became of each; answers failure where there was one that the user does not have.
fn told(out: &Output, ids: &[String], results: Vec<Status>, unread: i64) -> Result<ExitCode, Fault> {
    let outcomes: Vec<(&String, Option<Fault>)> = ids
        .iter()
        .zip(results)
        .map(|(id, status)| (id, (status.code != 0).then(|| from_item_status(status))))
        .collect();
    let unknown = outcomes.iter().filter(|(_, fault)| fault.is_some()).count();
    let items: Vec<Value> = outcomes
        .iter()
        .map(|(id, fault)| json!({"id": id, "error": fault.as_ref().map(|fault| fault.code().name())}))
        .collect();
    out.answer(&json!({"unread": unread, "results": items}), || {
        let mut text = String::new();
        for (id, fault) in &outcomes {
            if let Some(fault) = fault {
                text.push_str(&format!("{id}: {}\n", fault.message()));
            }
        }
        text.push_str(&format!("{} marked, {unread} unread", outcomes.len() - unknown));
        text
    })?;
    Ok(if unknown == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
