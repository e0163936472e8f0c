//! The service: what it is built of, what it does for its callers, and how it runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use pathway_engine::{Definition, DefinitionError, Pathway, Rehearsal, Tools, Transform};
use pathway_finance::{Currency, TimeZone};
use pathway_kernel::{Fault, Violation};
use pathway_outbound::{Client, ClientConfig, Guard, Hosts, Network, OutboundError};
use pathway_rpc::{
    Channel, Dialer, Listener, PeerSettings, Readiness, ResilienceSettings, Routes, ServerConfig,
    ServerSettings, Target,
};
use pathway_runtime::{Component, Env, Security};
use pathway_telemetry::LOGS;
use pathway_topics::{Topics, TopicsConfig};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::config::{Calls, Config, DEFAULTS, ExecutionsConfig, OutboundConfig, PeersConfig};
use crate::error::ProcessorError;
use crate::grpc;
use crate::journal::StoredJournal;
use crate::metrics::Metrics;
use crate::pathways;
use crate::processing::{Admission, Ends, Processing};
use crate::registry::{Registry, compile};
use crate::replays::Replays;
use crate::retention::Retention;
use crate::store::Store;
use crate::tools::{
    AnalyticsApply, AnalyticsRecord, DatasyncWrite, GrpcCall, Home, HttpRequest, NotificationsSend, Publish,
    Reader, Secrets, SubPathway,
};
use crate::workers::Workers;

/// The service of topics and pathways.
#[derive(Debug)]
pub struct Processor {
    /// The one that the tools know of: they are at home as long as this lives.
    processing: Arc<Processing>,
    env: Env,
    executions: ExecutionsConfig,
    security: Security,
    serving: ServerSettings,
    cors_origins: Vec<String>,
}

/// What the processor takes from outside.
#[derive(Debug)]
pub struct Deps {
    /// Time and chance.
    pub env: Env,
    /// Ways to the peers; none for those of the configuration.
    pub peers: Option<Peers>,
}

/// Ways to the peers.
#[derive(Debug, Clone)]
pub struct Peers {
    /// The records.
    pub datasync: Target,
    /// The figures.
    pub analytics: Target,
    /// The notices.
    pub notifications: Target,
}

// === impl Deps ===

impl From<Env> for Deps {
    fn from(env: Env) -> Self {
        Self { env, peers: None }
    }
}

// === impl Processor ===

impl Component for Processor {
    type Config = Config;
    type Deps = Deps;
    const NAME: &'static str = "processor";
    const DEFAULTS: &'static str = DEFAULTS;

    async fn build(config: Config, deps: Deps) -> Result<Self, Fault> {
        let wrong = |field, error: &dyn std::fmt::Display| {
            ProcessorError::Invalid(vec![Violation::new(field, error.to_string())])
        };
        let reader = Reader {
            currency: Currency::parse(&config.default_currency).map_err(|e| wrong("default_currency", &e))?,
            zone: TimeZone::parse(&config.time_zone).map_err(|e| wrong("time_zone", &e))?,
        };
        let peers = match deps.peers {
            Some(peers) => peers,
            None => Peers {
                datasync: Target::parse(&config.peers.datasync.url)?,
                analytics: Target::parse(&config.peers.analytics.url)?,
                notifications: Target::parse(&config.peers.notifications.url)?,
            },
        };
        let security = Security::open(Self::NAME, &config.security, &deps.env.clock)?;
        let store = Store::open(&config.store_config()).await?;
        store.db().tell(&deps.env.telemetry);
        let journal = Arc::new(StoredJournal::new(store.clone(), deps.env.clock.clone()));
        let home = Home::default();
        let dialer = deps.env.dialer(Self::NAME);
        let tools = tools(&dialer, peers, &security, reader, config.calls(), home.clone())?
            .with_breakers(dialer.breakers().clone())
            .with_rng(deps.env.rng.clone())
            .with_journal(journal);
        let settings = TopicsConfig { partitions: config.topics.partitions };
        let topics = Topics::new(store.db(), settings, deps.env.clock.clone()).await?;
        let registry = Registry::open(store.clone(), topics.clone(), tools.clone()).await?;
        let processing = Arc::new(Processing {
            store,
            registry,
            tools,
            admission: Admission::new(topics.clone(), &config.topics),
            topic_names: config.topics,
            closing: CancellationToken::new(),
            topics,
            clock: deps.env.clock.clone(),
            telemetry: deps.env.telemetry.clone(),
            metrics: Metrics::new(&deps.env.telemetry),
            ends: Ends::new(),
            replays: Arc::default(),
            pinned: Arc::default(),
        });
        home.set(&processing);
        pathways::start(&processing, &config.pathways.directory).await?;
        Ok(Self {
            processing,
            env: deps.env,
            executions: config.executions,
            security,
            serving: config.server,
            cors_origins: config.cors_origins,
        })
    }

    fn routes(&self) -> Routes {
        grpc::routes(Processing::clone(&self.processing))
    }

    fn readiness(&self) -> Readiness {
        let store = self.processing.store.clone();
        Readiness::new(move || {
            let store = store.clone();
            async move { Ok(store.ping().await?) }
        })
    }

