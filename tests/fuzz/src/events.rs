//! Events, as somebody publishes them.

use std::sync::OnceLock;

use pathway_kernel::{Clock, Code, ManualClock, Rng};
use pathway_processor::{Deps, Peers, Processor};
use pathway_proto::pathway::processor::v1::processor_service_client::ProcessorServiceClient;
use pathway_proto::pathway::processor::v1::{DryRunRequest, DryRunResponse};
use pathway_rpc::{Channel, Target, from_item_status, from_status, memory};
use pathway_runtime::Env;
use pathway_testkit::Running;
use tokio::runtime::Runtime;

/// A processor with the pathway that ships.
struct Service {
    runtime: Runtime,
    client: ProcessorServiceClient<Channel>,
    _running: Running,
    _directory: tempfile::TempDir,
}

/// The data of an event for the pathway that ships: the processor says that it takes it and what it would do, or names what is wrong with it, and the same each time.
pub fn event(data: &[u8]) {
    // It lives as long as the process: starting one takes a while.
    static SERVICE: OnceLock<Service> = OnceLock::new();
    let service = SERVICE.get_or_init(Service::start);
    let told = service.dry_run(data);
    if let Some(error) = &told.error {
        let fault = from_item_status(error.clone());
        assert_eq!(fault.code(), Code::InvalidArgument, "{fault}");
        assert!(!fault.violations().is_empty(), "refused for nothing: {fault}");
    } else {
        assert!(!told.partition_key.is_empty(), "an event that is taken has a key");
    }
    assert_eq!(told, service.dry_run(data));
}

// === impl Service ===

impl Service {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let running = runtime.block_on(async {
            let nowhere = || Target::Memory(memory().0);
            let peers = Peers { datasync: nowhere(), analytics: nowhere(), notifications: nowhere() };
            let env = Env {
                clock: Clock::manual(&ManualClock::at(1_795_521_600_000_000)),
                rng: Rng::seeded(1),
                ..Env::system()
            };
            let set = |config: &mut pathway_processor::Config| config.data_dir = directory.path().to_owned();
            Running::start::<Processor>(set, Deps { env, peers: Some(peers) }).await
        });
        let client = runtime.block_on(async { ProcessorServiceClient::new(running.channel()) });
        Self { runtime, client, _running: running, _directory: directory }
    }

    fn dry_run(&self, data: &[u8]) -> DryRunResponse {
        let request =
            DryRunRequest { pathway: "transactions".to_owned(), version: String::new(), data: data.to_vec() };
        let answer = self.runtime.block_on(self.client.clone().dry_run(request));
        answer.map_err(from_status).unwrap().into_inner()
    }
}
