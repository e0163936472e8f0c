//! The configuration; `default.toml` is its documentation.

use std::path::PathBuf;
use std::time::Duration;

use pathway_rpc::{PeerSettings, ResilienceSettings, ServerSettings};
use pathway_runtime::SecuritySettings;
use pathway_store::{StoreConfig, StoreSettings};
use pathway_telemetry::TelemetrySettings;
use serde::Deserialize;

/// The commented defaults, with every key that there is.
pub(crate) const DEFAULTS: &str = concat!(
    include_str!("../default.toml"),
    include_str!("../../../libs/runtime/resilience.toml"),
    include_str!("../../../libs/runtime/server.toml"),
    include_str!("../../../libs/runtime/security.toml")
);

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
    /// How calls are served.
    pub server: ServerSettings,
    /// Who may call.
    pub security: SecuritySettings,
    /// How targets are called.
    pub resilience: ResilienceSettings,
    /// Looking for what comes again.
    pub recurring: RecurringConfig,
    /// Following figures.
    pub watch: WatchConfig,
    /// The other services.
    pub peers: PeersConfig,
}

/// Looking for what comes again, and for what has not come.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecurringConfig {
    /// How often users are looked at, in milliseconds; at least 10.
    pub every_ms: u64,
    /// The most users of one round with changes, and as many with something that may be late; at least 1.
    pub users_per_round: u32,
    /// The most lines that are looked at in a second, on average; at least 1.
    pub lines_per_second: u32,
}

/// How the live stream behaves.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchConfig {
    /// Seconds of silence after which a message without news is sent.
    pub heartbeat_seconds: u64,
}

/// Where the other services are.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeersConfig {
    /// The records.
    pub datasync: PeerSettings,
    /// The notices.
    pub notifications: PeerSettings,
}

// === impl Config ===

impl Config {
    pub(crate) fn store_config(&self) -> StoreConfig {
        self.store.of("analytics", &self.data_dir)
    }
}

// === impl WatchConfig ===

impl WatchConfig {
    pub(crate) fn heartbeat(&self) -> Duration {
        Duration::from_secs(self.heartbeat_seconds.max(1))
    }
}

// === impl RecurringConfig ===

impl RecurringConfig {
    pub(crate) fn every(&self) -> Duration {
        Duration::from_millis(self.every_ms.max(10))
    }

    pub(crate) fn users_per_round(&self) -> i64 {
        i64::from(self.users_per_round.max(1))
    }

    /// How long a look at one line is to take, the rest after it included.
    pub(crate) fn per_line(&self) -> Duration {
        Duration::from_secs(1) / self.lines_per_second.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_a_configuration() {
        let config: Config = toml::from_str(DEFAULTS).unwrap();
        assert_eq!(config.recurring.per_line() * 10_000, Duration::from_secs(1));
        assert!(
            matches!(config.store_config(), StoreConfig::Sqlite { path } if path.ends_with("analytics.db"))
        );
    }
}
