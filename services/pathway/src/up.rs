//! The all-in-one: four services in one process, on one port.
//!
//! Each service runs as its binary runs it, on an in-memory listener that its peers call; the port serves the APIs of all. Nothing here knows
//! what a service does, so what works in one process works in four.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use pathway_analytics::Analytics;
use pathway_datasync::Datasync;
use pathway_kernel::{Clock, Code, Fault};
use pathway_notifications::Notifications;
use pathway_processor::{Peers, Processor};
use pathway_rpc::{Listener, Readiness, Routes, ServerConfig, ServerSettings, Target, memory};
use pathway_runtime::{
    Arguments, Claim, ClaimError, Component, ConfigError, Env, Security, SecuritySettings, check_exposure,
    environment, init_telemetry, listen, load, load_table, shutdown_signal,
};
use pathway_telemetry::Guard;
use serde::Deserialize;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cli::{Demo, Global, Up};
use crate::client::Mesh;
use crate::commands::demo;
use crate::output::{Output, line, print_fault};

/// The four services, running.
#[derive(Debug)]
pub struct AllInOne {
    env: Env,
    services: JoinSet<(&'static str, Result<(), Fault>)>,
    routes: Routes,
    /// The ways to the services: a listener whose callers are all gone ends.
    ways: Vec<Target>,
    shutdown: CancellationToken,
    /// What all of them need.
    readiness: Readiness,
}

/// What the port takes, beside what the services behind it take.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The origins of web pages that may call.
    cors_origins: Vec<String>,
    /// How calls are served.
    server: ServerSettings,
    /// Who may call.
    security: SecuritySettings,
}

/// The commented defaults, with every key that there is.
const DEFAULTS: &str = concat!(
    include_str!("../default.toml"),
    include_str!("../../../libs/runtime/server.toml"),
    include_str!("../../../libs/runtime/security.toml")
);

/// How long all of them may take to end.
const END_WITHIN: Duration = Duration::from_secs(10);

// === impl AllInOne ===

