//! `pathway executions`: what ran, newest first.

use std::process::ExitCode;

use pathway_kernel::Fault;
use pathway_proto::pathway::processor::v1::{Execution, ExecutionStatus, ListExecutionsRequest, NodeRun};
use serde_json::{Value, json};

use crate::cli::Executions;
use crate::client::{Mesh, answer, request};
use crate::output::{Output, instant, table};

pub(crate) async fn run(mesh: &Mesh, out: &Output, args: &Executions) -> Result<ExitCode, Fault> {
    let status = if args.failed { ExecutionStatus::Failed } else { ExecutionStatus::Unspecified };
    let (mut executions, mut page_token): (Vec<Execution>, _) = (Vec::new(), String::new());
    loop {
        let message = ListExecutionsRequest {
            pathway: args.pathway.clone().unwrap_or_default(),
            status: status.into(),
            page_size: page_size(args.limit, executions.len()),
            page_token,
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
                instant(execution.started_at_us),
                execution.pathway.clone(),
                execution.event_id.clone(),
                status_name(execution),
                execution.nodes.iter().map(node_text).collect::<Vec<_>>().join(" -> "),
            ]
        });
        table(&["started", "pathway", "event", "status", "nodes"], &[], rows)
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
    })
}

/// `update ok 1.2 ms`
pub(crate) fn node_text(node: &NodeRun) -> String {
    let tenths = node.duration_us / 100;
    let status = node_status(node);
    let error = if node.error_code.is_empty() { String::new() } else { format!(" {}", node.error_code) };
    format!("{} {status}{error} {}.{} ms", node.node, tenths / 10, tenths % 10)
}

/// The execution's status in lower case.
pub(crate) fn status_name(execution: &Execution) -> String {
    short(execution.status().as_str_name(), "EXECUTION_STATUS_")
}

fn node_status(node: &NodeRun) -> String {
    short(node.status().as_str_name(), "NODE_STATUS_")
}

fn short(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase()
}
