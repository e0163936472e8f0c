//! The four services in the test's own process, each of which asks who calls.

use std::collections::BTreeMap;

use pathway_analytics::Analytics;
use pathway_datasync::Datasync;
use pathway_kernel::{Clock, Rng};
use pathway_notifications::Notifications;
use pathway_processor::{Peers, Processor};
use pathway_rpc::{Channel, Credentials, Secret};
use pathway_runtime::{Env, SecuritySettings};
use pathway_store::{StoreKind, StoreSettings};
use pathway_testkit::Running;
use secrecy::SecretString;
use serde_json::json;
use tempfile::TempDir;

/// The services, and the secret that they share.
pub(super) struct Mesh {
    services: BTreeMap<&'static str, Running>,
    secret: Secret,
    _directory: TempDir,
}

const SECRET: &str = "a secret of this test, and of no other";

// === impl Mesh ===

impl Mesh {
    /// In files, or in the PostgreSQL database at `url`.
    pub(super) async fn start(url: Option<&str>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let env = || Env { rng: Rng::seeded(1), ..Env::system() };
        let path = || directory.path().to_owned();
        let keep = |store: &mut StoreSettings| {
            if let Some(url) = url {
                *store = StoreSettings { kind: StoreKind::Postgres, url: url.to_owned() };
            }
        };
        let secure = |security: &mut SecuritySettings| {
            security.secret = SecretString::from(SECRET);
            security.issuer = "https://issuer".to_owned();
            security.audience = "pathway".to_owned();
        };
        let set = |config: &mut pathway_datasync::Config| {
            config.data_dir = path();
            keep(&mut config.store);
            secure(&mut config.security);
        };
        let datasync = Running::start::<Datasync>(set, env()).await;
        let set = |config: &mut pathway_notifications::Config| {
            config.data_dir = path();
            keep(&mut config.store);
            secure(&mut config.security);
        };
        let notifications = Running::start::<Notifications>(set, env()).await;
        let deps = pathway_analytics::Deps { datasync: Some(datasync.target()), ..env().into() };
        let set = |config: &mut pathway_analytics::Config| {
            config.data_dir = path();
            keep(&mut config.store);
            secure(&mut config.security);
        };
        let analytics = Running::start::<Analytics>(set, deps).await;
        let peers = Peers {
            datasync: datasync.target(),
            analytics: analytics.target(),
            notifications: notifications.target(),
        };
        let deps = pathway_processor::Deps { env: env(), peers: Some(peers) };
        let set = |config: &mut pathway_processor::Config| {
            config.data_dir = path();
            keep(&mut config.store);
            secure(&mut config.security);
        };
        let processor = Running::start::<Processor>(set, deps).await;
        let services = BTreeMap::from([
            ("processor", processor),
            ("datasync", datasync),
            ("analytics", analytics),
            ("notifications", notifications),
        ]);
        Self { services, secret: Secret::new(SECRET.as_bytes()).unwrap(), _directory: directory }
    }

    /// What somebody in a role shows; an empty one is a user.
    pub(super) fn credentials(&self, subject: &str, role: &str) -> Credentials {
        let now = Clock::system().now_us() / 1_000_000;
        self.signed(subject, role, now + 3600)
    }

    /// A token that was good once.
    pub(super) fn expired(&self) -> Credentials {
        self.signed("anybody", "service", 1_000)
    }

    fn signed(&self, subject: &str, role: &str, exp: i64) -> Credentials {
        let claims =
            json!({"iss": "https://issuer", "aud": "pathway", "sub": subject, "role": role, "exp": exp});
        Credentials::fixed(&self.secret.sign(&claims)).unwrap()
    }

    /// A way to the service of this name.
    pub(super) fn channel(&self, service: &str, credentials: Option<Credentials>) -> Channel {
        let channel = self.services[service].channel();
        match credentials {
            Some(credentials) => channel.with_credentials(credentials),
            None => channel,
        }
    }

    pub(super) async fn stop(self) {
        for service in self.services.into_values() {
            service.stop().await;
        }
    }
}
