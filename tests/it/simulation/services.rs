//! The four services in the test's own process, with a bad network between them.

use analytics::analytics_service_client::AnalyticsServiceClient;
use datasync::datasync_service_client::DatasyncServiceClient;
use notifications::notifications_service_client::NotificationsServiceClient;
use pathway_analytics::Analytics;
use pathway_datasync::Datasync;
use pathway_kernel::{Clock, Rng};
use pathway_notifications::Notifications;
use pathway_processor::{Peers, Processor};
use pathway_proto::pathway::analytics::v1 as analytics;
use pathway_proto::pathway::datasync::v1 as datasync;
use pathway_proto::pathway::notifications::v1 as notifications;
use pathway_proto::pathway::processor::v1 as processor;
use pathway_rpc::Channel;
use pathway_runtime::Env;
use pathway_testkit::{Network, Running};
use processor::processor_service_client::ProcessorServiceClient;
use tempfile::TempDir;

/// The links that can be cut.
pub(super) const LINKS: [&str; 4] = ["datasync", "analytics", "notifications", "feed"];

/// The services. The test itself speaks to them over ways that are always whole.
pub(super) struct Services {
    pub(super) processor: ProcessorServiceClient<Channel>,
    pub(super) datasync: DatasyncServiceClient<Channel>,
    pub(super) analytics: AnalyticsServiceClient<Channel>,
    pub(super) notifications: NotificationsServiceClient<Channel>,
    running: [Running; 4],
    _directory: TempDir,
}

// === impl Services ===

impl Services {
    pub(super) async fn start(seed: u64, network: &Network) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let env = || Env { clock: Clock::system(), rng: Rng::seeded(seed), ..Env::system() };
        let path = || directory.path().to_owned();
        let datasync = Running::start::<Datasync>(
            |config: &mut pathway_datasync::Config| config.data_dir = path(),
            env(),
        )
        .await;
        let notifications = Running::start::<Notifications>(
            |config: &mut pathway_notifications::Config| config.data_dir = path(),
            env(),
        )
        .await;
        let feed = pathway_analytics::Deps {
            env: env(),
            datasync: Some(network.link("feed", datasync.target())),
            notifications: Some(notifications.target()),
        };
        let analytics = Running::start::<Analytics>(
            |config: &mut pathway_analytics::Config| config.data_dir = path(),
            feed,
        )
        .await;
        let peers = Peers {
            datasync: network.link("datasync", datasync.target()),
            analytics: network.link("analytics", analytics.target()),
            notifications: network.link("notifications", notifications.target()),
        };
        let deps = pathway_processor::Deps { env: env(), peers: Some(peers) };
        let processor = Running::start::<Processor>(
            |config: &mut pathway_processor::Config| config.data_dir = path(),
            deps,
        )
        .await;
        Self {
            processor: ProcessorServiceClient::new(processor.channel()),
            datasync: DatasyncServiceClient::new(datasync.channel()),
            analytics: AnalyticsServiceClient::new(analytics.channel()),
            notifications: NotificationsServiceClient::new(notifications.channel()),
            running: [processor, analytics, notifications, datasync],
            _directory: directory,
        }
    }

    pub(super) async fn stop(self) {
        for service in self.running {
            service.stop().await;
        }
    }
}
