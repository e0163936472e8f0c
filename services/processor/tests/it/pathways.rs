//! Versions: registering, activating, going back.

use std::collections::{BTreeMap, HashMap};

use pathway_kernel::{Code, Fault};
use pathway_proto::pathway::processor::v1 as api;
use pathway_rpc::from_status;
use serde_json::json;

use crate::peers::Script;
use crate::service::{Client, Service, executions, processed, publish, purchase};

/// Only writes: a version of `transactions` that tells nobody.
const QUIET: &str = "
pathway: transactions
on: { topic: transactions, key: input.user_id }
input: { $ref: any.json }
nodes:
  update: { use: datasync.write, with: { record: '${input}' } }
";
/// A second pathway on the same topic.
const SECOND: &str = "
pathway: copies
on: { topic: transactions, key: input.user_id }
nodes:
  copy: { use: datasync.write, with: { record: '${input}' } }
";

pub(crate) async fn register(
    client: &Client,
    definition: &str,
    activate: bool,
) -> Result<api::RegisterPathwayResponse, Fault> {
    let request = api::RegisterPathwayRequest {
        definition: definition.to_owned(),
        schemas: HashMap::from([("any.json".to_owned(), r#"{"type":"object"}"#.to_owned())]),
        activate,
        validate_only: false,
    };
    client.clone().register_pathway(request).await.map(tonic::Response::into_inner).map_err(from_status)
}

async fn activate(client: &Client, name: &str, version: &str) -> Result<String, Fault> {
    let request = api::ActivatePathwayRequest { name: name.to_owned(), version: version.to_owned() };
    let answer = client.clone().activate_pathway(request).await.map_err(from_status)?;
    Ok(answer.into_inner().previous_version)
}

async fn get(client: &Client, name: &str) -> api::GetPathwayResponse {
    let request = api::GetPathwayRequest { name: name.to_owned(), ..Default::default() };
    client.clone().get_pathway(request).await.unwrap().into_inner()
}

async fn versions_run(client: &Client) -> HashMap<String, String> {
    let executions = executions(client).await.into_iter();
    executions.map(|execution| (execution.event_id, execution.pathway_version)).collect()
}

#[tokio::test]
async fn an_event_stays_on_the_version_of_its_offset() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    script.state().away = Some(("datasync", u32::MAX));
    let service = Service::start(&directory, script.serve()).await;
    let shipped = get(&service.client, "transactions").await.pathway.unwrap().version;
    let mut results = publish(&service.client, vec![purchase("u", "1")]).await;
    let quiet = register(&service.client, QUIET, true).await.unwrap().pathway.unwrap();
    assert!(quiet.active && quiet.version != shipped);
    results.extend(publish(&service.client, vec![purchase("u", "2")]).await);
    // A restart between the activation and the runs changes nothing.
    service.stop().await;
    script.state().away = None;
    let service = Service::start(&directory, script.serve()).await;
    assert_eq!(activate(&service.client, "transactions", &shipped[..8]).await.unwrap(), quiet.version);
    results.extend(publish(&service.client, vec![purchase("u", "3")]).await);
    processed(&service.client, &results).await;

    let ran = versions_run(&service.client).await;
    assert_eq!((&ran["1"], &ran["2"], &ran["3"]), (&shipped, &quiet.version, &shipped));
    let told: Vec<String> = script.state().notices.iter().map(|notice| notice.dedup_key.clone()).collect();
    assert_eq!(told, ["1", "3"], "the version between tells nobody");
    let history = get(&service.client, "transactions").await;
    let activations: Vec<&str> = history.activations.iter().map(|a| a.version.as_str()).collect();
    assert_eq!(activations, [&shipped, &quiet.version, &shipped]);
    assert_eq!(history.versions.iter().filter(|version| version.active).count(), 1);
    assert!(history.definition.contains("pathway: transactions") && history.schemas.len() == 1);
    service.stop().await;
}

#[tokio::test]
async fn what_is_registered_stays_as_it_is() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let service = Service::start(&directory, script.serve()).await;
    let first = register(&service.client, QUIET, false).await.unwrap();
    assert!(first.created && !first.pathway.as_ref().unwrap().active);
    let layout = format!("# the same\n{QUIET}");
    let again = register(&service.client, &layout, false).await.unwrap();
    assert_eq!((again.created, &again.pathway), (false, &first.pathway));
    // A start registers what ships once more and leaves the choice alone.
    activate(&service.client, "transactions", &first.pathway.unwrap().version).await.unwrap();
    service.stop().await;
    let service = Service::start(&directory, script.serve()).await;
    let history = get(&service.client, "transactions").await;
    assert_eq!((history.versions.len(), history.activations.len()), (2, 2));
    assert_eq!(history.pathway.unwrap().origin(), api::PathwayOrigin::Api);
    service.stop().await;
}

#[tokio::test]
async fn every_mistake_is_told_and_nothing_is_kept() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let service = Service::start(&directory, script.serve()).await;
    let broken = QUIET.replace("datasync.write", "datasync.wriet").replace("on: {", "on: { at: noon,");
    let fault = register(&service.client, &broken, true).await.unwrap_err();
    assert_eq!(fault.code(), Code::InvalidArgument);
    let fields: Vec<&str> = fault.violations().iter().map(|violation| violation.field.as_str()).collect();
    assert!(fields.contains(&"definition.on.at"), "{fields:?}");
    let elsewhere = QUIET.replace("topic: transactions", "topic: elsewhere");
    let fault = register(&service.client, &elsewhere, false).await.unwrap_err();
    assert_eq!(fault.violations()[0].field, "definition.on.topic");
    for yaml in ["", "]", "pathway: [", "nodes: {}", &"a".repeat(300_000)] {
        let fault = register(&service.client, yaml, true).await.unwrap_err();
        assert_eq!(fault.code(), Code::InvalidArgument, "{}", &yaml[..yaml.len().min(20)]);
    }
    let mut request = api::RegisterPathwayRequest { definition: SECOND.to_owned(), ..Default::default() };
    request.validate_only = true;
    request.activate = true;
    let valid = service.client.clone().register_pathway(request).await.unwrap().into_inner();
    assert!(!valid.created && !valid.pathway.unwrap().active);
    let list = async |page_size, page_token| {
        let request = api::ListPathwaysRequest { page_size, page_token };
        service.client.clone().list_pathways(request).await.map(tonic::Response::into_inner)
    };
    let all = list(0, String::new()).await.unwrap();
    let ships = |pathway: &api::Pathway| pathway.origin() == api::PathwayOrigin::Shipped;
    assert!(all.pathways.iter().all(ships), "nothing was kept beside what ships");
    assert!(all.pathways.len() > 1 && all.next_page_token.is_empty());
    let first = list(1, String::new()).await.unwrap();
    assert_eq!(first.pathways, all.pathways[..1]);
    let rest = list(0, first.next_page_token.clone()).await.unwrap();
    assert_eq!((rest.pathways.as_slice(), rest.next_page_token.as_str()), (&all.pathways[1..], ""));
    let broken = from_status(list(1, first.next_page_token[1..].to_owned()).await.unwrap_err());
    assert_eq!(broken.violations()[0].field, "page_token");
    service.stop().await;
}

