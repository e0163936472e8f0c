//! The service under test.

use api::notifications_service_client::NotificationsServiceClient;
use pathway_kernel::{Clock, ManualClock, Rng};
use pathway_notifications::{Config, Notifications};
use pathway_proto::pathway::notifications::v1 as api;
use pathway_proto::pathway::types::v1::Notice;
use pathway_rpc::Channel;
use pathway_runtime::Env;
use pathway_testkit::Running;
use tempfile::TempDir;

pub(crate) type Client = NotificationsServiceClient<Channel>;

/// A running service over a data directory.
pub(crate) struct Service {
    pub(crate) client: Client,
    running: Running,
}

// === impl Service ===

impl Service {
    /// Starts it over a data directory, with changes made to its default configuration.
    pub(crate) async fn start(directory: &TempDir, change: impl FnOnce(&mut Config)) -> Self {
        let clock = Clock::manual(&ManualClock::at(1_790_000_000_000_000));
        let set = |config: &mut Config| {
            config.data_dir = directory.path().to_owned();
            change(config);
        };
        let running =
            Running::start::<Notifications>(set, Env { clock, rng: Rng::seeded(1), ..Env::system() }).await;
        Self { client: NotificationsServiceClient::new(running.channel()), running }
    }

    /// Ends it and waits until it has drained.
    pub(crate) async fn stop(self) {
        self.running.stop().await;
    }
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
