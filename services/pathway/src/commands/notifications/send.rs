//! `pathway notifications send`.

use std::collections::HashMap;
use std::process::ExitCode;

use pathway_kernel::{Code, Fault};
use pathway_proto::pathway::notifications::v1::SendNoticesRequest;
use pathway_proto::pathway::notifications::v1::notifications_service_client::NotificationsServiceClient;
use pathway_proto::pathway::notifications::v1::send_notice_result::Result as Item;
use pathway_proto::pathway::types::v1::{Notice, NoticeAction};
use pathway_rpc::{Channel, from_item_status};
use serde_json::json;

use crate::cli::NoticeSend;
use crate::client::{answer, request};
use crate::output::Output;

pub(super) async fn run(
    client: &NotificationsServiceClient<Channel>,
    out: &Output,
    send: NoticeSend,
) -> Result<ExitCode, Fault> {
    let action = match (send.resolve, send.withdraw) {
        (true, _) => NoticeAction::Resolve,
        (_, true) => NoticeAction::Withdraw,
        _ => NoticeAction::Tell,
    };
    let notice = Notice {
        user_id: send.user,
        dedup_key: send.key,
        r#type: send.kind,
        title: send.title,
        message: send.message,
        metadata: facts(&send.facts)?,
        about: send.about,
        critical: send.critical,
        action: action.into(),
        ..Notice::default()
    };
    let message = SendNoticesRequest { notices: vec![notice] };
    let sent = answer(client.clone().send_notices(request(message)).await)?;
    let result = sent.results.into_iter().next().and_then(|result| result.result);
    let sent = match result {
        Some(Item::Outcome(sent)) => sent,
        Some(Item::Error(status)) => return Err(from_item_status(status)),
        None => return Err(Fault::internal("a notice without an outcome")),
    };
    let document = json!({
        "id": sent.id, "sequence": sent.sequence, "duplicate": sent.duplicate, "ended": sent.ended,
    });
    out.answer(&document, || {
        let what = match (sent.duplicate, sent.id.is_empty()) {
            (true, _) => "was there already".to_owned(),
            (false, true) => "nothing new is told".to_owned(),
            (false, false) => format!("{} is told, at place {}", sent.id, sent.sequence),
        };
        format!("{what}; {} ended", sent.ended)
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Facts as they are given on the command line, such as `category=dining`.
pub(crate) fn facts(given: &[String]) -> Result<HashMap<String, String>, Fault> {
    let fact = |fact: &String| {
        fact.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or_else(|| {
            let message = format!("`{fact}` is no fact: give a name and a value, such as category=dining");
            Fault::new(Code::InvalidArgument, "INVALID_FACT", message)
        })
    };
    given.iter().map(fact).collect()
}
