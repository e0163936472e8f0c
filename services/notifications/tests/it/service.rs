//! The service under test.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use api::deliveries_service_client::DeliveriesServiceClient;
use api::notifications_service_client::NotificationsServiceClient;
use api::preferences_service_client::PreferencesServiceClient;
use pathway_kernel::{Clock, ManualClock, Rng};
use pathway_notifications::{Config, Notifications};
use pathway_proto::pathway::notifications::v1 as api;
use pathway_proto::pathway::types::v1::Notice;
use pathway_rpc::Channel;
use pathway_runtime::Env;
use pathway_testkit::Running;
use tempfile::TempDir;

pub(crate) type Client = NotificationsServiceClient<Channel>;

/// What its clock shows at the start.
const NOW_US: i64 = 1_790_000_000_000_000;

/// A running service over a data directory.
pub(crate) struct Service {
    pub(crate) client: Client,
    running: Running,
    clock: ManualClock,
    now_us: AtomicI64,
}

// === impl Service ===

impl Service {
    /// Starts it over a data directory, with changes made to its default configuration.
    pub(crate) async fn start(directory: &TempDir, change: impl FnOnce(&mut Config)) -> Self {
        let manual = ManualClock::at(NOW_US);
        let clock = Clock::manual(&manual);
        let set = |config: &mut Config| {
            config.data_dir = directory.path().to_owned();
            change(config);
        };
        let running =
            Running::start::<Notifications>(set, Env { clock, rng: Rng::seeded(1), ..Env::system() }).await;
        let client = NotificationsServiceClient::new(running.channel());
        Self { client, running, clock: manual, now_us: AtomicI64::new(NOW_US) }
    }

    /// What goes out.
    pub(crate) fn deliveries(&self) -> DeliveriesServiceClient<Channel> {
        DeliveriesServiceClient::new(self.running.channel())
    }

    /// What users want to be told.
    pub(crate) fn preferences(&self) -> PreferencesServiceClient<Channel> {
        PreferencesServiceClient::new(self.running.channel())
    }

    /// What the service's clock shows.
    pub(crate) fn now_us(&self) -> i64 {
        self.now_us.load(Ordering::SeqCst)
    }

    /// Moves the service's clock.
    pub(crate) fn advance(&self, by_us: i64) {
        let now_us = self.now_us.fetch_add(by_us, Ordering::SeqCst) + by_us;
        self.clock.set(now_us);
    }

    /// Ends it and waits until it has drained.
    pub(crate) async fn stop(self) {
        self.running.stop().await;
    }
}

/// Looks until `condition` answers a value.
pub(crate) async fn eventually<T>(mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..1200 {
        if let Some(value) = condition().await {
            return value;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never happened");
}

/// A reminder.
pub(crate) fn reminder(user: &str, key: &str) -> Notice {
    Notice {
        user_id: user.to_owned(),
        dedup_key: key.to_owned(),
        r#type: "reminder".to_owned(),
        message: format!("about {key}"),
        ..Notice::default()
    }
}

/// Sends notices and answers the results.
pub(crate) async fn send(client: &Client, notices: Vec<Notice>) -> Vec<api::send_notice_result::Result> {
    let answer = client.clone().send_notices(api::SendNoticesRequest { notices }).await.unwrap();
    answer.into_inner().results.into_iter().map(|result| result.result.unwrap()).collect()
}

/// A user's notices.
pub(crate) async fn list(client: &Client, user: &str) -> api::ListNoticesResponse {
    let request = api::ListNoticesRequest { user_id: user.to_owned(), ..api::ListNoticesRequest::default() };
    client.clone().list_notices(request).await.unwrap().into_inner()
}
