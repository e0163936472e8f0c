//! Requests, as bytes that somebody sends to a method.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use pathway_analytics::Analytics;
use pathway_datasync::Datasync;
use pathway_notifications::Notifications;
use pathway_processor::{Deps, Peers, Processor};
use pathway_rpc::Channel;
use pathway_runtime::Env;
use pathway_testkit::{Raw, Running};
use prost_reflect::{DescriptorPool, MethodDescriptor};
use tokio::runtime::Runtime;
use tonic::{Code, Request, Status};

/// The four services, and the methods that answer once.
struct Mesh {
    runtime: Runtime,
    methods: Vec<(MethodDescriptor, Channel)>,
    _running: [Running; 4],
    _directory: tempfile::TempDir,
}

/// How long a method may wait for what never comes.
const PATIENCE: Duration = Duration::from_millis(50);

/// A method, by the first byte, and a request's bytes: it is answered or refused, and nothing breaks.
pub fn request(data: &[u8]) {
    // It lives as long as the process: starting it takes a while.
    static MESH: OnceLock<Mesh> = OnceLock::new();
    let mesh = MESH.get_or_init(Mesh::start);
    let Some((first, bytes)) = data.split_first() else { return };
    let (method, channel) = &mesh.methods[usize::from(*first) % mesh.methods.len()];
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    let bytes = Bytes::copy_from_slice(bytes);
    let answer = mesh.runtime.block_on(async {
        let mut client = tonic::client::Grpc::new(channel.clone());
        client.ready().await.map_err(|error| Status::from_error(error.into()))?;
        let mut sent = Request::new(bytes);
        sent.set_timeout(PATIENCE);
        client.unary(sent, path.parse().unwrap(), Raw).await
    });
    if let Err(status) = answer {
        let broken = [Code::Internal, Code::Unknown, Code::DataLoss].contains(&status.code());
        assert!(!broken, "{path}: {status:?}");
    }
}

// === impl Mesh ===

impl Mesh {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = || -> PathBuf { directory.path().to_owned() };
        let running = runtime.block_on(async {
            let set = |config: &mut pathway_datasync::Config| config.data_dir = path();
            let datasync = Running::start::<Datasync>(set, Env::system()).await;
            let set = |config: &mut pathway_notifications::Config| config.data_dir = path();
            let notifications = Running::start::<Notifications>(set, Env::system()).await;
            let deps = pathway_analytics::Deps { datasync: Some(datasync.target()), ..Env::system().into() };
            let set = |config: &mut pathway_analytics::Config| config.data_dir = path();
            let analytics = Running::start::<Analytics>(set, deps).await;
            let peers = Peers {
                datasync: datasync.target(),
                analytics: analytics.target(),
                notifications: notifications.target(),
            };
            let set = |config: &mut pathway_processor::Config| config.data_dir = path();
            let deps = Deps { env: Env::system(), peers: Some(peers) };
            let processor = Running::start::<Processor>(set, deps).await;
            [processor, datasync, analytics, notifications]
        });
        let names = ["processor", "datasync", "analytics", "notifications"];
        let channels = runtime.block_on(async { running.each_ref().map(Running::channel) });
        let pool = DescriptorPool::decode(pathway_proto::DESCRIPTORS).unwrap();
        let mut methods = Vec::new();
        for service in pool.services() {
            let at =
                names.iter().position(|name| service.full_name().starts_with(&format!("pathway.{name}.")));
            let Some(at) = at else { continue };
            let unary = service.methods().filter(|method| !method.is_server_streaming());
            methods.extend(unary.map(|method| (method, channels[at].clone())));
        }
        Self { runtime, methods, _running: running, _directory: directory }
    }
}
