//! What runs for an event, and how often.

use pathway_proto::pathway::processor::v1 as api;

use crate::peers::Script;
use crate::service::{Service, executions, processed, publish, purchase};

#[tokio::test]
async fn an_event_becomes_a_write_a_change_and_a_notice() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let service = Service::start(&directory, script.serve()).await;
    let results = publish(&service.client, vec![purchase("u", "1")]).await;
    processed(&service.client, &results).await;
    {
        let state = script.state();
        let write = &state.writes[0][0];
        let (record, position) = (write.record.as_ref().unwrap(), write.position.as_ref().unwrap());
        assert_eq!((record.user_id.as_str(), record.category.as_str()), ("u", "dining"));
        assert_eq!(record.amount.as_ref().unwrap().units, 5);
        assert!(!position.epoch.is_empty() && position.offset == 0);
        assert_eq!(state.changes[0].after.as_ref().unwrap().version, 1, "what datasync answered");
        assert_eq!(state.notices[0].dedup_key, "1", "what analytics answered");
    }
    let execution = executions(&service.client).await.remove(0);
    assert_eq!((execution.event_id.as_str(), execution.status()), ("1", api::ExecutionStatus::Succeeded));
    let nodes: Vec<(&str, api::NodeStatus)> =
        execution.nodes.iter().map(|node| (node.node.as_str(), node.status())).collect();
    assert_eq!(nodes, ["update", "analyze", "notify"].map(|node| (node, api::NodeStatus::Succeeded)));
    service.stop().await;
}

#[tokio::test]
async fn a_node_runs_once_for_a_whole_batch() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let service = Service::start(&directory, script.serve()).await;
    let events = (0..400).map(|n| purchase("u", &n.to_string())).collect();
    let results = publish(&service.client, events).await;
    processed(&service.client, &results).await;
    {
        let state = script.state();
        let sizes: Vec<usize> = state.writes.iter().map(Vec::len).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 400);
        assert!(
            sizes.len() <= 3,
            "one append is one batch, or two where the worker looked meanwhile: {sizes:?}"
        );
        let keys: Vec<&str> = state.notices.iter().map(|notice| notice.dedup_key.as_str()).collect();
        assert_eq!(keys, (0..400).map(|n| n.to_string()).collect::<Vec<_>>(), "in order");
    }
    service.stop().await;
}

#[tokio::test]
async fn two_copies_in_one_process_know_nothing_of_each_other() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let scripts = [Script::default(), Script::default()];
    let one = Service::start(&directories[0], scripts[0].serve()).await;
    let two = Service::start(&directories[1], scripts[1].serve()).await;
    let results = publish(&one.client, vec![purchase("u", "1")]).await;
    processed(&one.client, &results).await;
    assert_eq!(executions(&one.client).await.len(), 1);
    assert!(executions(&two.client).await.is_empty() && scripts[1].state().writes.is_empty());
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn executions_are_seen_as_they_end() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let service = Service::start(&directory, script.serve()).await;
    let request = api::WatchExecutionsRequest::default();
    let mut stream = service.client.clone().watch_executions(request).await.unwrap().into_inner();
    publish(&service.client, vec![purchase("u", "1")]).await;
    let message = stream.message().await.unwrap().unwrap();
    assert_eq!((message.executions[0].event_id.as_str(), message.missed), ("1", 0));
    service.stop().await;
    assert!(stream.message().await.unwrap().is_none(), "a drain ends the stream");
}
