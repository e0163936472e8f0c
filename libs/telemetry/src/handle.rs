//! What one service tells through.

use std::fmt;

use opentelemetry::metrics::{Histogram, Meter, MeterProvider as _, NoopMeterProvider};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracer;

use crate::TelemetryError;
use crate::exposition::Exposition;

/// What one service tells through; cheap to clone. The default tells nobody.
#[derive(Clone)]
pub struct Telemetry {
    meter: Meter,
    tracer: Option<SdkTracer>,
    exposition: Option<Exposition>,
    propagates: bool,
    /// One that nobody else holds: its metrics end with it.
    provider: Option<SdkMeterProvider>,
}

// === impl Telemetry ===

impl Telemetry {
    pub(crate) const fn new(
        meter: Meter,
        tracer: Option<SdkTracer>,
        exposition: Option<Exposition>,
        propagates: bool,
    ) -> Self {
        Self { meter, tracer, exposition, propagates, provider: None }
    }

    /// Metrics of `service` to be read by whoever asks for [`exposition`](Self::exposition), and nothing else: what a service needs that lives in a process
    /// which is not set up by [`init`](crate::init).
    ///
    /// # Errors
    /// Where they cannot be gathered.
    pub fn scraped(service: &'static str) -> Result<Self, TelemetryError> {
        let exposition = Exposition::default();
        let resource = Resource::builder_empty().with_service_name(service).build();
        let provider =
            SdkMeterProvider::builder().with_resource(resource).with_reader(exposition.reader()?).build();
        let telemetry = Self::new(provider.meter("pathway"), None, Some(exposition), true);
        Ok(Self { provider: Some(provider), ..telemetry })
    }

    /// Where instruments come from. Make each once: two of one name are one series.
    #[must_use]
    pub const fn meter(&self) -> &Meter {
        &self.meter
    }

    /// For spans of the past, whose times are given. Spans of the present are tracing's. None where traces are off.
    #[must_use]
    pub const fn tracer(&self) -> Option<&SdkTracer> {
        self.tracer.as_ref()
    }

    /// Whether the trace context crosses calls.
    #[must_use]
    pub const fn propagates(&self) -> bool {
        self.propagates
    }

    /// The metrics of this process as Prometheus reads them; none where that is switched off.
    #[must_use]
    pub fn exposition(&self) -> Option<String> {
        self.exposition.as_ref()?.text()
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::new(NoopMeterProvider::new().meter("pathway"), None, None, true)
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (traces, is_own) = (self.tracer.is_some(), self.provider.is_some());
        f.debug_struct("Telemetry").field("traces", &traces).field("is_own", &is_own).finish_non_exhaustive()
    }
}

/// A histogram of durations in seconds with the boundaries that the RPC conventions recommend: 5 ms to 10 s, and `finer` below them for what
/// is usually over sooner.
#[must_use]
pub fn seconds(
    telemetry: &Telemetry,
    name: &'static str,
    description: &'static str,
    finer: &[f64],
) -> Histogram<f64> {
    const BOUNDARIES: [f64; 14] =
        [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
    let boundaries = finer.iter().copied().chain(BOUNDARIES).collect();
    let builder = telemetry.meter().f64_histogram(name).with_unit("s").with_description(description);
    builder.with_boundaries(boundaries).build()
}
