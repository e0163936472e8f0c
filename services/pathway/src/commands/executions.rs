//! `pathway executions`: what ran, newest first.

use std::process::ExitCode;

use pathway_kernel::Fault;
use pathway_proto::pathway::processor::v1::{
    Execution, ExecutionStatus, GetExecutionRequest, GetPathwayRequest, ListExecutionsRequest, NodeRun,
};
use serde_json::{Value, json};

use super::dead_letters;
use super::tree::tree;
use crate::cli::{ExecutionAction, Executions};
use crate::client::{Mesh, answer, request};
use crate::output::{Output, instant, more, table};

pub(crate) async fn run(mesh: &Mesh, out: &Output, args: &Executions) -> Result<ExitCode, Fault> {
    match &args.action {
        None => list(mesh, out, args).await,
        Some(ExecutionAction::Show { id }) => show(mesh, out, id).await,
    }
}

async fn list(mesh: &Mesh, out: &Output, args: &Executions) -> Result<ExitCode, Fault> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let status = if args.failed { ExecutionStatus::Failed } else { ExecutionStatus::Unspecified };
    let (mut executions, mut page_token): (Vec<Execution>, _) = (Vec::new(), String::new());
    loop {
        let message = ListExecutionsRequest {
            pathway: text(&args.pathway),
            status: status.into(),
            page_size: page_size(args.limit, executions.len()),
            page_token,
            partition_key: text(&args.key),
            error_code: text(&args.error),
            event_id: text(&args.event),
            topic: text(&args.topic),
            started_from_us: args.since.unwrap_or_default(),
            started_before_us: args.until.unwrap_or_default(),
            ..ListExecutionsRequest::default()
        };
        let page = answer(mesh.processor.clone().list_executions(request(message)).await)?;
        executions.extend(page.executions);
        page_token = page.next_page_token;
        if page_token.is_empty() || page_size(args.limit, executions.len()) == 0 {
            break;
        }
    }
    let document = json!({"executions": executions.iter().map(document).collect::<Vec<_>>()});
    out.answer(&document, || {
        let rows = executions.iter().map(|execution| {
            vec![
                execution.id.clone(),
                instant(execution.started_at_us),
                execution.pathway.clone(),
                execution.event_id.clone(),
                status_name(execution),
                execution.nodes.iter().map(node_text).collect::<Vec<_>>().join(" -> "),
            ]
        });
        let table = table(&["id", "started", "pathway", "event", "status", "nodes"], &[], rows);
        if page_token.is_empty() { table } else { table + &more(executions.len(), None) }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// How many of `limit` are still to be asked for, where `shown` are there.
pub(crate) fn page_size(limit: u32, shown: usize) -> i32 {
    let left = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(shown);
    i32::try_from(left).unwrap_or(i32::MAX)
}

/// A trace's id; null where traces are off.
pub(crate) fn trace_id(id: &str) -> Option<&str> {
    (!id.is_empty()).then_some(id)
}

/// Where a trace can be looked at: in the Jaeger that `PATHWAY_TRACE_URL` names. None where it names none, or nothing was traced.
pub(crate) fn trace_url(id: &str) -> Option<String> {
    let base = std::env::var("PATHWAY_TRACE_URL").ok().filter(|base| !base.is_empty())?;
    trace_id(id).map(|id| format!("{}/trace/{id}", base.trim_end_matches('/')))
}

/// An execution as JSON.
pub(crate) fn document(execution: &Execution) -> Value {
    let nodes: Vec<Value> = execution
        .nodes
        .iter()
        .map(|node| {
            json!({
                "node": node.node,
                "status": node_status(node),
                "attempts": node.attempts,
                "duration_us": node.duration_us,
                "error_code": node.error_code,
                "started_after_us": node.started_after_us,
            })
        })
        .collect();
    let position = execution.position.unwrap_or_default();
    json!({
        "id": execution.id,
        "pathway": execution.pathway,
        "version": execution.pathway_version,
        "event_id": execution.event_id,
        "topic": execution.topic,
        "partition": position.partition,
        "offset": position.offset,
        "status": status_name(execution),
        "nodes": nodes,
        "started_at": instant(execution.started_at_us),
        "duration_us": execution.duration_us,
        "trace_id": trace_id(&execution.trace_id),
        "trace_url": trace_url(&execution.trace_id),
        "key": execution.partition_key,
        "error_code": execution.error_code,
    })
}

/// `update ok 1.2 ms`
pub(crate) fn node_text(node: &NodeRun) -> String {
    let status = node_status(node);
    let error = if node.error_code.is_empty() { String::new() } else { format!(" {}", node.error_code) };
    format!("{} {status}{error} {}", node.node, milliseconds(node.duration_us))
}

/// `1.2 ms`
pub(crate) fn milliseconds(us: i64) -> String {
    let tenths = us / 100;
    format!("{}.{} ms", tenths / 10, tenths % 10)
}

async fn show(mesh: &Mesh, out: &Output, id: &str) -> Result<ExitCode, Fault> {
    let message = GetExecutionRequest { id: id.to_owned() };
    let found = answer(mesh.processor.clone().get_execution(request(message)).await)?;
    let execution = found.execution.unwrap_or_default();
    // What needs what is in the version that ran.
    let message = GetPathwayRequest {
        name: execution.pathway.clone(),
        version: execution.pathway_version.clone(),
        page_size: 1,
        ..Default::default()
    };
    let pathway =
        answer(mesh.processor.clone().get_pathway(request(message)).await)?.pathway.unwrap_or_default();
    let mut json = document(&execution);
    json["dead_letter"] = found.dead_letter.as_ref().map_or(Value::Null, dead_letters::document);
    out.answer(&json, || {
        let mut text = tree(&execution, &pathway);
        if let Some(letter) = &found.dead_letter {
            text.push_str(&dead_letters::cause(letter));
        }
        text
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The execution's status in lower case.
pub(crate) fn status_name(execution: &Execution) -> String {
    short(execution.status().as_str_name(), "EXECUTION_STATUS_")
}

pub(crate) fn node_status(node: &NodeRun) -> String {
    short(node.status().as_str_name(), "NODE_STATUS_")
}

fn short(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase()
}