    async fn run(self, listener: Listener, shutdown: CancellationToken) -> Result<(), Fault> {
        let tasks = TaskTracker::new();
        let closing = self.processing.closing.clone();
        let processing = || Processing::clone(&self.processing);
        let named = |name: &'static str| tracing::info_span!(target: LOGS, "task", name);
        let workers = Workers::new(processing(), self.env.rng.clone()).run(closing.clone());
        tasks.spawn(workers.instrument(named("workers")));
        let retention = Retention::new(processing(), self.executions.clone()).run();
        tasks.spawn(closing.clone().run_until_cancelled_owned(retention).instrument(named("retention")));
        let replays = Replays::new(processing(), self.env.rng.clone()).run(closing.clone());
        tasks.spawn(replays.instrument(named("replays")));
        let lag = self.processing.metrics.clone().watch(processing());
        tasks.spawn(closing.clone().run_until_cancelled_owned(lag).instrument(named("lag")));
        tasks.close();

        let config = ServerConfig {
            cors_origins: self.cors_origins.clone(),
            guard: self.security.guard(),
            tls: self.security.tls(),
            readiness: self.readiness(),
            ..self.serving.config()
        };
        let server = self.env.server(config, self.routes()).with_closing(closing);
        let served = server.serve(listener, shutdown.cancelled_owned()).await;
        tasks.wait().await;
        self.processing.tools.settled().await;
        served
    }
}

/// The tools that pathways may use. Nothing is connected before the first call.
fn tools(
    dialer: &Dialer,
    peers: Peers,
    security: &Security,
    reader: Reader,
    calls: Calls<'_>,
    home: Home,
) -> Result<Tools, Fault> {
    let Calls { outbound, peers: settings, resilience } = calls;
    let channel = |name, target, own: &PeerSettings| -> Result<Channel, Fault> {
        let config = resilience.of(&own.resilience, &format!("peers.{name}.resilience"))?;
        Ok(security.channel(dialer, name, target, config))
    };
    let datasync = channel("datasync", peers.datasync, &settings.datasync)?;
    let analytics = channel("analytics", peers.analytics, &settings.analytics)?;
    let notifications = channel("notifications", peers.notifications, &settings.notifications)?;
    let allowed: Vec<Network> =
        outbound.allow.iter().map(|network| network.parse()).collect::<Result<_, OutboundError>>()?;
    let hosts = Hosts::new(dialer.breakers(), "http", resilience.hosts(&outbound.hosts, "outbound.hosts")?);
    let client = Client::new(Guard::new(allowed), ClientConfig::default()).with_hosts(hosts);
    let http = HttpRequest::new(client, Secrets(outbound.secrets.clone()), dialer.breakers().clock().clone());
    let tools = Tools::default()
        .with(Arc::new(Transform))
        .with(Arc::new(SubPathway(home.clone())))
        .with(Arc::new(Publish(home)))
        .with(Arc::new(GrpcCall::new(dialer, security, outbound, resilience)?))
        .with(Arc::new(http))
        .with(Arc::new(DatasyncWrite::new(datasync, reader.clone())))
        .with(Arc::new(AnalyticsApply::new(analytics.clone())))
        .with(Arc::new(AnalyticsRecord::new(analytics, reader)))
        .with(Arc::new(NotificationsSend::new(notifications)));
    Ok(tools)
}

/// Checks a definition as a processor with the default configuration would, without one. `schemas` are the files that it refers to, by name.
///
/// # Errors
/// Every mistake as a violation of the field that it is in.
pub fn validate(definition: &str, schemas: &BTreeMap<String, String>) -> Result<Definition, Fault> {
    let checked = compile(definition, schemas, &tools_of_nobody()?);
    checked.map(Pathway::into_definition).map_err(wrong)
}

/// A definition with stubs that take what a processor's tools take, to be run in a test.
///
/// # Errors
/// Every mistake as a violation of the field that it is in.
pub fn rehearse(definition: &str, schemas: &BTreeMap<String, String>) -> Result<Rehearsal, Fault> {
    let tools = tools_of_nobody()?;
    let definition = compile(definition, schemas, &tools).map_err(wrong)?.into_definition();
    Rehearsal::new(definition, &tools).map_err(wrong)
}

/// The tools of a processor with the default configuration, to be looked at and never called.
fn tools_of_nobody() -> Result<Tools, Fault> {
    let nowhere = Target::parse("http://127.0.0.1:1")?;
    let peers = Peers { datasync: nowhere.clone(), analytics: nowhere.clone(), notifications: nowhere };
    let reader = Reader { currency: Currency::parse("USD").map_err(Fault::internal)?, zone: TimeZone::utc() };
    let (dialer, security) = (Dialer::default(), Security::none());
    let (outbound, settings) = (OutboundConfig::default(), PeersConfig::default());
    let calls = Calls { outbound: &outbound, peers: &settings, resilience: &ResilienceSettings::default() };
    tools(&dialer, peers, &security, reader, calls, Home::default())
}

fn wrong(mistakes: Vec<DefinitionError>) -> Fault {
    ProcessorError::Definition { file: String::new(), mistakes }.into()
}
