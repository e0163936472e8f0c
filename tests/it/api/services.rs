//! The four services in the test's own process, and calls by name.

use std::time::Duration;

use bytes::Bytes;
use pathway_analytics::Analytics;
use pathway_datasync::Datasync;
use pathway_kernel::Rng;
use pathway_notifications::Notifications;
use pathway_processor::{Peers, Processor};
use pathway_proto::DESCRIPTORS;
use pathway_rpc::Target;
use pathway_runtime::Env;
use pathway_testkit::{Raw, Running};
use prost_reflect::{DescriptorPool, MethodDescriptor};
use tempfile::TempDir;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// The services, reached without a layer of the client's that could answer for them.
pub(super) struct Services {
    pub(super) descriptors: DescriptorPool,
    running: Vec<(&'static str, Running)>,
    _directory: TempDir,
}

/// What a call may take. Some wait for what never comes.
const DEADLINE: Duration = Duration::from_secs(1);
/// How long the first message of a stream is waited for: one that has nothing to say stays silent.
const SILENCE: Duration = Duration::from_millis(200);

// === impl Services ===

impl Services {
    pub(super) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = || directory.path().to_owned();
        let env = || Env { rng: Rng::seeded(1), ..Env::system() };
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
        let feed = pathway_analytics::Deps { datasync: Some(datasync.target()), ..env().into() };
        let analytics = Running::start::<Analytics>(
            |config: &mut pathway_analytics::Config| config.data_dir = path(),
            feed,
        )
        .await;
        let peers = Peers {
            datasync: datasync.target(),
            analytics: analytics.target(),
            notifications: notifications.target(),
        };
        let deps = pathway_processor::Deps { peers: Some(peers), ..env().into() };
        let processor = Running::start::<Processor>(
            |config: &mut pathway_processor::Config| config.data_dir = path(),
            deps,
        )
        .await;
        Self {
            descriptors: DescriptorPool::decode(DESCRIPTORS).unwrap(),
            running: vec![
                ("pathway.processor.", processor),
                ("pathway.analytics.", analytics),
                ("pathway.notifications.", notifications),
                ("pathway.datasync.", datasync),
            ],
            _directory: directory,
        }
    }

    /// Every method of ours.
    pub(super) fn methods(&self) -> Vec<MethodDescriptor> {
        let services: Vec<_> = self.descriptors.services().collect();
        services.iter().flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
    }

    /// Calls a method by its path, such as `/pathway.datasync.v1.DatasyncService/ListRecords`, and answers the first message; an empty one where a
    /// stream has nothing to say.
    pub(super) async fn call(&self, path: &str, message: Vec<u8>) -> Result<Vec<u8>, Status> {
        let mut client = Grpc::new(self.way(path)).max_encoding_message_size(usize::MAX);
        client.ready().await.unwrap();
        let mut request = Request::new(Bytes::from(message));
        request.set_timeout(DEADLINE);
        let path = PathAndQuery::try_from(path).unwrap();
        let mut answers = client.server_streaming(request, path, Raw).await?.into_inner();
        match tokio::time::timeout(SILENCE, answers.message()).await {
            Ok(message) => Ok(message?.unwrap_or_default().into()),
            Err(_) => Ok(Vec::new()),
        }
    }

    pub(super) async fn stop(self) {
        for (_, service) in self.running {
            service.stop().await;
        }
    }

    fn way(&self, path: &str) -> Channel {
        let service =
            self.running.iter().find(|(package, _)| path.trim_start_matches('/').starts_with(package));
        let (_, service) = service.unwrap_or(&self.running[0]);
        match service.target() {
            Target::Memory(connector) => {
                Endpoint::from_static("http://memory").connect_with_connector_lazy(connector)
            }
            Target::Uri(uri) | Target::Tls(uri, _) => Endpoint::from(uri).connect_lazy(),
        }
    }
}
