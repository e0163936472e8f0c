//! `pathway dead-letters`: events that failed for good, newest first; and what to do with them.

mod redrive;

use std::process::ExitCode;

use pathway_kernel::Fault;
use pathway_proto::google::rpc::Status;
use pathway_proto::pathway::processor::v1::{
    DeadLetter, DryRunRequest, GetDeadLetterRequest, ListDeadLetterGroupsRequest, ListDeadLettersRequest,
    PlannedNode,
};
use pathway_rpc::from_item_status;
use serde_json::{Value, json};

use super::executions::{page_size, trace_id};
use crate::cli::{DeadLetterAction, DeadLetters, LetterFilter};
use crate::client::{Mesh, answer, request};
use crate::output::{Output, instant, more, table};
use redrive::{discard, redrive_all};

pub(crate) async fn run(mesh: &Mesh, out: &Output, args: &DeadLetters) -> Result<ExitCode, Fault> {
    match &args.action {
        None => list(mesh, out, args).await,
        Some(DeadLetterAction::Groups { pathway }) => groups(mesh, out, pathway.as_deref()).await,
        Some(DeadLetterAction::Show { id }) => show(mesh, out, id).await,
        Some(DeadLetterAction::DryRun { id, data }) => {
            let letter = get(mesh, id).await?;
            let data = data.clone().map_or_else(|| letter.event.unwrap_or_default().data, String::into_bytes);
            dry_run(mesh, out, &letter.pathway, "", data).await
        }
        Some(DeadLetterAction::Redrive(redrive)) => redrive_all(mesh, out, redrive).await,
        Some(DeadLetterAction::Discard { ids, reason }) => discard(mesh, out, ids, reason).await,
    }
}

