//! A process's telemetry, by its configuration.

use pathway_telemetry::{Guard, TelemetryConfig, TelemetryError, TelemetrySettings};
use toml::Table;

/// Sets up a process's telemetry by the table `telemetry` of its configuration. `service` is what it is called.
///
/// # Errors
/// Where a variable or a key has a value that is not known, or the process has a set-up already.
pub fn init_telemetry(service: &'static str, configuration: &Table) -> Result<Guard, TelemetryError> {
    let wrong = |error: toml::de::Error| TelemetryError::Variable {
        variable: "telemetry".to_owned(),
        value: configuration.get("telemetry").map(ToString::to_string).unwrap_or_default(),
        takes: format!("what its comments say: {}", error.message()),
    };
    let settings = match configuration.get("telemetry") {
        Some(table) => table.clone().try_into().map_err(wrong)?,
        None => TelemetrySettings::default(),
    };
    pathway_telemetry::init(&TelemetryConfig { service, settings })
}
