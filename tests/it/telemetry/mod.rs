//! What leaves a process: its traces, metrics and log lines, as a collector gets them from the real binaries.

mod canary;
mod collector;
mod flush;
mod happenings;
mod tree;

use std::time::Duration;

use pathway_kernel::Clock;
use pathway_proto::pathway::processor::v1::processor_service_client::ProcessorServiceClient;
use pathway_proto::pathway::processor::v1::publish_result::Result as Item;
use pathway_proto::pathway::processor::v1::{AwaitProcessedRequest, Event, EventPosition, PublishRequest};
use pathway_testkit::{Layout, Services};
use tonic::Request;
use tonic::transport::Channel;

const TOPIC: &str = "transactions";

/// Variables that send everything to this collector, soon.
fn exporting(endpoint: &str) -> Vec<(&'static str, String)> {
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_LOGS_EXPORTER", "otlp"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "50"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "200"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into()
}

/// Four processes with these variables.
fn start(variables: &[(&'static str, String)]) -> Services {
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Services::start_with(Layout::Mesh, &variables)
}

/// A card purchase of today.
fn purchase(id: &str, user: &str, amount: &str, merchant: &str) -> Event {
    let data = format!(
        r#"{{"id":"{id}","user_id":"{user}","amount":{amount},"category":"dining","merchant":"{merchant}","transaction_date":"{}"}}"#,
        crate::this_month()
    );
    Event { data: data.into_bytes(), ..Event::default() }
}

/// Publishes events in a caller's trace; answers where those are that were accepted.
async fn publish_only(
    services: &Services,
    traceparent: Option<&str>,
    events: Vec<Event>,
) -> Vec<EventPosition> {
    let mut request =
        Request::new(PublishRequest { topic: TOPIC.to_owned(), events, ..PublishRequest::default() });
    if let Some(traceparent) = traceparent {
        request.metadata_mut().insert("traceparent", traceparent.parse().unwrap());
    }
    // Nobody checks it; it must not be told either.
    request.metadata_mut().insert("authorization", "Bearer canary-token-x9".parse().unwrap());
    let results = client(services).await.publish(request).await.unwrap().into_inner().results;
    let accepted = results.into_iter().filter_map(|result| match result.result {
        Some(Item::Accepted(position)) => Some(position),
        _ => None,
    });
    accepted.collect()
}

/// Publishes events, and waits until they have been processed.
async fn publish(services: &Services, traceparent: Option<&str>, events: Vec<Event>) {
    let positions = publish_only(services, traceparent, events).await;
    assert!(!positions.is_empty(), "the events are good");
    let mut request = Request::new(AwaitProcessedRequest { topic: TOPIC.to_owned(), positions });
    request.set_timeout(Duration::from_secs(30));
    client(services).await.await_processed(request).await.unwrap();
}

async fn client(services: &Services) -> ProcessorServiceClient<Channel> {
    let endpoint = Channel::from_shared(services.url("processor")).unwrap();
    ProcessorServiceClient::new(endpoint.connect().await.unwrap())
}

/// A trace that nobody else has.
fn fresh_trace() -> String {
    format!("{:032x}", Clock::system().now_us())
}
