//! The configuration; `default.toml` is its documentation.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pathway_rpc::ServerSettings;
use pathway_runtime::SecuritySettings;
use pathway_store::{StoreConfig, StoreSettings};
use pathway_telemetry::TelemetrySettings;
use serde::Deserialize;

/// The commented defaults, with every key that there is.
pub(crate) const DEFAULTS: &str = concat!(
    include_str!("../default.toml"),
    include_str!("../../../libs/runtime/server.toml"),
    include_str!("../../../libs/runtime/security.toml")
);

/// What datasync takes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The address to serve on; whoever runs the process binds it.
    pub listen: String,
    /// Where the files are kept.
    pub data_dir: PathBuf,
    /// The currency of a statement that names none.
    pub default_currency: String,
    /// The origins of web pages that may call.
    pub cors_origins: Vec<String>,
    /// The store.
    pub store: StoreSettings,
    /// Logs and traces.
    pub telemetry: TelemetrySettings,
    /// How calls are served.
    pub server: ServerSettings,
    /// Who may call.
    pub security: SecuritySettings,
    /// Statement import.
    pub import: ImportConfig,
    /// The change feed.
    pub feed: FeedConfig,
}

/// How statements are read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportConfig {
    /// The file that replaces the built-in mapping; empty for none.
    pub mapping_file: PathBuf,
}

/// How the change feed is followed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedConfig {
    /// Milliseconds between heartbeats.
    pub heartbeat_ms: u64,
}

// === impl Config ===

impl Config {
    pub(crate) fn store_config(&self) -> StoreConfig {
        self.store.of("datasync", &self.data_dir)
    }
}

// === impl ImportConfig ===

impl ImportConfig {
    pub(crate) fn mapping_file(&self) -> Option<&Path> {
        (!self.mapping_file.as_os_str().is_empty()).then_some(&*self.mapping_file)
    }
}

// === impl FeedConfig ===

impl FeedConfig {
    /// The time between heartbeats; one of zero would read the store without pause.
    pub(crate) fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.heartbeat_ms.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_a_configuration() {
        let config: Config = toml::from_str(DEFAULTS).unwrap();
        assert!(
            matches!(config.store_config(), StoreConfig::Sqlite { path } if path.ends_with("datasync.db"))
        );
        assert_eq!(config.import.mapping_file(), None);
        assert_eq!(config.feed.heartbeat(), Duration::from_secs(5));
    }
}