async fn list(mesh: &Mesh, out: &Output, args: &DeadLetters) -> Result<ExitCode, Fault> {
    let (mut letters, mut page_token): (Vec<Value>, _) = (Vec::new(), String::new());
    let total = loop {
        let message = wanted(&args.filter, page_size(args.limit, letters.len()), page_token);
        let page = answer(mesh.processor.clone().list_dead_letters(request(message)).await)?;
        letters.extend(page.dead_letters.iter().map(document));
        page_token = page.next_page_token;
        if page_token.is_empty() || page_size(args.limit, letters.len()) == 0 {
            break page.total;
        }
    };
    let document = json!({"total": total, "dead_letters": letters});
    out.answer(&document, || {
        if letters.is_empty() {
            return "no dead letters".to_owned();
        }
        let cell = |letter: &Value, key: &str| letter[key].as_str().unwrap_or_default().to_owned();
        let rows = letters.iter().map(|letter| {
            let keys = ["id", "failed_at", "pathway", "event_id", "node"];
            let mut row: Vec<String> = keys.iter().map(|key| cell(letter, key)).collect();
            row.push(format!("{}: {}", cell(&letter["error"], "code"), cell(&letter["error"], "message")));
            row
        });
        let table = table(&["id", "failed", "pathway", "event", "node", "error"], &[], rows);
        table + &more(letters.len(), Some(total))
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Which dead letters to list.
fn wanted(filter: &LetterFilter, page_size: i32, page_token: String) -> ListDeadLettersRequest {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    ListDeadLettersRequest {
        pathway: text(&filter.pathway),
        page_size,
        page_token,
        node: text(&filter.node),
        error_code: text(&filter.error),
        error_reason: text(&filter.cause),
        ..ListDeadLettersRequest::default()
    }
}

async fn groups(mesh: &Mesh, out: &Output, pathway: Option<&str>) -> Result<ExitCode, Fault> {
    let message = ListDeadLetterGroupsRequest { pathway: pathway.unwrap_or_default().to_owned() };
    let groups = answer(mesh.processor.clone().list_dead_letter_groups(request(message)).await)?.groups;
    let json = groups.iter().map(|group| {
        json!({
            "pathway": group.pathway,
            "node": group.node,
            "error": {"code": group.error_code, "reason": group.error_reason, "message": group.message},
            "count": group.count,
            "first_failed_at": instant(group.first_failed_at_us),
            "last_failed_at": instant(group.last_failed_at_us),
        })
    });
    out.answer(&json!({"groups": json.collect::<Vec<_>>()}), || {
        if groups.is_empty() {
            return "no dead letters".to_owned();
        }
        let rows = groups.iter().map(|group| {
            vec![
                group.count.to_string(),
                group.pathway.clone(),
                group.node.clone(),
                group.error_code.clone(),
                group.error_reason.clone(),
                instant(group.last_failed_at_us),
                group.message.clone(),
            ]
        });
        table(&["count", "pathway", "node", "error", "cause", "last", "one of the messages"], &[0], rows)
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn get(mesh: &Mesh, id: &str) -> Result<DeadLetter, Fault> {
    let message = GetDeadLetterRequest { id: id.to_owned() };
    let found = answer(mesh.processor.clone().get_dead_letter(request(message)).await)?;
    found.dead_letter.ok_or_else(|| Fault::internal("a dead letter without content"))
}

async fn show(mesh: &Mesh, out: &Output, id: &str) -> Result<ExitCode, Fault> {
    let letter = get(mesh, id).await?;
    let mut json = document(&letter);
    json["answers"] = serde_json::from_slice(&letter.answers).unwrap_or_default();
    out.answer(&json, || {
        let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
        format!(
            "{} {} failed {}\n{}event\n{}\nanswers so far\n{}",
            letter.pathway,
            letter.execution_id,
            instant(letter.failed_at_us),
            cause(&letter),
            pretty(&json["data"]),
            pretty(&json["answers"])
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Why it failed, with every violation, and what became of it.
pub(crate) fn cause(letter: &DeadLetter) -> String {
    let error = from_item_status(letter.error.clone().unwrap_or_default());
    let place = if letter.node.is_empty() { "the input" } else { letter.node.as_str() };
    let mut text = format!("{place}: {} {}: {}\n", error.code().name(), error.reason(), error.message());
    for violation in error.violations() {
        text.push_str(&format!("  {violation}\n"));
    }
    match letter.resolution.as_str() {
        "" => text.push_str(&format!("waits as the dead letter {}\n", letter.id)),
        resolution => {
            let reason = if letter.resolution_reason.is_empty() { "" } else { ": " };
            let at = instant(letter.resolved_at_us);
            text.push_str(&format!("{resolution} {at}{reason}{}\n", letter.resolution_reason));
        }
    }
    text
}

/// Says what would happen to an event.
pub(crate) async fn dry_run(
    mesh: &Mesh,
    out: &Output,
    pathway: &str,
    version: &str,
    data: Vec<u8>,
) -> Result<ExitCode, Fault> {
    let message = DryRunRequest { pathway: pathway.to_owned(), version: version.to_owned(), data };
    let run = answer(mesh.processor.clone().dry_run(request(message)).await)?;
    let fault = |status: &Option<Status>| status.clone().map(from_item_status);
    let violations = |fault: &Fault| fault.violations().iter().map(ToString::to_string).collect::<Vec<_>>();
    let refused = fault(&run.error);
    let plan = |node: &PlannedNode| {
        let name = node.plan().as_str_name().to_lowercase();
        name.strip_prefix("node_plan_").unwrap_or(&name).to_owned()
    };
    let nodes: Vec<Value> = run
        .nodes
        .iter()
        .map(|node| {
            let arguments = node.arguments.iter().map(|json| serde_json::from_slice(json).unwrap_or_default());
            let arguments: Vec<Value> = arguments.collect();
            let wrong = fault(&node.error).as_ref().map(violations).unwrap_or_default();
            json!({"node": node.node, "tool": node.tool, "plan": plan(node), "arguments": arguments, "violations": wrong})
        })
        .collect();
    let wrong = refused.as_ref().map(violations).unwrap_or_default();
    let document = json!({
        "pathway": pathway, "version": run.version, "accepted": refused.is_none(), "violations": wrong,
        "key": run.partition_key, "nodes": nodes,
    });
    out.answer(&document, || {
        let mut text = format!("{pathway} {}\n", run.version);
        match &refused {
            None => text.push_str(&format!("would be accepted, with the key {}\n", run.partition_key)),
            Some(_) => text.push_str(&format!("would be refused:\n  {}\n", wrong.join("\n  "))),
        }
        let rows = run.nodes.iter().map(|node| {
            let arguments: Vec<_> = node.arguments.iter().map(|json| String::from_utf8_lossy(json)).collect();
            vec![node.node.clone(), node.tool.clone(), plan(node), arguments.join("\n")]
        });
        text.push_str(&table(&["node", "uses", "plan", "arguments"], &[], rows));
        text
    })?;
    Ok(if refused.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(crate) fn document(letter: &DeadLetter) -> Value {
    let event = letter.event.clone().unwrap_or_default();
    let error = from_item_status(letter.error.clone().unwrap_or_default());
    let position = letter.position.unwrap_or_default();
    let data: Value = serde_json::from_slice(&event.data)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&event.data).into_owned()));
    json!({
        "id": letter.id,
        "execution_id": letter.execution_id,
        "pathway": letter.pathway,
        "version": letter.pathway_version,
        "event_id": event.id,
        "data": data,
        "topic": letter.topic,
        "partition": position.partition,
        "offset": position.offset,
        "node": letter.node,
        "error": {"code": error.code().name(), "reason": error.reason(), "message": error.message()},
        "attempts": letter.attempts,
        "failed_at": instant(letter.failed_at_us),
        "trace_id": trace_id(&letter.trace_id),
        "violations": error.violations().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "resolution": (!letter.resolution.is_empty()).then_some(&letter.resolution),
    })
}
