//! What a trace shows of a node.

use opentelemetry::KeyValue;
use pathway_kernel::Fault;
use pathway_telemetry::{SPANS, note};
use tracing::{Span, field};

use crate::{Definition, Node};

/// The span of a node's calls for a batch, the waits between its attempts included.
pub(super) fn node(definition: &Definition, node: &Node) -> Span {
    tracing::info_span!(
        target: SPANS,
        "node",
        otel.name = node.name(),
        otel.status_code = field::Empty,
        pathway.name = definition.name(),
        pathway.node = node.name(),
        pathway.tool = node.tool(),
        pathway.node.attempts = field::Empty,
        error.type = field::Empty,
    )
}

/// An attempt failed for some events, and another one follows.
pub(super) fn retried(span: &Span, attempt: u32, fault: &Fault) {
    note(span, "retry", || {
        vec![
            KeyValue::new("pathway.node.attempt", i64::from(attempt)),
            KeyValue::new("error.type", fault.code().name()),
        ]
    });
}

/// A failure that may pass stopped the batch.
pub(super) fn parked(span: &Span, fault: &Fault) {
    span.record("otel.status_code", "ERROR");
    span.record("error.type", fault.code().name());
}
