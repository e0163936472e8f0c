//! Setting up a process.

use std::fmt;
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::{LogExporter, MetricExporter, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry};

use crate::environment::{self, Wishes};
use crate::exposition::Exposition;
use crate::logs::{self, Home};
use crate::sampler::Linked;
use crate::{LOGS, Telemetry, TelemetryConfig};

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// A variable or a key has a value that this program does not know.
    #[error("{variable} is `{value}`; it takes {takes}")]
    Variable {
        /// The variable or the key.
        variable: String,
        /// Its value.
        value: String,
        /// What it may be.
        takes: String,
    },
    /// The `OTEL_*` variables do not describe a usable collector.
    #[error("the OTEL_* variables do not describe a usable collector")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// The metrics for Prometheus cannot be gathered.
    #[error("the metrics cannot be gathered")]
    Metrics(#[from] OTelSdkError),
    /// A process has one set-up only.
    #[error("telemetry is already set up in this process")]
    AlreadySet(#[from] tracing_subscriber::util::TryInitError),
}

/// A process's telemetry. It flushes what is left to export when it is dropped, for at most 3 seconds.
#[must_use = "dropping the guard ends the export"]
pub struct Guard {
    service: &'static str,
    wishes: Wishes,
    traces: Option<SdkTracerProvider>,
    logs: Option<SdkLoggerProvider>,
    /// One for each service.
    meters: Mutex<Vec<SdkMeterProvider>>,
    exposition: Exposition,
}

/// How long a process that ends waits for its collector.
const FLUSH_WITHIN: Duration = Duration::from_secs(3);

/// Sets up what the `OTEL_*` variables and the configuration ask for: logs always, traces and metrics where a collector is named. `RUST_LOG`
/// sets the level of log lines, `info` by default. Must be called inside the tokio runtime.
///
/// # Errors
/// Where a variable has a value that is not known here, an exporter cannot be built, or the process has a set-up already.
pub fn init(config: &TelemetryConfig) -> Result<Guard, TelemetryError> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let wishes = environment::read(variable, config.settings.sample_ratio)?;
    let levels = variable("RUST_LOG").unwrap_or_else(|| "info".to_owned());
    let home = Home::default();
    let lines = logs::layer(config.settings.log_format, &home, std::io::stderr);
    // A list and not an `Option` for each: a layer that is absent would still be asked for every span, and say yes.
    let mut layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> =
        vec![lines.with_filter(logs::levels(&levels)).boxed()];

    let resource = resource(config.service, true);
    let mut guard = Guard {
        service: config.service,
        traces: None,
        logs: None,
        meters: Mutex::default(),
        exposition: Exposition::default(),
        wishes,
    };
    if guard.wishes.traces {
        let exporter = SpanExporter::builder().with_tonic().build()?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Linked(guard.wishes.sampler.clone()))
            .with_resource(resource.clone())
            .build();
        layers.push(traces(provider.tracer("pathway")));
        guard.traces = Some(provider);
    }
    if guard.wishes.logs {
        let exporter = LogExporter::builder().with_tonic().build()?;
        let provider =
            SdkLoggerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
        let bridge = OpenTelemetryTracingBridge::new(&provider);
        layers.push(bridge.with_filter(logs::levels(&levels)).boxed());
        guard.logs = Some(provider);
    }
    tracing_subscriber::registry().with(layers).try_init()?;
    tracing::dispatcher::get_default(|dispatch| drop(home.set(dispatch.downgrade())));
    for propagator in &guard.wishes.unknown_propagators {
        tracing::warn!(propagator, "OTEL_PROPAGATORS names a propagator that is not known here");
    }
    Ok(guard)
}

/// The layer that makes traces: of our own spans only, whatever the level of the log lines is. What libraries tell of themselves stays out,
/// the exporter's own calls first of all.
pub(crate) fn traces<S>(tracer: SdkTracer) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let ours = Targets::new().with_target("pathway", LevelFilter::INFO).with_target(LOGS, LevelFilter::OFF);
    tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false)
        .with_tracked_inactivity(false)
        .with_filter(ours)
        .boxed()
}

/// What is said of the process with everything that leaves it. `OTEL_RESOURCE_ATTRIBUTES` adds to it.
fn resource(service: &'static str, is_process: bool) -> Resource {
    let is_named = std::env::var("OTEL_SERVICE_NAME").is_ok_and(|name| !name.is_empty());
    let builder = Resource::builder();
    if is_process && is_named { builder.build() } else { builder.with_service_name(service).build() }
}

// === impl Guard ===

impl Guard {
    /// What one service of this process tells through. Its metrics have its name, also where several services share the process; its traces and logs
    /// have the process's.
    ///
    /// # Errors
    /// Where its exporter cannot be built.
    pub fn of(&self, service: &'static str) -> Result<Telemetry, TelemetryError> {
        let mut builder =
            SdkMeterProvider::builder().with_resource(resource(service, service == self.service));
        if self.wishes.prometheus {
            builder = builder.with_reader(self.exposition.reader()?);
        }
        if self.wishes.metrics {
            builder = builder.with_periodic_exporter(MetricExporter::builder().with_tonic().build()?);
        }
        let provider = builder.build();
        let meter = provider.meter("pathway");
        self.meters.lock().unwrap_or_else(PoisonError::into_inner).push(provider);
        let tracer = self.traces.as_ref().map(|provider| provider.tracer("pathway"));
        let exposition = self.wishes.prometheus.then(|| self.exposition.clone());
        Ok(Telemetry::new(meter, tracer, exposition, self.wishes.propagates))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let meters = std::mem::take(self.meters.get_mut().unwrap_or_else(PoisonError::into_inner));
        let (traces, logs) = (self.traces.take(), self.logs.take());
        let (done, flushed) = mpsc::channel();
        // On a thread of its own: not every shutdown of the SDK keeps to a time, and a collector that is gone must not keep the process.
        let flush = std::thread::Builder::new().name("telemetry-flush".to_owned()).spawn(move || {
            let _ = traces.map(|provider| provider.shutdown_with_timeout(FLUSH_WITHIN));
            meters.into_iter().for_each(|provider| drop(provider.shutdown_with_timeout(FLUSH_WITHIN)));
            let _ = logs.map(|provider| provider.shutdown_with_timeout(FLUSH_WITHIN));
            let _ = done.send(());
        });
        if flush.is_ok() {
            let _ = flushed.recv_timeout(FLUSH_WITHIN);
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("wishes", &self.wishes).finish_non_exhaustive()
    }
}
