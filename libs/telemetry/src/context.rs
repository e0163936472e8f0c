//! The W3C trace context, over metadata and through topics.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

struct Headers<'a>(&'a mut HeaderMap);
struct ReadHeaders<'a>(&'a HeaderMap);
struct Traceparent(Option<String>);

/// Writes the current span's context into outgoing headers.
pub fn inject(headers: &mut HeaderMap) {
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut Headers(headers));
}

/// The context that incoming headers carry; an empty one where they carry none.
#[must_use]
pub fn extract(headers: &HeaderMap) -> Context {
    TraceContextPropagator::new().extract(&ReadHeaders(headers))
}

/// The current span's context as a `traceparent`, to be stored with an event. None where nothing is traced.
#[must_use]
pub fn current_traceparent() -> Option<String> {
    let mut carrier = Traceparent(None);
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut carrier);
    carrier.0
}

/// Makes `span`, which must not have been entered yet, a child of a stored `traceparent`. A malformed one is ignored: a trace is not worth an event.
pub fn set_parent(span: &Span, traceparent: &str) {
    let carrier = Traceparent(Some(traceparent.to_owned()));
    set_remote_parent(span, TraceContextPropagator::new().extract(&carrier));
}

/// Makes `span`, which must not have been entered yet, a child of a context from elsewhere.
pub fn set_remote_parent(span: &Span, parent: Context) {
    if parent.span().span_context().is_valid() {
        // Fails only where the span is already entered or not exported; neither harms the work.
        let _ = span.set_parent(parent);
    }
}

/// The trace that a span belongs to, in hexadecimal; empty where nothing is traced.
#[must_use]
pub fn trace_id(span: &Span) -> String {
    let context = span.context();
    let id = context.span().span_context().trace_id();
    if id == opentelemetry::TraceId::INVALID { String::new() } else { id.to_string() }
}

// === impl Headers ===

impl Injector for Headers<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

// === impl ReadHeaders ===

impl Extractor for ReadHeaders<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

// === impl Traceparent ===

impl Injector for Traceparent {
    fn set(&mut self, key: &str, value: String) {
        if key == "traceparent" {
            self.0 = Some(value);
        }
    }
}

impl Extractor for Traceparent {
    fn get(&self, key: &str) -> Option<&str> {
        if key == "traceparent" { self.0.as_deref() } else { None }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn a_trace_goes_on_behind_a_topic_and_behind_a_call() {
        let provider = SdkTracerProvider::builder().build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let publish = tracing::info_span!("publish");
            let (stored, headers) = publish.in_scope(|| {
                let mut headers = HeaderMap::new();
                inject(&mut headers);
                (current_traceparent().unwrap(), headers)
            });
            let execute = tracing::info_span!("execute");
            set_parent(&execute, &stored);
            assert_eq!(trace_id(&execute), trace_id(&publish));
            let serve = tracing::info_span!("serve");
            set_remote_parent(&serve, extract(&headers));
            assert_eq!(trace_id(&serve), trace_id(&publish));
        });
    }

    #[test]
    fn without_tracing_there_is_no_context() {
        assert_eq!(current_traceparent(), None);
        assert_eq!(trace_id(&Span::current()), "");
        set_parent(&Span::current(), "nonsense");
    }
}
