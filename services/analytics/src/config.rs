//! The configuration; `default.toml` is its documentation.

use std::path::PathBuf;

use pathway_runtime::SecuritySettings;
use pathway_store::{StoreConfig, StoreSettings};
use pathway_telemetry::TelemetrySettings;
use serde::Deserialize;

/// The commented defaults, with every key that there is.
pub(crate) const DEFAULTS: &str =
    concat!(include_str!("../default.toml"), include_str!("../../../libs/runtime/security.toml"));

/// What analytics takes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The address to serve on; whoever runs the process binds it.
    pub listen: String,
    /// Where the files are kept.
    pub data_dir: PathBuf,
    /// The currency of an answer about a user of whom nothing is known.
    pub default_currency: String,
    /// The origins of web pages that may call.
    pub cors_origins: Vec<String>,
    /// The store.
    pub store: StoreSettings,
    /// Logs and traces.
    pub telemetry: TelemetrySettings,
    /// Who may call.
    pub security: SecuritySettings,
    /// The other services.
    pub peers: PeersConfig,
}

/// Where the other services are.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeersConfig {
    /// The records.
    pub datasync: String,
}

// === impl Config ===

impl Config {
    pub(crate) fn store_config(&self) -> StoreConfig {
        self.store.of("analytics", &self.data_dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_a_configuration() {
        let config: Config = toml::from_str(DEFAULTS).unwrap();
        assert!(
            matches!(config.store_config(), StoreConfig::Sqlite { path } if path.ends_with("analytics.db"))
        );
    }
}