impl AllInOne {
    /// Builds the four services over a data directory, each in the environment of its name, and starts them.
    ///
    /// # Errors
    /// Where a configuration does not fit or a store cannot be opened.
    pub async fn start(
        data_dir: &Path,
        env: impl Fn(&'static str) -> Result<Env, Fault>,
    ) -> Result<Self, Fault> {
        let (services, shutdown) = (JoinSet::new(), CancellationToken::new());
        let own = env("pathway")?;
        let mut all = Self {
            services,
            routes: Routes::default(),
            ways: Vec::new(),
            shutdown,
            env: own,
            readiness: Readiness::default(),
        };
        let datasync = all.add::<Datasync>(data_dir, env(Datasync::NAME)?).await?;
        let notifications = all.add::<Notifications>(data_dir, env(Notifications::NAME)?).await?;
        let deps = pathway_analytics::Deps {
            env: env(Analytics::NAME)?,
            datasync: Some(datasync.clone()),
            notifications: Some(notifications.clone()),
        };
        let analytics = all.add::<Analytics>(data_dir, deps).await?;
        let peers = Peers { datasync, analytics, notifications };
        let deps = pathway_processor::Deps { env: env(Processor::NAME)?, peers: Some(peers) };
        all.add::<Processor>(data_dir, deps).await?;
        Ok(all)
    }

    /// Builds a service, starts it on a listener within the process, and answers the way to it.
    async fn add<S: Component>(&mut self, data_dir: &Path, deps: S::Deps) -> Result<Target, Fault> {
        let arguments = Arguments { data_dir: Some(data_dir.to_owned()), ..Arguments::default() };
        let config = configuration::<S>(&arguments)?;
        let service = S::build(config, deps).await?;
        self.routes = std::mem::take(&mut self.routes).merge(service.routes());
        self.readiness = std::mem::take(&mut self.readiness).and(service.readiness());
        let (connector, listener) = memory();
        let shutdown = self.shutdown.clone();
        self.services.spawn(async move { (S::NAME, service.run(listener, shutdown).await) });
        let way = Target::Memory(connector);
        self.ways.push(way.clone());
        Ok(way)
    }

    /// Serves all APIs on one listener until `shutdown`, then lets everything end.
    ///
    /// # Errors
    /// Where the listener fails, or a service ends by itself.
    pub async fn serve(
        mut self,
        listener: Listener,
        config: ServerConfig,
        shutdown: CancellationToken,
    ) -> Result<(), Fault> {
        let config = ServerConfig { readiness: self.readiness.clone(), ..config };
        // The port says that it is ending before the services behind it end their streams.
        let front = self.env.server(config, self.routes.clone()).with_closing(self.shutdown.clone());
        let told = CancellationToken::new();
        let front = front.serve(listener, told.clone().cancelled_owned());
        self.services.spawn(async move { ("pathway", front.await) });
        let early = tokio::select! {
            () = shutdown.cancelled() => None,
            ended = self.services.join_next() => ended,
        };
        told.cancel();
        let result = match early {
            None => Ok(()),
            Some(Ok((name, Ok(())))) => Err(Fault::internal(format!("{name} ended by itself"))),
            Some(Ok((_, Err(fault)))) => Err(fault),
            Some(Err(error)) => Err(Fault::internal(error)),
        };
        let ending = async { while self.services.join_next().await.is_some() {} };
        if tokio::time::timeout(END_WITHIN, ending).await.is_err() {
            tracing::warn!("did not drain in time, ending now");
        }
        result
    }
}

/// `pathway up`
pub(crate) async fn run(args: Up) -> Result<ExitCode, Fault> {
    let arguments = Arguments { config: args.config.clone(), ..Arguments::default() };
    let config: Config = load(NAME, DEFAULTS, &arguments).map_err(|error| misconfigured(NAME, &error))?;
    check_exposure(args.listen, config.security.asks(), args.insecure)?;
    let telemetry = telemetry()?;
    let listener = listen(args.listen, &config.security.tls.health_listen).await?;
    let address = listener.local_addr().unwrap_or(args.listen);
    let health = listener.health_addr().map(tracing::field::display);
    let mut signal = Box::pin(shutdown_signal().map_err(Fault::internal)?);
    let _claims = claim(&args.data_dir)?;
    if args.fresh {
        remove_stores(&args.data_dir)?;
    }
    let security = Security::open(NAME, &config.security, &Clock::system())?;
    let process = Env::system();
    let env = |service| {
        let telemetry = telemetry.of(service).map_err(|error| misconfigured("telemetry", &error))?;
        Ok(Env { telemetry, ..process.clone() })
    };
    let all = tokio::select! {
        all = AllInOne::start(&args.data_dir, env) => all?,
        // Nothing is served yet, so there is nothing to drain.
        () = &mut signal => return Ok(ExitCode::SUCCESS),
    };
    tracing::info!(service = "pathway", %address, health, "ready");

    let shutdown = CancellationToken::new();
    let front = ServerConfig {
        cors_origins: config.cors_origins,
        guard: security.guard(),
        tls: security.tls(),
        ..config.server.config()
    };
    let serving = tokio::spawn(all.serve(listener, front, shutdown.clone()));
    if args.demo {
        let replay = replay(address, security.clone());
        tokio::spawn(shutdown.clone().run_until_cancelled_owned(replay));
    }
    let told = shutdown.clone();
    tokio::spawn(async move {
        signal.await;
        tracing::info!(service = "pathway", "draining");
        told.cancel();
    });
    serving.await.map_err(Fault::internal)??;
    Ok(ExitCode::SUCCESS)
}

/// Logs look, and traces are kept, as the processor's configuration says: whatever happens here begins there.
fn telemetry() -> Result<Guard, Fault> {
    let name = Processor::NAME;
    let table = load_table(name, Processor::DEFAULTS, &Arguments::default(), &environment())
        .map_err(|error| misconfigured(name, &error))?;
    init_telemetry("pathway", &table).map_err(|error| misconfigured("telemetry", &error))
}

/// Replays the sample as any other client would. The services go on whatever comes of it.
async fn replay(address: SocketAddr, security: Security) {
    let scheme = if security.tls().is_some() { "https" } else { "http" };
    let global = Global::of(format!("{scheme}://{address}"));
    let replayed = async {
        let mesh = Mesh::connect_as(&global, &security)?;
        demo::run(&mesh, &Output::new(false), &Demo::default()).await
    };
    match replayed.await {
        // Whoever closed the output may still want the services.
        Ok(_) => drop(line(&format!("\nserving on {scheme}://{address}; Ctrl-C ends it"))),
        Err(fault) => print_fault(&fault),
    }
}

/// The configuration of a service behind the port. It is called from within this process alone, so it asks nobody who calls.
fn configuration<S: Component>(arguments: &Arguments) -> Result<S::Config, Fault> {
    let defaults = load_table(S::NAME, S::DEFAULTS, &Arguments::default(), &[]);
    let table = load_table(S::NAME, S::DEFAULTS, arguments, &environment()).and_then(|mut table| {
        table.extend(defaults?.remove_entry("security"));
        Ok(table)
    });
    let table = table.map_err(|error| misconfigured(S::NAME, &error))?;
    table.try_into().map_err(|error: toml::de::Error| {
        misconfigured(S::NAME, &ConfigError::Invalid(error.message().to_owned()))
    })
}

fn misconfigured(name: &str, error: &dyn std::error::Error) -> Fault {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    Fault::new(Code::InvalidArgument, "INVALID_CONFIGURATION", format!("{name}: {error}{cause}"))
}

/// The name of the port's configuration.
const NAME: &str = "up";
const SERVICES: [&str; 4] = [Processor::NAME, Datasync::NAME, Analytics::NAME, Notifications::NAME];

/// Claims the data directory for all services: nothing is opened or removed that another process uses.
fn claim(data_dir: &Path) -> Result<Vec<Claim>, Fault> {
    let taken = |error: ClaimError| {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        let fault = Fault::new(Code::FailedPrecondition, "CANNOT_CLAIM", error.to_string());
        match source {
            Some(source) => fault.with_source(source),
            None => fault,
        }
    };
    SERVICES.into_iter().map(|service| Claim::take(service, data_dir).map_err(taken)).collect()
}

/// Removes what an earlier run left, and nothing else that lies there.
fn remove_stores(data_dir: &Path) -> Result<(), Fault> {
    for service in SERVICES {
        for suffix in ["db", "db-wal", "db-shm"] {
            let file = data_dir.join(format!("{service}.{suffix}"));
            match std::fs::remove_file(&file) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    let message = format!("cannot remove {}: {error}", file.display());
                    return Err(Fault::new(Code::FailedPrecondition, "CANNOT_REMOVE", message));
                }
            }
        }
    }
    Ok(())
}
