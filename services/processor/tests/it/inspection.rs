//! Finding out what ran, what failed, and what would happen.

use pathway_kernel::Code;
use pathway_proto::pathway::processor::v1 as api;
use pathway_rpc::{from_item_status, from_status};
use serde_json::{Value, json};

use crate::peers::Script;
use crate::service::{Client, Service, dead_letters, executions, processed, publish, purchase};

/// A service on which `good` of asha's and `bad` of bela's were processed; the second failed at `analyze`.
async fn with_a_failure(script: &Script, directory: &tempfile::TempDir) -> Service {
    script.state().poison = Some("bad".to_owned());
    let service = Service::start(directory, script.serve()).await;
    let results = publish(&service.client, vec![purchase("asha", "good"), purchase("bela", "bad")]).await;
    processed(&service.client, &results).await;
    service
}

async fn found(client: &Client, filter: api::ListExecutionsRequest) -> Vec<String> {
    let page = client.clone().list_executions(filter).await.unwrap().into_inner();
    page.executions.into_iter().map(|execution| execution.event_id).collect()
}

async fn letter(client: &Client, id: &str) -> api::DeadLetter {
    let request = api::GetDeadLetterRequest { id: id.to_owned() };
    client.clone().get_dead_letter(request).await.unwrap().into_inner().dead_letter.unwrap()
}

#[tokio::test]
async fn executions_are_found_by_what_they_were() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let service = with_a_failure(&script, &directory).await;
    let any = api::ListExecutionsRequest::default;
    let bad = executions(&service.client).await.into_iter().find(|e| e.event_id == "bad").unwrap();
    assert_eq!((bad.partition_key.as_str(), bad.error_code.as_str()), ("bela", "OUT_OF_RANGE"));
    let filters = [
        api::ListExecutionsRequest { partition_key: "bela".to_owned(), ..any() },
        api::ListExecutionsRequest { error_code: "OUT_OF_RANGE".to_owned(), ..any() },
        api::ListExecutionsRequest { event_id: "bad".to_owned(), ..any() },
        api::ListExecutionsRequest { status: api::ExecutionStatus::Failed.into(), ..any() },
    ];
    for filter in filters {
        assert_eq!(found(&service.client, filter.clone()).await, ["bad"], "{filter:?}");
    }
    let (from, before) = (bad.started_at_us, bad.started_at_us);
    let none = api::ListExecutionsRequest { started_before_us: 1, ..any() };
    assert!(found(&service.client, none).await.is_empty());
    let earlier =
        api::ListExecutionsRequest { started_before_us: before, event_id: "bad".to_owned(), ..any() };
    assert!(found(&service.client, earlier).await.is_empty());
    let since = api::ListExecutionsRequest { started_from_us: from, event_id: "bad".to_owned(), ..any() };
    assert_eq!(found(&service.client, since).await, ["bad"]);
    assert!(
        found(&service.client, api::ListExecutionsRequest { topic: "no".to_owned(), ..any() })
            .await
            .is_empty()
    );
    service.stop().await;
}

#[tokio::test]
async fn an_execution_shows_its_timeline_and_what_it_ended_in() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let service = with_a_failure(&script, &directory).await;
    let bad = executions(&service.client).await.into_iter().find(|e| e.event_id == "bad").unwrap();
    let request = api::GetExecutionRequest { id: bad.id.clone() };
    let got = service.client.clone().get_execution(request).await.unwrap().into_inner();
    let (execution, dead) = (got.execution.unwrap(), got.dead_letter.unwrap());
    assert_eq!((execution.id.as_str(), dead.node.as_str()), (bad.id.as_str(), "analyze"));
    let nodes: Vec<(&str, i32)> = execution.nodes.iter().map(|n| (n.node.as_str(), n.attempts)).collect();
    assert_eq!(nodes, [("update", 1), ("analyze", 1)]);
    assert!(execution.nodes[1].started_after_us >= execution.nodes[0].duration_us);
    assert!(dead.answers.is_empty(), "what nodes answered is shown on request only");
    assert!(letter(&service.client, &dead.id).await.answers.starts_with(b"{\"update\""));
    let unnamed =
        service.client.clone().get_execution(api::GetExecutionRequest::default()).await.unwrap_err();
    assert_eq!(from_status(unnamed).violations()[0].field, "id");
    for id in ["nothing", &uuid::Uuid::nil().to_string()] {
        let request = api::GetExecutionRequest { id: id.to_owned() };
        let fault = from_status(service.client.clone().get_execution(request).await.unwrap_err());
        assert_eq!((fault.code(), fault.reason()), (Code::NotFound, "UNKNOWN_EXECUTION"));
        let request = api::GetDeadLetterRequest { id: id.to_owned() };
        let fault = from_status(service.client.clone().get_dead_letter(request).await.unwrap_err());
        assert_eq!((fault.code(), fault.reason()), (Code::NotFound, "UNKNOWN_DEAD_LETTER"));
    }
    service.stop().await;
}

