//! Logs, traces and their context across gRPC and topics.
//!
//! - [`init`] sets up a process: logs to standard error, and traces over OTLP where the standard `OTEL_*` variables name a collector. The
//!   [`Guard`] that it answers flushes what is left when the process ends.
//! - [`inject`] and [`extract`] carry the W3C trace context over gRPC metadata, [`current_traceparent`] and [`set_parent`] through a topic, so
//!   that one trace leads from the caller's publish to each service.
//!
//! Nothing here may carry an amount, a name or a token: spans and log lines have ids, counts, codes and durations.

mod context;
mod setup;

pub use context::{current_traceparent, extract, inject, set_parent, set_remote_parent, trace_id};
pub use setup::{Guard, LogFormat, TelemetryConfig, TelemetryError, init};
