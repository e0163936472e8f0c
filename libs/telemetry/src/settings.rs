//! What an operator decides.

use serde::Deserialize;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// What an operator decides, as a part of a service's configuration. The rest is said by the standard `OTEL_*` variables.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetrySettings {
    /// Of the traces that begin here, how many are kept: 0 for none, 1 for all. `OTEL_TRACES_SAMPLER` overrides it.
    pub sample_ratio: f64,
    /// How log lines look.
    pub log_format: LogFormat,
}

/// What a process tells about itself.
#[derive(Debug, Clone)]
pub struct TelemetryConfig {
    /// The process's name in traces and logs; `OTEL_SERVICE_NAME` overrides it.
    pub service: &'static str,
    /// What its operator decides.
    pub settings: TelemetrySettings,
}

// === impl TelemetrySettings ===

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self { sample_ratio: 1.0, log_format: LogFormat::Auto }
    }
}
