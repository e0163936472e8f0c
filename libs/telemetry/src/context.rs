//! The W3C trace context, over metadata and through topics.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// A trace context on its way through a topic, as its two headers. Both are empty where nothing is traced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carried {
    /// Which trace, which span of it, and whether it is kept.
    pub traceparent: String,
    /// What the tracing systems on the way have added.
    pub tracestate: String,
}

struct Headers<'a>(&'a mut HeaderMap);
struct ReadHeaders<'a>(&'a HeaderMap);

/// Writes the current span's context into outgoing headers.
pub fn inject(headers: &mut HeaderMap) {
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut Headers(headers));
}

/// The context that incoming headers carry; an empty one where they carry none.
#[must_use]
pub fn extract(headers: &HeaderMap) -> Context {
    TraceContextPropagator::new().extract_with_context(&Context::new(), &ReadHeaders(headers))
}

/// The current span's context, to be stored with an event.
#[must_use]
pub fn current() -> Carried {
    let mut carried = Carried::default();
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut carried);
    carried
}

/// Makes `span`, which must not have been entered yet, a child of a carried context. A malformed one is ignored: a trace is not worth an event.
pub fn set_parent(span: &Span, carried: &Carried) {
    if !span.is_disabled() {
        set_remote_parent(span, carried.context());
    }
}

/// Makes `span`, which must not have been entered yet, a child of a context from elsewhere.
pub fn set_remote_parent(span: &Span, parent: Context) {
    if parent.span().span_context().is_valid() {
        // Fails only where the span is already entered or not exported; neither harms the work.
        let _ = span.set_parent(parent);
    }
}

/// Links `span` to a carried context.
pub fn link(span: &Span, carried: &Carried) {
    if !span.is_disabled() {
        span.add_link(carried.context().span().span_context().clone());
    }
}

/// A span's own context, for a link to it.
#[must_use]
pub fn context(span: &Span) -> Context {
    span.context()
}

/// Whether a span is kept, so that it pays to say more about it.
#[must_use]
pub fn is_recorded(span: &Span) -> bool {
    !span.is_disabled() && span.context().span().span_context().is_sampled()
}

/// The trace that a span belongs to, in hexadecimal; empty where nothing is traced.
#[must_use]
pub fn trace_id(span: &Span) -> String {
    let context = span.context();
    let id = context.span().span_context().trace_id();
    if id == opentelemetry::TraceId::INVALID { String::new() } else { id.to_string() }
}

/// The trace of a `traceparent`, in hexadecimal, where it is kept; else there is nothing to look at. It is asked for every event, so nothing is taken
/// apart.
#[must_use]
pub fn kept_trace(traceparent: &str) -> Option<&str> {
    let last = traceparent.as_bytes().last().filter(|_| traceparent.len() == 55)?;
    // The lowest bit of the flags.
    let is_kept = char::from(*last).to_digit(16).is_some_and(|flags| flags & 1 == 1);
    traceparent.get(3..35).filter(|_| is_kept)
}

// === impl Carried ===

impl Carried {
    /// Whether the trace is kept.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        kept_trace(&self.traceparent).is_some()
    }

    /// As a parent; an empty context where this is none.
    #[must_use]
    pub fn context(&self) -> Context {
        TraceContextPropagator::new().extract_with_context(&Context::new(), self)
    }
}

impl Injector for Carried {
    fn set(&mut self, key: &str, value: String) {
        match key {
            "traceparent" => self.traceparent = value,
            "tracestate" => self.tracestate = value,
            _ => {}
        }
    }
}

impl Extractor for Carried {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => Some(&self.traceparent),
            "tracestate" => Some(&self.tracestate),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

// === impl Headers ===

impl Injector for Headers<'_> {
    fn set(&mut self, key: &str, value: String) {
        // An empty `tracestate` says nothing.
        if value.is_empty() {
            return;
        }
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

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    fn carried(traceparent: &str) -> Carried {
        Carried { traceparent: traceparent.to_owned(), tracestate: "vendor=7".to_owned() }
    }

    #[test]
    fn a_trace_goes_on_behind_a_topic_and_behind_a_call() {
        let provider = SdkTracerProvider::builder().build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let publish = tracing::info_span!("publish");
            let (stored, headers) = publish.in_scope(|| {
                let mut headers = HeaderMap::new();
                inject(&mut headers);
                (current(), headers)
            });
            assert!(stored.is_sampled());
            assert_eq!(kept_trace(&stored.traceparent), Some(&*trace_id(&publish)));
            let execute = tracing::info_span!("execute");
            set_parent(&execute, &stored);
            assert_eq!(trace_id(&execute), trace_id(&publish));
            let serve = tracing::info_span!("serve");
            set_remote_parent(&serve, extract(&headers));
            assert_eq!(trace_id(&serve), trace_id(&publish));
        });
    }

    #[test]
    fn what_the_tracing_systems_on_the_way_have_added_goes_along() {
        let context = carried("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").context();
        assert_eq!(context.span().span_context().trace_state().header(), "vendor=7");
    }

    #[test]
    fn a_trace_that_is_not_kept_has_nothing_to_look_at() {
        let kept = carried("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        assert_eq!(kept_trace(&kept.traceparent), Some("0af7651916cd43dd8448eb211c80319c"));
        let dropped = carried("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
        assert!(!dropped.is_sampled());
        assert_eq!(kept_trace(&dropped.traceparent), None);
        for nonsense in ["", "01", "00-é-1"] {
            assert!(!carried(nonsense).is_sampled(), "{nonsense}");
            assert!(!carried(nonsense).context().span().span_context().is_valid(), "{nonsense}");
        }
    }

    #[test]
    fn without_tracing_there_is_no_context() {
        assert_eq!(current(), Carried::default());
        assert_eq!(trace_id(&Span::current()), "");
        set_parent(&Span::current(), &carried("nonsense"));
    }
}
