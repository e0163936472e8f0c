//! The service: what it is built of, and how it runs.

use std::sync::Arc;

use pathway_kernel::{Fault, Violation};
use pathway_outbound::{Client, ClientConfig, Guard, Hosts, Network, OutboundError};
use pathway_rpc::{Listener, Readiness, Routes, ServerConfig, ServerSettings};
use pathway_runtime::{Component, Env, Security};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::channels::{EmailSender, PushSender, Vapid, WebhookSender};
use crate::config::{Config, DEFAULTS, PushConfig};
use crate::courier::{Courier, Sender, Senders};
use crate::error::NotificationsError;
use crate::feeds::Feeds;
use crate::grpc;
use crate::keeping::Keeping;
use crate::notices::Notices;
use crate::others;
use crate::preferences::Channel;
use crate::store::Store;
use crate::templates::Templates;
use crate::tokens::{Tokens, new_secret};

/// The service of the notices.
#[derive(Debug)]
pub struct Notifications {
    env: Env,
    notices: Notices,
    courier: Courier,
    keeping: Keeping,
    security: Security,
    serving: ServerSettings,
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
        let templates = Arc::new(Templates::load().map_err(NotificationsError::Texts)?);
        let store = Store::open(&config.store_config(), Arc::clone(&templates)).await?;
        let new = new_secret().ok_or(NotificationsError::NoKey)?;
        let tokens = Tokens::new(&store.secret(new).await?);
        let (senders, push_key) = senders(&config, &env, &templates, &tokens)?;
        store.tell(&env.telemetry);
        let (feeds, wake) = (Feeds::default(), Arc::new(Notify::new()));
        let courier = Courier {
            store: store.clone(),
            clock: env.clock.clone(),
            rng: env.rng.clone(),
            feeds: feeds.clone(),
            senders,
            wake: Arc::clone(&wake),
        };
        let (messages, kept, per_user) = config.keeps();
        let keeping = Keeping {
            store: store.clone(),
            clock: env.clock.clone(),
            feeds: feeds.clone(),
            messages,
            notices: kept,
            per_user,
        };
        let notices = Notices {
            store,
            clock: env.clock.clone(),
            heartbeat: config.watch.heartbeat(),
            feeds,
            wake,
            templates,
            tokens,
            push_key,
            closing: CancellationToken::new(),
        };
        let (serving, cors_origins) = (config.server, config.cors_origins);
        Ok(Self { env, notices, courier, keeping, security, serving, cors_origins })
    }

    fn routes(&self) -> Routes {
        grpc::routes(self.notices.clone())
    }

    fn readiness(&self) -> Readiness {
        let store = self.notices.store.clone();
        Readiness::new(move || {
            let store = store.clone();
            async move { Ok(store.ping().await?) }
        })
    }

    async fn run(self, listener: Listener, shutdown: CancellationToken) -> Result<(), Fault> {
        let config = ServerConfig {
            cors_origins: self.cors_origins.clone(),
            guard: self.security.guard(),
            tls: self.security.tls(),
            readiness: self.readiness(),
            ..self.serving.config()
        };
        let closing = self.notices.closing.clone();
        let server = self.env.server(config, self.routes()).with_closing(closing.clone());
        let carrying = tokio::spawn(self.courier.run(closing.clone()));
        let keeping = tokio::spawn(self.keeping.run(closing.clone()));
        // What other processes change is heard of by asking; one that is alone hears of everything.
        let asking = self.notices.store.is_shared().then(|| {
            tokio::spawn(others::follow(self.notices.store.clone(), self.notices.feeds.clone(), closing))
        });
        let served = server.serve(listener, shutdown.cancelled_owned()).await;
        carrying.await.map_err(Fault::internal)?;
        keeping.await.map_err(Fault::internal)?;
        if let Some(asking) = asking {
            asking.await.map_err(Fault::internal)?;
        }
        served
    }
}

/// A way out for each channel that is configured, and the public key for push.
fn senders(
    config: &Config,
    env: &Env,
    templates: &Arc<Templates>,
    tokens: &Tokens,
) -> Result<(Senders, String), Fault> {
    let allowed: Vec<Network> =
        config.delivery.allow.iter().map(|network| network.parse()).collect::<Result<_, OutboundError>>()?;
    let client = Client::new(Guard::new(allowed), ClientConfig::default());
    let calls = config.resilience.hosts(&config.delivery.hosts, "delivery.hosts")?;
    let (dialer, clock) = (env.dialer(Notifications::NAME), &env.clock);
    // What a user's own server does must not keep messages from a service that the same host has for all.
    let hosts = |kind: &str| Hosts::new(dialer.breakers(), kind, calls.clone());
    let webhooks = client.with_hosts(hosts("webhook"));
    let webhook: Arc<dyn Sender> = Arc::new(WebhookSender::new(webhooks, clock.clone()));
    let mut senders = Senders::from([(Channel::Webhook, webhook)]);
    if !config.email.host.is_empty() {
        let email = EmailSender::new(&config.email, Arc::clone(templates), &hosts("smtp"), tokens.clone())
            .map_err(NotificationsError::Invalid)?;
        senders.insert(Channel::Email, Arc::new(email));
    }
    let Some(vapid) = vapid(&config.push).map_err(NotificationsError::Invalid)? else {
        return Ok((senders, String::new()));
    };
    let push_key = vapid.public_key();
    let push = PushSender::new(client.with_hosts(hosts("push")), clock.clone(), vapid, Arc::clone(templates));
    senders.insert(Channel::Push, Arc::new(push));
    Ok((senders, push_key))
}

/// Who the server is to push services, where that is configured.
fn vapid(config: &PushConfig) -> Result<Option<Vapid>, Vec<Violation>> {
    if config.key_file.as_os_str().is_empty() {
        return Ok(None);
    }
    let wrong = |field: &str, what: String| vec![Violation::new(field, what)];
    if !config.subject.starts_with("mailto:") && !config.subject.starts_with("https:") {
        return Err(wrong("push.subject", "must be a mailto: or https: URL".to_owned()));
    }
    let pem = std::fs::read_to_string(&config.key_file)
        .map_err(|error| wrong("push.key_file", format!("cannot be read: {error}")))?;
    Vapid::parse(&pem, &config.subject).map(Some).map_err(|what| wrong("push.key_file", what.to_owned()))
}
