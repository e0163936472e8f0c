//! The one shape of a service.

use std::future::Future;

use pathway_kernel::{Clock, Fault, Rng};
use pathway_rpc::{
    Breakers, Dialer, Listener, Readiness, Resolver, Routes, Server, ServerConfig, tell_breakers,
};
use pathway_telemetry::Telemetry;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

/// What a service takes from the world besides its peers: time, chance, names, somebody to tell how it goes, and what its process has once.
#[derive(Debug, Clone)]
pub struct Env {
    /// Wall time.
    pub clock: Clock,
    /// Chance.
    pub rng: Rng,
    /// Its metrics and traces.
    pub telemetry: Telemetry,
    /// The breakers of the process, of which an operator is told.
    pub breakers: Breakers,
    /// How the names of peers are looked up.
    pub resolver: Resolver,
}

/// A service: built from its configuration and what it depends on, then run on a listener until it is told to end.
pub trait Component: Sized + Send + 'static {
    /// Its configuration.
    type Config: DeserializeOwned + Send;
    /// What it is given: time, chance, and ways to its peers where those are not on the network.
    type Deps: From<Env> + Send;
    /// Its name, which is also its prefix in the environment and its file's name.
    const NAME: &'static str;
    /// Its commented default configuration, with every key that there is.
    const DEFAULTS: &'static str;

    /// Opens what it needs: stores, connections. Nothing is served before [`Component::run`].
    fn build(config: Self::Config, deps: Self::Deps) -> impl Future<Output = Result<Self, Fault>> + Send;

    /// Its API, to be served here or behind another port.
    fn routes(&self) -> Routes;

    /// What it cannot serve without: its store.
    fn readiness(&self) -> Readiness;

    /// Serves and works until `shutdown`, then drains.
    fn run(
        self,
        listener: Listener,
        shutdown: CancellationToken,
    ) -> impl Future<Output = Result<(), Fault>> + Send;
}

// === impl Env ===

impl Env {
    /// The machine's clock, and chance seeded by the operating system. Nobody is told anything.
    #[must_use]
    pub fn system() -> Self {
        let clock = Clock::system();
        let breakers = Breakers::new(clock.clone());
        let (rng, telemetry, resolver) = (Rng::system(), Telemetry::default(), Resolver::default());
        Self { clock, rng, telemetry, breakers, resolver }
    }

    /// What a service calls its peers with; `service` is what an operator sees before a peer's name.
    #[must_use]
    pub fn dialer(&self, service: &str) -> Dialer {
        tell_breakers(&self.telemetry, &self.breakers, service);
        Dialer::new(self.breakers.of(service), self.rng.clone())
            .with_telemetry(self.telemetry.clone())
            .with_resolver(self.resolver.clone())
    }

    /// A server of a service's routes and of what every process serves.
    #[must_use]
    pub fn server(&self, config: ServerConfig, routes: Routes) -> Server {
        let config = ServerConfig { telemetry: self.telemetry.clone(), rng: self.rng.clone(), ..config };
        Server::new(config, routes).with_operations(self.breakers.clone())
    }
}
