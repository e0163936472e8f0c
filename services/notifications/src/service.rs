//! The service: what it is built of, and how it runs.

use pathway_kernel::Fault;
use pathway_rpc::{Listener, Routes, ServerConfig};
use pathway_runtime::{Component, Env, Security};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, DEFAULTS};
use crate::feeds::Feeds;
use crate::grpc;
use crate::notices::Notices;
use crate::store::Store;

/// The service of the notices.
#[derive(Debug)]
pub struct Notifications {
    env: Env,
    notices: Notices,
    security: Security,
    cors_origins: Vec<String>,
}

// === impl Notifications ===

impl Component for Notifications {
    type Config = Config;
    type Deps = Env;
    const NAME: &'static str = "notifications";
    const DEFAULTS: &'static str = DEFAULTS;

    async fn build(config: Config, env: Env) -> Result<Self, Fault> {
        let security = Security::open(Self::NAME, &config.security, &env.clock)?;
        let notices = Notices {
            store: Store::open(&config.store_config()).await?,
            clock: env.clock.clone(),
            heartbeat: config.watch.heartbeat(),
            feeds: Feeds::default(),
            closing: CancellationToken::new(),
        };
        Ok(Self { env, notices, security, cors_origins: config.cors_origins })
    }

    fn routes(&self) -> Routes {
        grpc::routes(self.notices.clone())
    }

    async fn run(self, listener: Listener, shutdown: CancellationToken) -> Result<(), Fault> {
        let config = ServerConfig {
            cors_origins: self.cors_origins.clone(),
            guard: self.security.guard(),
            ..ServerConfig::default()
        };
        let closing = self.notices.closing.clone();
        let told = async move {
            shutdown.cancelled().await;
            closing.cancel();
        };
        self.env.server(config, self.routes()).serve(listener, told).await
    }
}
