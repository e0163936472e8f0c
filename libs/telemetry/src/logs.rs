//! Log lines, each with the trace that it belongs to.

use std::fmt;
use std::io::IsTerminal as _;
use std::sync::{Arc, OnceLock};

use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use tracing::dispatcher::WeakDispatch;
use tracing::{Event, Subscriber};
use tracing_opentelemetry::get_otel_context;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter, format};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer};

use crate::LogFormat;

/// The subscriber that the log lines belong to, known once it is there. Asking for the default one from within it answers nothing.
pub(crate) type Home = Arc<OnceLock<WeakDispatch>>;

/// Puts the trace and the span in front of what another format writes.
struct WithTrace<F> {
    inner: F,
    is_json: bool,
    home: Home,
}

/// What is logged: `levels` as `RUST_LOG` gives them, ourselves on the way to a collector excepted.
///
/// What comes last holds, so nobody switches these on: the exporter's own calls would be exported in turn, and at `debug` the PostgreSQL client
/// logs the values of statements, amounts and names among them.
pub(crate) fn levels(levels: &str) -> EnvFilter {
    let quiet = [
        "pathway::spans=off",
        "h2=off",
        "hyper=off",
        "hyper_util=off",
        "tonic=off",
        "tower=off",
        "opentelemetry=warn",
        "opentelemetry_sdk=warn",
        "opentelemetry-otlp=warn",
        "tokio_postgres=info",
    ];
    EnvFilter::builder().parse_lossy(format!("{levels},{}", quiet.join(",")))
}

/// Log lines that look so on `writer`.
pub(crate) fn layer<S, W>(look: LogFormat, home: &Home, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let is_pretty = match look {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Pretty => true,
        LogFormat::Json => false,
    };
    // A line that cannot be written is lost; saying so on the same closed pipe would take the task with it.
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).log_internal_errors(false);
    let home = Arc::clone(home);
    if is_pretty {
        let inner = format().compact();
        lines.event_format(WithTrace { inner, is_json: false, home }).boxed()
    } else {
        let inner = format().json().flatten_event(true);
        lines.fmt_fields(JsonFields::new()).event_format(WithTrace { inner, is_json: true, home }).boxed()
    }
}

// === impl WithTrace ===

impl<F> WithTrace<F> {
    /// Where the line belongs; none outside of a trace.
    fn place<S, N>(&self, context: &FmtContext<'_, S, N>, event: &Event<'_>) -> Option<SpanContext>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
        N: for<'w> FormatFields<'w> + 'static,
    {
        let home = self.home.get()?.upgrade()?;
        // The innermost span of all: those that log lines leave out belong to the trace too.
        let current = context.current_span();
        let id = event.parent().or_else(|| current.id())?;
        let found = get_otel_context(id, &home)?;
        let place = found.span().span_context().clone();
        place.is_valid().then_some(place)
    }
}

impl<S, N, F> FormatEvent<S, N> for WithTrace<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(place) = self.place(context, event) else {
            return self.inner.format_event(context, writer, event);
        };
        let (trace_id, span_id) = (place.trace_id(), place.span_id());
        if !self.is_json {
            write!(writer, "trace_id={trace_id} span_id={span_id} ")?;
            return self.inner.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.inner.format_event(context, Writer::new(&mut line), event)?;
        let rest = line.strip_prefix('{').unwrap_or(&line);
        write!(writer, r#"{{"trace_id":"{trace_id}","span_id":"{span_id}",{rest}"#)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Mutex, PoisonError};

    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use serde_json::Value;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::{LOGS, SPANS};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written while `run` runs, with traces or without.
    fn written(format: LogFormat, traced: bool, run: impl FnOnce()) -> String {
        let (lines, home) = (Lines::default(), Home::default());
        let writer = lines.clone();
        let logs = layer(format, &home, move || writer.clone()).with_filter(levels("info")).boxed();
        let mut layers = vec![logs];
        let provider = SdkTracerProvider::builder().build();
        if traced {
            layers.push(crate::setup::traces(provider.tracer("test")));
        }
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layers), || {
            tracing::dispatcher::get_default(|dispatch| drop(home.set(dispatch.downgrade())));
            run();
        });
        let bytes = lines.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_within_a_trace_says_which() {
        let mut id = String::new();
        let line = written(LogFormat::Json, true, || {
            let worker = tracing::info_span!(target: LOGS, "worker", partition = 3);
            let batch = worker.in_scope(|| tracing::info_span!(target: SPANS, parent: None, "process"));
            id = crate::trace_id(&batch);
            worker.in_scope(|| batch.in_scope(|| tracing::warn!(count = 2, "events failed for good")));
        });
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["trace_id"], id.as_str());
        assert_eq!(line["span_id"].as_str().unwrap().len(), 16);
        assert_eq!((&line["message"], &line["count"]), (&"events failed for good".into(), &2.into()));
    }

    #[test]
    fn a_line_outside_of_a_trace_says_nothing_of_one() {
        let line = written(LogFormat::Json, true, || {
            tracing::info_span!(target: LOGS, "worker", partition = 3).in_scope(|| tracing::warn!("parked"));
        });
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line.get("trace_id"), None);
        assert_eq!(line["span"]["partition"], 3);
    }

    #[test]
    fn a_line_for_people_says_it_too() {
        let line = written(LogFormat::Pretty, true, || {
            tracing::info_span!("rpc").in_scope(|| tracing::warn!("a call failed"));
        });
        assert!(line.starts_with("trace_id=") && line.contains("a call failed"), "{line}");
    }

    #[test]
    fn a_span_of_the_trace_alone_is_not_even_made_where_traces_are_off() {
        let make = || tracing::info_span!(target: SPANS, "transaction");
        let mut is_disabled = (false, true);
        written(LogFormat::Json, false, || is_disabled.0 = make().is_disabled());
        written(LogFormat::Json, true, || is_disabled.1 = make().is_disabled());
        assert_eq!(is_disabled, (true, false));
    }

    #[test]
    fn the_clients_of_collectors_and_databases_stay_quiet() {
        let line = written(LogFormat::Json, true, || {
            tracing::error!(target: "h2::client", "a frame");
            tracing::debug!(target: "tokio_postgres::query", "executing with parameters");
        });
        assert_eq!(line, "");
    }
}