#[tokio::test]
async fn dead_letters_are_grouped_by_cause() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let service = with_a_failure(&script, &directory).await;
    for _ in 0..2 {
        let results = publish(&service.client, vec![purchase("bela", "bad")]).await;
        processed(&service.client, &results).await;
    }
    let request = api::ListDeadLetterGroupsRequest::default();
    let groups = service.client.clone().list_dead_letter_groups(request).await.unwrap().into_inner().groups;
    assert_eq!(groups.len(), 1);
    let group = &groups[0];
    assert_eq!((group.node.as_str(), group.error_reason.as_str(), group.count), ("analyze", "POISON", 3));
    assert!(group.first_failed_at_us <= group.last_failed_at_us && group.message.contains("refused"));
    for (node, count) in [("analyze", 3), ("notify", 0)] {
        let request = api::ListDeadLettersRequest { node: node.to_owned(), ..Default::default() };
        let page = service.client.clone().list_dead_letters(request).await.unwrap().into_inner();
        assert_eq!((page.dead_letters.len(), page.total), (count, i64::try_from(count).unwrap()));
    }
    service.stop().await;
}

#[tokio::test]
async fn a_redriven_event_goes_on_at_the_node_that_failed() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let service = with_a_failure(&script, &directory).await;
    script.state().poison = None;
    let writes = script.state().writes.len();
    let dead = dead_letters(&service.client).await.remove(0);
    let items = vec![api::Redrive { id: dead.id.clone(), data: None }];
    let request = api::RedriveDeadLettersRequest { items };
    let answer = service.client.clone().redrive_dead_letters(request).await.unwrap().into_inner();
    let Some(api::redrive_result::Result::Redriven(event)) = &answer.results[0].result else {
        panic!("{answer:?}")
    };
    let position = event.position.unwrap();
    processed(&service.client, &[api::publish_result::Result::Accepted(position)]).await;
    let latest = executions(&service.client).await.remove(0);
    let nodes: Vec<(&str, api::NodeStatus)> =
        latest.nodes.iter().map(|n| (n.node.as_str(), n.status())).collect();
    assert_eq!(
        nodes,
        [
            ("update", api::NodeStatus::Reused),
            ("analyze", api::NodeStatus::Succeeded),
            ("notify", api::NodeStatus::Succeeded)
        ]
    );
    assert_eq!(script.state().writes.len(), writes, "what had succeeded was not done again");
    assert_eq!(letter(&service.client, &dead.id).await.resolution, "redriven");
    service.stop().await;
}

#[tokio::test]
async fn a_dry_run_says_what_would_happen_and_does_nothing() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let service = Service::start(&directory, script.serve()).await;
    let run = |data: Vec<u8>| {
        let request = api::DryRunRequest { pathway: "transactions".to_owned(), version: String::new(), data };
        let mut client = service.client.clone();
        async move { client.dry_run(request).await.unwrap().into_inner() }
    };
    let good = run(purchase("asha", "1").data).await;
    assert_eq!((good.error.as_ref(), good.partition_key.as_str()), (None, "asha"));
    let plans: Vec<api::NodePlan> = good.nodes.iter().map(api::PlannedNode::plan).collect();
    assert_eq!(plans, [api::NodePlan::Runs, api::NodePlan::Runs, api::NodePlan::Unknown]);
    let arguments: Value = serde_json::from_slice(&good.nodes[0].arguments[0]).unwrap();
    assert_eq!(arguments["record"]["id"], "1");
    assert!(good.nodes[1].arguments.is_empty(), "they depend on what `update` answers");

    let bad = run(json!({"id": "1", "amount": "much"}).to_string().into_bytes()).await;
    let fault = from_item_status(bad.error.unwrap());
    assert!(fault.violations().len() >= 3, "{fault:?}");
    let bad = run(b"not json".to_vec()).await;
    assert_eq!(from_item_status(bad.error.unwrap()).violations()[0].field, "data");
    assert!(script.state().writes.is_empty() && executions(&service.client).await.is_empty());
    service.stop().await;
}

#[tokio::test]
async fn old_executions_go_and_what_waits_stays() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    with_a_failure(&script, &directory).await.stop().await;
    let service = Service::start_with(&directory, script.serve(), |config| config.executions.keep = 0).await;
    while executions(&service.client).await.len() > 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(executions(&service.client).await[0].event_id, "bad", "its event waits as a dead letter");
    service.stop().await;
}
