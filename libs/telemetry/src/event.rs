//! What happens within a span.

use opentelemetry::KeyValue;
use opentelemetry::trace::TraceContextExt as _;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Gives a span another name: what it did is known better once it is done. Costs nothing where the span is not there.
pub fn rename(span: &Span, name: &str) {
    if !span.is_disabled() {
        span.context().span().update_name(name.to_owned());
    }
}

/// Notes on a span that something happened, and writes no log line: a retry, a dead letter. Costs nothing where the span is not there.
pub fn note(span: &Span, name: &'static str, attributes: impl FnOnce() -> Vec<KeyValue>) {
    if !span.is_disabled() {
        span.add_event(name, attributes());
    }
}