#[tokio::test]
async fn a_pathway_that_is_not_active_takes_no_events_and_loses_none() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    script.state().away = Some(("datasync", 2));
    let service = Service::start(&directory, script.serve()).await;
    let results = publish(&service.client, vec![purchase("u", "1")]).await;
    let request = api::DeactivatePathwayRequest { name: "transactions".to_owned() };
    let previous = service.client.clone().deactivate_pathway(request.clone()).await.unwrap().into_inner();
    let message = api::PublishRequest {
        topic: "transactions".to_owned(),
        events: vec![purchase("u", "2")],
        ..Default::default()
    };
    let refused = from_status(service.client.clone().publish(message).await.unwrap_err());
    assert_eq!((refused.code(), refused.reason()), (Code::FailedPrecondition, "TOPIC_INACTIVE"));
    processed(&service.client, &results).await;
    let again = from_status(service.client.clone().deactivate_pathway(request).await.unwrap_err());
    assert_eq!(again.reason(), "NOT_ACTIVE");

    activate(&service.client, "transactions", &previous.previous_version).await.unwrap();
    let results = publish(&service.client, vec![purchase("u", "3")]).await;
    processed(&service.client, &results).await;
    let mut ran: Vec<String> = versions_run(&service.client).await.into_keys().collect();
    ran.sort();
    assert_eq!(ran, ["1", "3"]);
    service.stop().await;
}

