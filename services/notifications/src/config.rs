//! The configuration; `default.toml` is its documentation.

use std::path::PathBuf;
use std::time::Duration;

use pathway_runtime::SecuritySettings;
use pathway_store::{StoreConfig, StoreSettings};
use pathway_telemetry::TelemetrySettings;
use serde::Deserialize;

/// The commented defaults, with every key that there is.
pub(crate) const DEFAULTS: &str =
    concat!(include_str!("../default.toml"), include_str!("../../../libs/runtime/security.toml"));

/// What notifications takes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The address to serve on; whoever runs the process binds it.
    pub listen: String,
    /// Where the files are kept.
    pub data_dir: PathBuf,
    /// The origins of web pages that may call.
    pub cors_origins: Vec<String>,
    /// The store.
    pub store: StoreSettings,
    /// Logs and traces.
    pub telemetry: TelemetrySettings,
    /// Who may call.
    pub security: SecuritySettings,
    /// The live stream.
    pub watch: WatchConfig,
}

/// How the live stream behaves.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchConfig {
    /// Seconds of silence after which an empty message is sent.
    pub heartbeat_seconds: u64,
}

// === impl Config ===

impl Config {
    pub(crate) fn store_config(&self) -> StoreConfig {
        self.store.of("notifications", &self.data_dir)
    }
}

// === impl WatchConfig ===

impl WatchConfig {
    /// At least a second: a stream of empty messages helps nobody.
    pub(crate) fn heartbeat(&self) -> Duration {
        Duration::from_secs(self.heartbeat_seconds.max(1))
    }
}
