//! Between the API's messages and this service's words.

use std::sync::Arc;

use pathway_kernel::Fault;
use pathway_proto::pathway::processor::v1 as api;
use pathway_rpc::{status, to_item_status};
use pathway_topics::Position;
use prost::Message;
use tonic::{Response, Status as GrpcStatus};

use crate::error::ProcessorError;
use crate::events::Envelope;
use crate::store::{DeadLetter, Execution, ExecutionFilter, Group, LetterFilter, NodeRecord, Status};

pub(super) fn to_result(result: Result<Position, ProcessorError>) -> api::PublishResult {
    use api::publish_result::Result as Item;
    let result = match result {
        Ok(position) => Item::Accepted(to_position(position.partition, position.offset)),
        Err(error) => Item::Error(to_item_status(&error.into())),
    };
    api::PublishResult { result: Some(result) }
}

/// The encoded answer of a publish, to be kept and sent.
pub(super) fn seal(results: Vec<Result<Position, Arc<Fault>>>) -> Vec<u8> {
    use api::publish_result::Result as Item;
    let result = |result: Result<Position, Arc<Fault>>| {
        let result = match result {
            Ok(position) => Item::Accepted(to_position(position.partition, position.offset)),
            Err(fault) => Item::Error(to_item_status(&fault)),
        };
        api::PublishResult { result: Some(result) }
    };
    api::PublishResponse { results: results.into_iter().map(result).collect() }.encode_to_vec()
}

/// A kept answer.
pub(super) fn unsealed<M: Message + Default>(answer: &[u8]) -> Result<Response<M>, GrpcStatus> {
    let decoded = M::decode(answer).map(Response::new);
    decoded.map_err(|error| status(ProcessorError::Corrupt(error.into())))
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
        ..Envelope::default()
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
        partition_key: execution.partition_key.clone(),
        error_code: execution.error_code.clone(),
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
        answers: Vec::new(),
        resolved_at_us: letter.resolution.as_ref().map_or(0, |resolved| resolved.at_us),
        resolution_reason: letter
            .resolution
            .as_ref()
            .map(|resolved| resolved.reason.clone())
            .unwrap_or_default(),
        resolution: letter.resolution.map(|resolved| resolved.how).unwrap_or_default(),
    }
}

/// With what the nodes had answered, which a list leaves out.
pub(super) fn to_whole_dead_letter(letter: DeadLetter) -> api::DeadLetter {
    let answers = serde_json::to_vec(&letter.answers).unwrap_or_default();
    api::DeadLetter { answers, ..to_dead_letter(letter) }
}

pub(super) fn to_group(group: Group) -> api::DeadLetterGroup {
    api::DeadLetterGroup {
        pathway: group.pathway,
        node: group.node,
        error_code: group.code,
        error_reason: group.reason,
        message: group.message,
        count: group.count,
        first_failed_at_us: group.first_at_us,
        last_failed_at_us: group.last_at_us,
    }
}

pub(super) fn from_execution_filter(request: api::ListExecutionsRequest) -> ExecutionFilter {
    let status = match request.status() {
        api::ExecutionStatus::Unspecified => None,
        api::ExecutionStatus::Succeeded => Some(Status::Succeeded),
        api::ExecutionStatus::Failed => Some(Status::Failed),
    };
    let instant = |us: i64| (us != 0).then_some(us);
    ExecutionFilter {
        pathway: request.pathway,
        status,
        partition_key: request.partition_key,
        error_code: request.error_code,
        event_id: request.event_id,
        topic: request.topic,
        started_from_us: instant(request.started_from_us),
        started_before_us: instant(request.started_before_us),
    }
}

pub(super) fn from_letter_filter(request: api::ListDeadLettersRequest) -> LetterFilter {
    LetterFilter {
        pathway: request.pathway,
        node: request.node,
        code: request.error_code,
        reason: request.error_reason,
    }
}
