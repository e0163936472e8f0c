//! What a trace shows of a publish.

use pathway_telemetry::SPANS;
use tracing::Span;

/// The span in whose context events lie in the topic: one for each publish, however many events it brings.
pub(super) fn publish(topic: &str, events: usize) -> Span {
    tracing::info_span!(
        target: SPANS,
        "publish",
        otel.name = format!("publish {topic}"),
        otel.kind = "producer",
        messaging.system = "pathway",
        messaging.operation.name = "publish",
        messaging.operation.type = "send",
        messaging.destination.name = topic,
        messaging.batch.message_count = events,
    )
}
