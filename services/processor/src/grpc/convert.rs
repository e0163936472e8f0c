//! Between the API's messages and this service's words.

use std::sync::Arc;

use pathway_kernel::Fault;
use pathway_proto::pathway::processor::v1 as api;
use pathway_rpc::to_item_status;
use pathway_topics::Position;

use crate::error::ProcessorError;
use crate::events::Envelope;
use crate::store::{DeadLetter, Execution, NodeRecord, Status};

pub(super) fn to_result(result: Result<Position, ProcessorError>) -> api::PublishResult {
    use api::publish_result::Result as Item;
    let result = match result {
        Ok(position) => Item::Accepted(to_position(position.partition, position.offset)),
        Err(error) => Item::Error(to_item_status(&error.into())),
    };
    api::PublishResult { result: Some(result) }
}

pub(super) fn chosen(batch: &Arc<Vec<Execution>>, pathway: &str) -> Vec<api::Execution> {
    let chosen = batch.iter().filter(|execution| pathway.is_empty() || execution.pathway == pathway);
    chosen.map(to_execution).collect()
}

pub(super) fn from_event(event: api::Event) -> Envelope {
    Envelope {
        id: event.id,
        source: event.source,
        kind: event.r#type,
        subject: event.subject,
        time_us: event.time_us,
        data: event.data,
        partition_key: event.partition_key,
        traceparent: String::new(),
    }
}

pub(super) fn to_event(event: Envelope) -> api::Event {
    api::Event {
        id: event.id,
        source: event.source,
        r#type: event.kind,
        subject: event.subject,
        time_us: event.time_us,
        data: event.data,
        partition_key: event.partition_key,
    }
}

pub(super) fn to_position(partition: i32, offset: i64) -> api::EventPosition {
    api::EventPosition { partition, offset }
}

pub(super) fn to_execution(execution: &Execution) -> api::Execution {
    let status = match execution.status {
        Status::Succeeded => api::ExecutionStatus::Succeeded,
        Status::Failed => api::ExecutionStatus::Failed,
    };
    api::Execution {
        id: execution.id.to_string(),
        pathway: execution.pathway.clone(),
        pathway_version: execution.version.clone(),
        event_id: execution.event_id.clone(),
        topic: execution.topic.clone(),
        position: Some(to_position(execution.partition, execution.offset)),
        status: status.into(),
        nodes: execution.nodes.iter().map(to_node).collect(),
        started_at_us: execution.started_at_us,
        duration_us: execution.duration_us,
        trace_id: execution.trace_id.clone(),
    }
}

pub(super) fn to_node(node: &NodeRecord) -> api::NodeRun {
    api::NodeRun {
        node: node.node.clone(),
        // Kept with the numbers of the API's enum.
        status: node.status,
        attempts: node.attempts,
        duration_us: node.duration_us,
        error_code: node.error_code.clone(),
        started_after_us: node.started_after_us,
    }
}

pub(super) fn to_dead_letter(letter: DeadLetter) -> api::DeadLetter {
    let fault = Fault::new(letter.code, letter.reason, letter.message).with_violations(letter.violations);
    api::DeadLetter {
        id: letter.id.to_string(),
        execution_id: letter.execution_id.to_string(),
        pathway: letter.pathway,
        pathway_version: letter.version,
        event: Some(to_event(letter.event)),
        topic: letter.topic,
        position: Some(to_position(letter.partition, letter.offset)),
        node: letter.node,
        error: Some(to_item_status(&fault)),
        attempts: letter.attempts,
        failed_at_us: letter.failed_at_us,
        trace_id: letter.trace_id,
    }
}
