//! Setting up a process.

use std::io::IsTerminal as _;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, fmt};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// What a process tells about itself.
#[derive(Debug, Clone)]
pub struct TelemetryConfig {
    /// The service's name in traces; `OTEL_SERVICE_NAME` overrides it.
    pub service: &'static str,
    /// How log lines look.
    pub format: LogFormat,
}

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The `OTEL_*` variables do not describe a usable collector.
    #[error("the OTEL_* variables do not describe a usable collector")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// A process has one set-up only.
    #[error("telemetry is already set up in this process")]
    AlreadySet(#[from] tracing_subscriber::util::TryInitError),
}

/// Flushes what is left to export when it is dropped.
#[derive(Debug)]
#[must_use = "dropping the guard ends the export of traces"]
pub struct Guard(Option<SdkTracerProvider>);

/// Sets up logs and, where `OTEL_EXPORTER_OTLP_ENDPOINT` (or its form for traces) is given and `OTEL_SDK_DISABLED` is not `true`, traces.
/// Levels follow `RUST_LOG`, `info` by default. Must be called inside the tokio runtime.
///
/// # Errors
/// Where the exporter cannot be built or the process has a set-up already.
pub fn init(config: &TelemetryConfig) -> Result<Guard, TelemetryError> {
    // The exporter's own calls must not be logged into itself.
    let quiet =
        "h2=off,hyper=off,tonic=off,opentelemetry=warn,opentelemetry_sdk=warn,opentelemetry-otlp=warn";
    let levels = std::env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned());
    let filter = EnvFilter::builder().parse_lossy(format!("{levels},{quiet}"));
    let pretty = match config.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Pretty => true,
        LogFormat::Json => false,
    };
    let logs = fmt::layer().with_writer(std::io::stderr);
    let logs = if pretty { logs.compact().boxed() } else { logs.json().flatten_event(true).boxed() };
    let provider = if exports() { Some(provider(config.service)?) } else { None };
    let traces = provider
        .as_ref()
        .map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer("pathway")));
    tracing_subscriber::registry().with(filter).with(logs).with(traces).try_init()?;
    Ok(Guard(provider))
}

fn exports() -> bool {
    let set = |name: &str| std::env::var(name).is_ok_and(|value| !value.is_empty());
    let disabled = std::env::var("OTEL_SDK_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true"));
    let refused = std::env::var("OTEL_TRACES_EXPORTER").is_ok_and(|value| value == "none");
    !disabled && !refused && (set("OTEL_EXPORTER_OTLP_ENDPOINT") || set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))
}

fn provider(service: &'static str) -> Result<SdkTracerProvider, TelemetryError> {
    let exporter = SpanExporter::builder().with_tonic().build()?;
    let mut resource = Resource::builder();
    if std::env::var("OTEL_SERVICE_NAME").is_err() {
        resource = resource.with_service_name(service);
    }
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build())
}

// === impl Guard ===

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(provider) = self.0.take() {
            // A collector that is gone must not keep the process from ending.
            let _ = provider.shutdown();
        }
    }
}