#[tokio::test]
async fn two_pathways_of_a_topic_run_side_by_side() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let service = Service::start(&directory, script.serve()).await;
    let before = publish(&service.client, vec![purchase("u", "1")]).await;
    processed(&service.client, &before).await;
    register(&service.client, SECOND, true).await.unwrap();
    let after = publish(&service.client, vec![purchase("u", "2")]).await;
    processed(&service.client, &after).await;
    let mut ran: Vec<(String, String)> = executions(&service.client)
        .await
        .into_iter()
        .map(|execution| (execution.pathway, execution.event_id))
        .collect();
    ran.sort();
    let expected = [("copies", "2"), ("transactions", "1"), ("transactions", "2")];
    assert_eq!(ran, expected.map(|(pathway, event)| (pathway.to_owned(), event.to_owned())));
    service.stop().await;
}

#[tokio::test]
async fn a_directory_is_active_after_a_start() {
    let (directory, files, script) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), Script::default());
    std::fs::write(files.path().join("quiet.yaml"), QUIET).unwrap();
    std::fs::write(files.path().join("any.json"), r#"{"type":"object"}"#).unwrap();
    std::fs::write(files.path().join("notes.txt"), "not a pathway").unwrap();
    for _ in 0..2 {
        let service = Service::start_with(&directory, script.serve(), |config| {
            config.pathways.directory = files.path().to_owned();
        })
        .await;
        let history = get(&service.client, "transactions").await;
        assert_eq!(history.pathway.unwrap().origin(), api::PathwayOrigin::File);
        assert_eq!(history.activations.len(), 2, "what is active already is not activated again");
        service.stop().await;
    }
}

#[tokio::test]
async fn with_one_for_each_key_an_event_ends_before_the_next_begins() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let service = Service::start(&directory, script.serve()).await;
    let one = QUIET.replace("nodes:", "limits: { per_key: 1, batch: 2 }\nnodes:");
    register(&service.client, &one, true).await.unwrap();
    let results = publish(&service.client, (1..=4).map(|n| purchase("u", &n.to_string())).collect()).await;
    processed(&service.client, &results).await;
    let sizes: Vec<usize> = script.state().writes.iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 1, 1, 1]);
    service.stop().await;
}

#[tokio::test]
async fn what_does_not_exist_is_named() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let service = Service::start(&directory, script.serve()).await;
    let unknown = activate(&service.client, "nothing", "1").await.unwrap_err();
    assert_eq!((unknown.code(), unknown.reason()), (Code::NotFound, "UNKNOWN_PATHWAY"));
    let unknown = activate(&service.client, "transactions", "xyz").await.unwrap_err();
    assert_eq!((unknown.code(), unknown.reason()), (Code::NotFound, "UNKNOWN_VERSION"));
    let wrong = activate(&service.client, "", "").await.unwrap_err();
    assert_eq!(wrong.violations().len(), 2);
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_ships_can_be_rehearsed_without_its_peers() {
    let definition = include_str!("../../pathways/transactions.yaml");
    let schema = include_str!("../../pathways/transaction.schema.json");
    let schemas = BTreeMap::from([("transaction.schema.json".to_owned(), schema.to_owned())]);
    let rehearsal = pathway_processor::rehearse(definition, &schemas).unwrap();
    rehearsal.stub("datasync.write", |_| Ok(json!({"change": "00"})));
    rehearsal.stub("analytics.apply", |_| Ok(json!({"insights": [{"type": "a"}, {"type": "b"}]})));
    rehearsal.stub("notifications.send", |_| Ok(json!({"id": "1", "sequence": 1, "duplicate": false})));
    let data = serde_json::from_slice(&purchase("asha", "1").data).unwrap();
    let outcome = rehearsal.run(data).await.unwrap();
    assert!(outcome.failure.is_none());
    let tools: Vec<String> = rehearsal.calls().into_iter().map(|call| call.tool).collect();
    assert_eq!(tools, ["datasync.write", "analytics.apply", "notifications.send", "notifications.send"]);
    let refused = rehearsal.run(json!({"id": "1"})).await.unwrap();
    assert_eq!(refused.failure.unwrap().node, "", "the input is checked as it will be");
}
