//! One service in the test's own process.

use pathway_rpc::{Channel, ChannelConfig, Target, memory};
use pathway_runtime::Component;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A service that runs in the test's own process, on an in-memory transport; as many as a test likes.
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
        let mut config: S::Config = toml::from_str(S::DEFAULTS).expect("the defaults are a configuration");
        change(&mut config);
        let service = S::build(config, deps).await.expect("the service can be built");
        let (connector, listener) = memory();
        let shutdown = CancellationToken::new();
        let told = shutdown.clone();
        let task = tokio::spawn(async move { service.run(listener, told).await.expect("the service runs") });
        Self { way: Target::Memory(connector), name: S::NAME, shutdown, task }
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
