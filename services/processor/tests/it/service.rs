//! The service under test.

use std::time::Duration;

use api::processor_service_client::ProcessorServiceClient;
use pathway_kernel::{Clock, Rng};
use pathway_processor::{Config, Deps, Peers, Processor};
use pathway_proto::pathway::processor::v1 as api;
use pathway_rpc::Channel;
use pathway_runtime::Env;
use pathway_testkit::Running;
use serde_json::json;
use tempfile::TempDir;
use tonic::Request;

pub(crate) type Client = ProcessorServiceClient<Channel>;
pub(crate) use api::publish_result::Result as Item;

/// A running service over a data directory.
pub(crate) struct Service {
    pub(crate) client: Client,
    running: Running,
}

// === impl Service ===

impl Service {
    /// Starts it over a data directory.
    pub(crate) async fn start(directory: &TempDir, peers: Peers) -> Self {
        Self::start_with(directory, peers, |_| ()).await
    }

    /// Starts it with changes to its configuration.
    pub(crate) async fn start_with(
        directory: &TempDir,
        peers: Peers,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let env = Env { clock: Clock::system(), rng: Rng::seeded(1), ..Env::system() };
        let set = |config: &mut Config| {
            config.data_dir = directory.path().to_owned();
            change(config);
        };
        let running = Running::start::<Processor>(set, Deps { env, peers: Some(peers) }).await;
        Self { client: ProcessorServiceClient::new(running.channel()), running }
    }

    /// Ends it and waits until it has drained.
    pub(crate) async fn stop(self) {
        self.running.stop().await;
    }
}

/// A purchase of 5.00 for dining as an event.
pub(crate) fn purchase(user: &str, id: &str) -> api::Event {
    event(&json!({"id": id, "user_id": user, "amount": 5, "category": "dining", "transaction_date": "2026-11-03"}).to_string())
}

/// An event of this data.
pub(crate) fn event(data: &str) -> api::Event {
    api::Event { data: data.as_bytes().to_vec(), ..api::Event::default() }
}

/// Publishes events and answers the results.
pub(crate) async fn publish(client: &Client, events: Vec<api::Event>) -> Vec<Item> {
    let request = api::PublishRequest { topic: "transactions".to_owned(), events, ..Default::default() };
    let answer = client.clone().publish(request).await.unwrap().into_inner();
    answer.results.into_iter().map(|result| result.result.unwrap()).collect()
}

/// Where accepted events are.
pub(crate) fn positions(results: &[Item]) -> Vec<api::EventPosition> {
    let accepted = results.iter().filter_map(|result| match result {
        Item::Accepted(position) => Some(*position),
        Item::Error(_) => None,
    });
    accepted.collect()
}

/// Waits until accepted events have been processed.
pub(crate) async fn processed(client: &Client, results: &[Item]) {
    let positions = positions(results);
    let message = api::AwaitProcessedRequest { topic: "transactions".to_owned(), positions };
    let mut request = Request::new(message);
    request.set_timeout(Duration::from_secs(60));
    client.clone().await_processed(request).await.unwrap();
}

/// The dead letters, newest first.
pub(crate) async fn dead_letters(client: &Client) -> Vec<api::DeadLetter> {
    let request = api::ListDeadLettersRequest::default();
    client.clone().list_dead_letters(request).await.unwrap().into_inner().dead_letters
}

/// The executions, newest first.
pub(crate) async fn executions(client: &Client) -> Vec<api::Execution> {
    let request = api::ListExecutionsRequest { page_size: 1000, ..api::ListExecutionsRequest::default() };
    client.clone().list_executions(request).await.unwrap().into_inner().executions
}
