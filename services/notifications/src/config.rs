//! The configuration; `default.toml` is its documentation.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use pathway_rpc::{ResilienceSettings, ServerSettings};
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
    /// How calls are served.
    pub server: ServerSettings,
    /// Who may call.
    pub security: SecuritySettings,
    /// How hosts are called.
    pub resilience: ResilienceSettings,
    /// What goes out over HTTP.
    pub delivery: DeliveryConfig,
    /// E-mail.
    pub email: EmailConfig,
    /// Web push.
    pub push: PushConfig,
    /// The live stream.
    pub watch: WatchConfig,
    /// How long notices are kept.
    pub retention: RetentionConfig,
}

/// What goes out over HTTP.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveryConfig {
    /// The private networks that may be called.
    pub allow: Vec<String>,
    /// For how many days a message that has ended is kept; 0 for ever.
    pub keep_days: u64,
    /// What holds for single hosts.
    pub hosts: BTreeMap<String, ResilienceSettings>,
}

/// The mail server. The password is a file, never a value: what is in force is printed and logged.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmailConfig {
    /// Its name; empty for no e-mail.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// `tls`, `starttls` or `none`.
    pub tls: String,
    /// Who sends.
    pub from: String,
    /// The user to log in as; empty for none.
    pub user: String,
    /// The file with the password.
    pub password_file: PathBuf,
    /// A certificate to trust beside the public ones.
    pub root_certificate: PathBuf,
    /// Where a reader turns e-mail off.
    pub unsubscribe: String,
    /// Where a reader confirms the address.
    pub confirm: String,
}

/// Web push.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushConfig {
    /// The file with the server's private key; empty for no push.
    pub key_file: PathBuf,
    /// Whom a push service may ask.
    pub subject: String,
}

/// How the live stream behaves.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchConfig {
    /// Seconds of silence after which an empty message is sent.
    pub heartbeat_seconds: u64,
}

/// How long notices are kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionConfig {
    /// For how many days; 0 for ever.
    pub keep_days: u64,
    /// How many of a user, of those that have been read; 0 for any number.
    pub keep_per_user: u32,
}

// === impl Config ===

impl Config {
    /// For how long messages that have ended are kept, for how long notices, and how many of a user; none for all.
    pub(crate) fn keeps(&self) -> (Option<Duration>, Option<Duration>, Option<i64>) {
        let days = |days: u64| (days > 0).then(|| Duration::from_secs(days.saturating_mul(24 * 3600)));
        let number = self.retention.keep_per_user;
        (days(self.delivery.keep_days), days(self.retention.keep_days), (number > 0).then_some(number.into()))
    }

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
