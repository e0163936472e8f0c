//! The configuration; `default.toml` is its documentation.

use std::collections::BTreeMap;
use std::path::PathBuf;

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

/// What the processor takes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The address to serve on; whoever runs the process binds it.
    pub listen: String,
    /// Where the files are kept.
    pub data_dir: PathBuf,
    /// The currency of an event that names none.
    pub default_currency: String,
    /// The zone in which an event's instant becomes a civil date.
    pub time_zone: String,
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
    /// The topics.
    pub topics: TopicsSettings,
    /// The pathways.
    pub pathways: PathwaysConfig,
    /// The history.
    pub executions: ExecutionsConfig,
    /// The outside.
    pub outbound: OutboundConfig,
    /// The other services.
    pub peers: PeersConfig,
}

/// The topics' names and size.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicsSettings {
    /// The topic of the pathway `transactions`.
    pub transactions: String,
    /// The topic of the pathway `notifications`.
    pub notifications: String,
    /// The topic of the pathway `analytics`.
    pub analytics: String,
    /// Partitions of each topic.
    pub partitions: i32,
    /// For how many days an event is kept after it was processed; 0 for as long as there is room.
    pub keep_days: i64,
    /// How many MiB of events a topic keeps at most, those that wait excepted; 0 for any.
    pub keep_mib: i64,
    /// How many events may wait in a topic before more are refused.
    pub most_waiting: i64,
    /// How many events of one key may wait before more of it are refused.
    pub most_waiting_per_key: i64,
}

/// The pathways that are there from the start.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathwaysConfig {
    /// A directory of definitions; empty for none.
    pub directory: PathBuf,
}

/// How much history is kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecutionsConfig {
    /// Executions that are kept.
    pub keep: i64,
    /// How many days an execution is kept at most; 0 for any number.
    pub keep_days: i64,
}

/// What pathways may call outside.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutboundConfig {
    /// The private networks that may be called.
    pub allow: Vec<String>,
    /// Files that hold the values of headers, by name.
    pub secrets: BTreeMap<String, PathBuf>,
    /// What holds for single hosts.
    pub hosts: BTreeMap<String, ResilienceSettings>,
    /// gRPC servers, by name.
    pub grpc: BTreeMap<String, PeerSettings>,
    /// Files with the descriptor sets of those of them that are not asked by reflection, by the same name.
    pub descriptors: BTreeMap<String, PathBuf>,
}

/// Where the other services are.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeersConfig {
    /// The records.
    pub datasync: PeerSettings,
    /// The figures.
    pub analytics: PeerSettings,
    /// The notices.
    pub notifications: PeerSettings,
}

/// What the tools call, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Calls<'a> {
    pub(crate) outbound: &'a OutboundConfig,
    pub(crate) peers: &'a PeersConfig,
    pub(crate) resilience: &'a ResilienceSettings,
}

// === impl Config ===

impl Config {
    pub(crate) const fn calls(&self) -> Calls<'_> {
        Calls { outbound: &self.outbound, peers: &self.peers, resilience: &self.resilience }
    }

    pub(crate) fn store_config(&self) -> StoreConfig {
        self.store.of("processor", &self.data_dir)
    }
}
