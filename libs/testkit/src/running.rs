//! One service in the test's own process.

use pathway_rpc::{Channel, ChannelConfig, Listener, Target, memory};
use pathway_runtime::Component;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A service that runs in the test's own process, on an in-memory transport or a socket; as many as a test likes.
#[derive(Debug)]
pub struct Running {
    way: Target,
    name: &'static str,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

// === impl Running ===

impl Running {
    /// Builds a service of its default configuration, with changes made to it, and starts it.
    ///
    /// # Panics
    /// If it cannot be built.
    pub async fn start<S: Component>(change: impl FnOnce(&mut S::Config), deps: S::Deps) -> Self {
        let (connector, listener) = memory();
        Self::serve::<S>(change, deps, listener, Target::Memory(connector)).await
    }

    /// The same on a socket, for what is about the network.
    ///
    /// # Panics
    /// If it cannot be built, or there is no socket.
    pub async fn bind<S: Component>(change: impl FnOnce(&mut S::Config), deps: S::Deps) -> Self {
        let any = ([127, 0, 0, 1], 0).into();
        let listener = Listener::bind(any).await.expect("a free port");
        let address = listener.local_addr().expect("a socket has an address");
        let way = Target::parse(&format!("http://{address}")).expect("an address is a target");
        Self::serve::<S>(change, deps, listener, way).await
    }

    async fn serve<S: Component>(
        change: impl FnOnce(&mut S::Config),
        deps: S::Deps,
        listener: Listener,
        way: Target,
    ) -> Self {
        let mut config: S::Config = toml::from_str(S::DEFAULTS).expect("the defaults are a configuration");
        change(&mut config);
        let service = S::build(config, deps).await.expect("the service can be built");
        let shutdown = CancellationToken::new();
        let told = shutdown.clone();
        let task = tokio::spawn(async move { service.run(listener, told).await.expect("the service runs") });
        Self { way, name: S::NAME, shutdown, task }
    }

    /// A channel to it, as its peers have one.
    #[must_use]
    pub fn channel(&self) -> Channel {
        Channel::new(self.name, self.way.clone(), ChannelConfig::default())
    }

    /// The way to it, for a service that takes one.
    #[must_use]
    pub fn target(&self) -> Target {
        self.way.clone()
    }

    /// Ends it and waits until it has drained.
    ///
    /// # Panics
    /// If it failed.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.expect("the service ends well");
    }
}
