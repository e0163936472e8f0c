//! Logs, traces, metrics, and the trace context across gRPC and topics.
//!
//! - [`init`] sets up a process: logs to standard error, and whatever the standard `OTEL_*` variables ask for over OTLP. The [`Guard`] that it
//!   answers flushes what is left when the process ends.
//! - [`Telemetry`] is what one service tells through, handed to it by whoever builds it: its meter, its tracer, and the text for Prometheus. Two
//!   services in one process have one each. The default tells nobody.
//! - [`inject`] and [`extract`] carry the W3C trace context over gRPC metadata, a [`Carried`] through a topic, so that one trace leads from the
//!   caller's publish to each service.
//! - [`SPANS`] and [`LOGS`] are targets for what belongs to traces alone, and to log lines alone.
//!
//! Nothing here may carry an amount, a name or a token: spans, metrics and log lines have ids, counts, codes and durations.
//!
//! # Why spans have a target of their own
//! A span that nobody wants costs nothing, but a log line wants every span around it: each would be made and written out as text although no
//! trace is exported. So a span that is there for the trace has the target [`SPANS`], which log lines leave out. Where traces are off, the
//! macro that would make it is a load and a branch.

mod context;
mod environment;
mod event;
mod exposition;
mod handle;
mod logs;
mod sampler;
mod settings;
mod setup;

pub use context::{
    Carried, context, current, extract, inject, is_recorded, kept_trace, link, set_parent, set_remote_parent,
    trace_id,
};
pub use event::{note, rename};
pub use handle::{Telemetry, seconds};
pub use settings::{LogFormat, TelemetryConfig, TelemetrySettings};
pub use setup::{Guard, TelemetryError, init};

/// The target of spans that are there for the trace and not for log lines.
pub const SPANS: &str = "pathway::spans";
/// The target of spans that are there for log lines and not for the trace, such as one that lasts as long as its process.
pub const LOGS: &str = "pathway::logs";
