//! What happens on the way shows in the trace: each attempt, a batch that is parked, a breaker that changes, an event that fails for good.

use pathway_proto::pathway::processor::v1::{
    AwaitProcessedRequest, Event, ListExecutionsRequest, PublishRequest, publish_result,
};
use pathway_testkit::eventually;
use prost::Message as _;
use tonic::Request;
use tonic_types::StatusExt as _;

use super::collector::{Collector, Seen};
use super::{client, exporting, fresh_trace, publish, publish_only, purchase, start};

const CALLER: &str = "00f067aa0ba902b7";
const WRITE: &str = "pathway.datasync.v1.DatasyncService/WriteRecords";
/// The largest amount of a line, of which a total holds 9223.
const LARGEST: &str = "\"10000000000000.00\"";

fn children<'a>(spans: &'a [Seen], parent: &Seen) -> Vec<&'a Seen> {
    let mut children: Vec<_> = spans.iter().filter(|seen| seen.parent() == parent.id()).collect();
    children.sort_by_key(|seen| seen.span.start_time_unix_nano);
    children
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_attempt_is_a_span_of_the_node_and_what_stops_it_is_noted() {
    let (collector, endpoint) = Collector::start().await;
    let mut variables = exporting(&endpoint);
    variables.push(("PATHWAY_PROCESSOR__RESILIENCE__ATTEMPTS", "3".to_owned()));
    variables.push(("PATHWAY_PROCESSOR__RESILIENCE__BACKOFF_FIRST_MS", "10".to_owned()));
    variables.push(("PATHWAY_PROCESSOR__RESILIENCE__BREAKER_FAILURES", "5".to_owned()));
    let mut services = start(&variables);
    services.kill("datasync");
    let trace = fresh_trace();
    let traceparent = format!("00-{trace}-{CALLER}-01");
    let positions =
        publish_only(&services, Some(&traceparent), vec![purchase("h1", "u", "1.00", "Cafe")]).await;

    // Three calls within one run of the node, the second and third of which say how many came before.
    eventually("a node has its attempts", || {
        let spans = collector.trace(&trace);
        let nodes = spans.iter().filter(|seen| seen.span.name == "update" && seen.service == "processor");
        let attempts = |node: &Seen| -> Vec<String> {
            let calls = children(&spans, node).into_iter().filter(|call| call.span.name == WRITE);
            calls.map(|call| call.attribute("pathway.rpc.previous_attempts")).collect()
        };
        nodes.into_iter().any(|node| attempts(node) == ["", "1", "2"]).then_some(())
    });
    eventually("a batch is parked with its reason", || {
        let spans = collector.trace(&trace);
        let parked: Vec<_> = spans
            .iter()
            .filter(|seen| seen.span.name == "process transactions")
            .flat_map(|seen| seen.events("parked", &["pathway.reason"]))
            .collect();
        parked.contains(&vec!["PEER_UNREACHABLE".to_owned()]).then_some(())
    });
    let changed = |to: &str| {
        let keys = ["peer", "to"];
        let of_trace = collector.trace(&trace);
        let changes: Vec<_> =
            of_trace.iter().flat_map(|seen| seen.events("circuit breaker changed", &keys)).collect();
        let wanted = ["processor/datasync".to_owned(), to.to_owned()];
        changes.iter().any(|change| *change == wanted).then_some(())
    };
    eventually("the breaker opens within a call of the trace", || changed("open"));

    services.restart("datasync");
    let request = AwaitProcessedRequest { topic: "transactions".to_owned(), positions };
    client(&services).await.await_processed(request).await.unwrap();
    eventually("the breaker is tried within a call of the trace", || changed("half-open"));
}

/// A request in a trace.
fn traced<M>(message: M, trace: &str) -> Request<M> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("traceparent", format!("00-{trace}-{CALLER}-01").parse().unwrap());
    request
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_names_its_trace() {
    let (_collector, endpoint) = Collector::start().await;
    let services = start(&exporting(&endpoint));
    let (trace, mut client) = (fresh_trace(), client(&services).await);
    let page = ListExecutionsRequest { page_token: "no token".to_owned(), ..Default::default() };
    let refused = client.list_executions(traced(page, &trace)).await.unwrap_err();
    assert_eq!(refused.get_details_request_info().unwrap().request_id, trace);
    let events = vec![Event { data: b"{}".to_vec(), ..Event::default() }];
    let publish = PublishRequest { topic: "transactions".to_owned(), events, ..Default::default() };
    let results = client.publish(traced(publish, &trace)).await.unwrap().into_inner().results;
    let Some(publish_result::Result::Error(error)) = &results[0].result else { panic!("{results:?}") };
    let item = tonic::Status::with_details(tonic::Code::InvalidArgument, "", error.encode_to_vec().into());
    assert_eq!(item.get_details_request_info().unwrap().request_id, trace);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_is_noted_in_the_trace_of_its_event() {
    let (collector, endpoint) = Collector::start().await;
    let services = start(&exporting(&endpoint));
    let trace = fresh_trace();
    let untraced = format!("00-{}-{CALLER}-00", fresh_trace());
    for batch in (0..9223).collect::<Vec<_>>().chunks(1000) {
        let events = batch.iter().map(|n| purchase(&format!("d{n}"), "rich", LARGEST, "Cafe")).collect();
        publish(&services, Some(&untraced), events).await;
    }
    let traceparent = format!("00-{trace}-{CALLER}-01");
    publish(&services, Some(&traceparent), vec![purchase("poison", "rich", LARGEST, "Cafe")]).await;
    eventually("the dead letter is noted", || {
        let keys = ["pathway.node", "error.type"];
        let spans = collector.trace(&trace);
        let letters: Vec<_> = spans.iter().flat_map(|seen| seen.events("dead letter", &keys)).collect();
        (letters == [["analyze", "OUT_OF_RANGE"]]).then_some(())
    });
}
