//! What happens within a span.

use opentelemetry::KeyValue;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Notes on a span that something happened, and writes no log line: a retry, a dead letter. Costs nothing where the span is not there.
pub fn note(span: &Span, name: &'static str, attributes: impl FnOnce() -> Vec<KeyValue>) {
    if !span.is_disabled() {
        span.add_event(name, attributes());
    }
}
