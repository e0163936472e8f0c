//! What pathways use beside the peers: the outside, other topics, other pathways.

use std::collections::BTreeMap;

use pathway_processor::Config;
use pathway_proto::pathway::notifications::v1::notifications_service_server::NotificationsServiceServer;
use pathway_proto::pathway::processor::v1 as api;
use pathway_rpc::{Listener, Routes, Server, ServerConfig, from_item_status};
use serde_json::json;
use tempfile::TempDir;

use crate::pathways::register;
use crate::peers::Script;
use crate::service::{Client, Item, Service, dead_letters, event, executions};
use crate::web::{Act, Web};

/// Publishes to `orders` and waits until that has been processed.
async fn order(client: &Client, data: serde_json::Value) {
    let positions = publish_to(client, "orders", data).await;
    let request = api::AwaitProcessedRequest { topic: "orders".to_owned(), positions };
    client.clone().await_processed(request).await.unwrap();
}

async fn publish_to(client: &Client, topic: &str, data: serde_json::Value) -> Vec<api::EventPosition> {
    let request = api::PublishRequest {
        topic: topic.to_owned(),
        events: vec![event(&data.to_string())],
        ..Default::default()
    };
    let results = client.clone().publish(request).await.unwrap().into_inner().results;
    let accepted = results.into_iter().map(|result| match result.result.unwrap() {
        Item::Accepted(position) => position,
        Item::Error(error) => panic!("refused: {error:?}"),
    });
    accepted.collect()
}

/// A pathway on the topic `orders`.
fn on_orders(nodes: &str) -> String {
    format!("pathway: orders\non: {{ topic: orders, key: input.user }}\nnodes:\n{nodes}")
}

/// A node that tells the user what another has answered.
const TELL: &str = "  tell: { use: notifications.send, needs: [call], with: { notice: { user_id: '${input.user}', title: '${string(nodes.call.body.receipt)}' } } }\n";

async fn start(directory: &TempDir, script: &Script, change: impl FnOnce(&mut Config)) -> Service {
    let with_local = |config: &mut Config| {
        config.outbound.allow = vec!["127.0.0.0/8".to_owned()];
        change(config);
    };
    Service::start_with(directory, script.serve(), with_local).await
}

fn titles(script: &Script) -> Vec<String> {
    script.state().notices.iter().map(|notice| notice.title.clone()).collect()
}

async fn reasons(client: &Client) -> Vec<String> {
    let letters = dead_letters(client).await.into_iter();
    letters.map(|letter| from_item_status(letter.error.unwrap()).reason().to_owned()).collect()
}

#[tokio::test]
async fn a_payment_is_made_once_though_its_batch_runs_again() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let (web, address) = Web::start(&[Act::Answer(200, "", r#"{"receipt": 7}"#)]).await;
    let secret = directory.path().join("secret");
    std::fs::write(&secret, "Bearer hush\n").unwrap();
    // The node after it is away: the batch runs again until it is back, over a restart too.
    script.state().away = Some(("notifications", u32::MAX));
    let change = |config: &mut Config| {
        config.outbound.secrets = BTreeMap::from([("payments".to_owned(), secret.clone())]);
    };
    let service = start(&directory, &script, change).await;
    let nodes = format!(
        "  call: {{ use: http.request, with: {{ url: '{address}/pay', method: post, headers: {{ x-from: '${{input.user}}' }}, secrets: {{ authorization: payments }}, body: {{ amount: '${{input.amount}}' }} }} }}\n{TELL}"
    );
    register(&service.client, &on_orders(&nodes), true).await.unwrap();
    publish_to(&service.client, "orders", json!({"user": "u", "amount": "12.50"})).await;
    web.arrived(1).await;
    service.stop().await;
    script.state().away = None;

    let service = start(&directory, &script, change).await;
    order(&service.client, json!({"user": "v", "amount": "1"})).await;
    while titles(&script).is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(titles(&script).contains(&"7".to_owned()), "{:?}", titles(&script));
    let requests = web.requests();
    let of_u: Vec<&String> = requests.iter().filter(|request| request.contains("x-from: u")).collect();
    assert_eq!(of_u.len(), 1, "{requests:?}");
    for part in ["post /pay", "idempotency-key: ", "authorization: bearer hush", r#"{"amount":"12.50"}"#] {
        assert!(of_u[0].contains(part), "{part} in {}", of_u[0]);
    }
    service.stop().await;
}

#[tokio::test]
async fn a_payment_of_which_nobody_knows_waits_for_a_person() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let (web, address) = Web::start(&[Act::Close, Act::Answer(200, "", r#"{"receipt": 8}"#)]).await;
    let service = start(&directory, &script, |_| ()).await;
    let nodes =
        format!("  call: {{ use: http.request, with: {{ url: '{address}/pay', method: POST }} }}\n{TELL}");
    register(&service.client, &on_orders(&nodes), true).await.unwrap();
    order(&service.client, json!({"user": "u"})).await;
    assert_eq!(reasons(&service.client).await, ["OUTCOME_UNKNOWN"]);
    assert_eq!(web.requests().len(), 1, "it was not made again by itself");
    // The person has looked, and has it made again.
    let letters = dead_letters(&service.client).await.into_iter();
    let items = letters.map(|letter| api::Redrive { id: letter.id, data: None }).collect();
    let request = api::RedriveDeadLettersRequest { items };
    service.client.clone().redrive_dead_letters(request).await.unwrap();
    while titles(&script).is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!((titles(&script), web.requests().len()), (vec!["8".to_owned()], 2));
    service.stop().await;
}

#[tokio::test]
async fn a_call_that_ends_with_the_process_is_waited_for() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let (web, address) = Web::start(&[Act::Hang]).await;
    let service = start(&directory, &script, |_| ()).await;
    let nodes = format!(
        "  call: {{ use: http.request, timeout: 1s, on_unknown: skip, with: {{ url: '{address}', method: POST }} }}\n"
    );
    register(&service.client, &on_orders(&nodes), true).await.unwrap();
    publish_to(&service.client, "orders", json!({"user": "u"})).await;
    web.arrived(1).await;
    service.stop().await;
    let service = start(&directory, &script, |_| ()).await;
    order(&service.client, json!({"user": "u"})).await;
    // The first was passed over, the second was made.
    let nodes: Vec<api::NodeStatus> = executions(&service.client)
        .await
        .iter()
        .flat_map(|e| e.nodes.iter().map(api::NodeRun::status))
        .collect();
    assert_eq!(nodes, [api::NodeStatus::Succeeded, api::NodeStatus::FellBack]);
    assert_eq!(web.requests().len(), 2);
    service.stop().await;
}

#[tokio::test]
async fn a_status_decides_between_now_later_and_never() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let acts = [
        Act::Answer(503, "retry-after: 0\r\n", "{}"),
        Act::Answer(429, "retry-after: 0\r\n", "{}"),
        Act::Answer(200, "", r#"{"receipt": 9}"#),
        Act::Answer(404, "", "{}"),
        Act::Answer(302, "location: http://10.0.0.1/\r\n", "{}"),
        Act::Answer(500, "", "{}"),
    ];
    let (web, address) = Web::start(&acts).await;
    let service = start(&directory, &script, |_| ()).await;
    let nodes =
        format!("  call: {{ use: http.request, with: {{ url: '{address}', method: PATCH }} }}\n{TELL}");
    register(&service.client, &on_orders(&nodes), true).await.unwrap();
    for _ in 0..4 {
        order(&service.client, json!({"user": "u"})).await;
    }
    assert_eq!(titles(&script), ["9"]);
    assert_eq!(reasons(&service.client).await, ["OUTCOME_UNKNOWN", "HTTP_302", "HTTP_404"], "newest first");
    assert_eq!(web.requests().len(), 6);
    service.stop().await;
}

#[tokio::test]
async fn the_inside_is_called_by_nobody() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let (web, address) = Web::start(&[]).await;
    let service = Service::start(&directory, script.serve()).await;
    let nodes = "  call: { use: http.request, with: { url: '${input.url}' } }\n";
    register(&service.client, &on_orders(nodes), true).await.unwrap();
    for url in [address.as_str(), "http://169.254.169.254/latest/meta-data/", "http://localhost:7001/"] {
        order(&service.client, json!({"user": "u", "url": url})).await;
    }
    assert_eq!(reasons(&service.client).await, ["ADDRESS_FORBIDDEN"; 3]);
    assert!(web.requests().is_empty());
    service.stop().await;
}

#[tokio::test]
async fn a_step_publishes_once_though_its_batch_runs_again() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    script.state().away = Some(("notifications", 2));
    let service = start(&directory, &script, |_| ()).await;
    let lines = "pathway: lines\non: { topic: lines, key: input.user }\ninput: { type: object, required: [cents], properties: { user: {}, cents: { type: integer } } }\nnodes:\n  keep: { use: transform, with: { value: '${input.cents}' } }\n";
    register(&service.client, lines, true).await.unwrap();
    let nodes = "  call: { use: publish, for_each: '${input.lines}', with: { topic: lines, data: { user: '${input.user}', cents: '${item}' } } }\n  tell: { use: notifications.send, needs: [call], with: { notice: { user_id: '${input.user}', title: '${string(size(nodes.call))}' } } }\n";
    register(&service.client, &on_orders(nodes), true).await.unwrap();
    order(&service.client, json!({"user": "u", "lines": [1, 2, 3]})).await;
    assert_eq!(titles(&script), ["3"], "the batch ran more than once, for its last node was away");
    // What a topic does not take is refused, and the event says why.
    order(&service.client, json!({"user": "u", "lines": ["many"]})).await;
    assert_eq!(reasons(&service.client).await, ["INVALID_INPUT"]);
    let topics =
        service.client.clone().list_topics(api::ListTopicsRequest::default()).await.unwrap().into_inner();
    let lines = topics.topics.iter().find(|topic| topic.name == "lines").unwrap();
    let events: i64 =
        lines.partitions.iter().map(|partition| partition.next_offset - partition.first_offset).sum();
    assert_eq!(events, 3);
    service.stop().await;
}

#[tokio::test]
async fn a_pathway_is_a_step_of_another() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let service = start(&directory, &script, |_| ()).await;
    let part = "pathway: part\non: { topic: parts, key: input.user }\ninput: { type: object, required: [user], properties: { user: { type: string }, title: {} } }\nnodes:\n  tell: { use: notifications.send, with: { notice: { user_id: '${input.user}', title: '${input.title}' } } }\noutput: { told: '${input.title}' }\n";
    let kept = register(&service.client, part, true).await.unwrap().pathway.unwrap();
    let nodes = format!(
        "  first: {{ use: pathway, with: {{ pathway: part, input: {{ user: '${{input.user}}', title: one }} }} }}\n  second: {{ use: pathway, needs: [first], with: {{ pathway: part, version: '{}', input: {{ user: '${{input.user}}', title: '${{nodes.first.told + \" and two\"}}' }} }} }}\n",
        kept.version
    );
    register(&service.client, &on_orders(&nodes), true).await.unwrap();
    order(&service.client, json!({"user": "u"})).await;
    assert_eq!(titles(&script), ["one", "one and two"]);
    let keys: Vec<String> = script.state().notices.iter().map(|notice| notice.dedup_key.clone()).collect();
    assert!(
        keys[0].ends_with("/orders/first/part/tell") && keys[1].ends_with("/orders/second/part/tell"),
        "{keys:?}"
    );
    // What is wrong inside is the step's failure, and says where.
    order(&service.client, json!({"user": 5})).await;
    let letter = dead_letters(&service.client).await.remove(0);
    assert_eq!(letter.node, "first");
    assert!(letter.error.unwrap().message.starts_with("part: "));
    service.stop().await;
}

#[tokio::test]
async fn a_pathway_that_calls_itself_comes_to_an_end() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let service = start(&directory, &script, |_| ()).await;
    let nodes = "  again: { use: pathway, with: { pathway: orders, input: '${input}' } }\n";
    register(&service.client, &on_orders(nodes), true).await.unwrap();
    order(&service.client, json!({"user": "u"})).await;
    assert_eq!(reasons(&service.client).await, ["TOO_DEEP"]);
    let nodes = "  call: { use: pathway, with: { pathway: nobody, input: '${input}' } }\n";
    register(&service.client, &on_orders(nodes), true).await.unwrap();
    order(&service.client, json!({"user": "u"})).await;
    assert_eq!(reasons(&service.client).await[0], "NOT_ACTIVE");
    service.stop().await;
}

/// A server with notices and all that ours serve beside it; answers its URL.
async fn neighbour(other: &Script) -> String {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let routes = Routes::default().add(NotificationsServiceServer::new(other.clone()));
    tokio::spawn(Server::new(ServerConfig::default(), routes).serve(listener, std::future::pending()));
    address
}

#[tokio::test]
async fn any_method_of_a_server_is_called_by_what_it_says_about_itself() {
    let (directory, script, other) = (tempfile::tempdir().unwrap(), Script::default(), Script::default());
    let address = neighbour(&other).await;
    let service = start(&directory, &script, |config| {
        config.outbound.grpc = BTreeMap::from([("neighbour".to_owned(), address.into())]);
    })
    .await;
    let nodes = "  call: { use: grpc.call, with: { server: neighbour, method: '${input.method}', message: '${input.message}' } }\n  tell: { use: notifications.send, needs: [call], with: { notice: { user_id: '${input.user}', title: '${string(size(nodes.call.results))}' } } }\n";
    register(&service.client, &on_orders(nodes), true).await.unwrap();
    let send = "pathway.notifications.v1.NotificationsService/SendNotices";
    let notice =
        json!({"notices": [{"userId": "n", "dedupKey": "d", "type": "reminder", "metadata": {"a": "b"}}]});
    order(&service.client, json!({"user": "u", "method": send, "message": notice})).await;
    assert_eq!(reasons(&service.client).await, Vec::<String>::new());
    assert_eq!(titles(&script), ["1"]);
    let got = other.state().notices.remove(0);
    assert_eq!((got.user_id.as_str(), got.dedup_key.as_str(), got.metadata["a"].as_str()), ("n", "d", "b"));
    for (method, message, reason) in [
        ("pathway.notifications.v1.NotificationsService/Nothing", json!({}), "UNKNOWN_METHOD"),
        ("pathway.nothing.v1.Nothing/Nothing", json!({}), "UNKNOWN_METHOD"),
        ("pathway.notifications.v1.NotificationsService/WatchNotices", json!({}), "INVALID_INPUT"),
        (send, json!({"notes": 1}), "INVALID_INPUT"),
    ] {
        order(&service.client, json!({"user": "u", "method": method, "message": message})).await;
        assert_eq!(reasons(&service.client).await[0], reason, "{method}");
    }
    service.stop().await;
}

#[tokio::test]
async fn a_server_with_a_descriptor_set_is_not_asked_what_it_serves() {
    let (directory, script, other) = (tempfile::tempdir().unwrap(), Script::default(), Script::default());
    let (address, file) = (neighbour(&other).await, directory.path().join("neighbour.binpb"));
    std::fs::write(&file, pathway_proto::DESCRIPTORS).unwrap();
    let service = start(&directory, &script, |config| {
        config.outbound.grpc = BTreeMap::from([("neighbour".to_owned(), address.into())]);
        config.outbound.descriptors = BTreeMap::from([("neighbour".to_owned(), file)]);
    })
    .await;
    let nodes = "  call: { use: grpc.call, with: { server: neighbour, method: '${input.method}', message: '${input.message}' } }\n";
    register(&service.client, &on_orders(nodes), true).await.unwrap();
    let notice = json!({"notices": [{"userId": "n", "dedupKey": "d", "type": "reminder"}]});
    let send = "pathway.notifications.v1.NotificationsService/SendNotices";
    order(&service.client, json!({"user": "u", "method": send, "message": notice})).await;
    assert_eq!(reasons(&service.client).await, Vec::<String>::new());
    assert_eq!(other.state().notices.remove(0).user_id, "n");
    // It would tell of this one by reflection; the file does not have it.
    let health = json!({"user": "u", "method": "grpc.health.v1.Health/Check", "message": {}});
    order(&service.client, health).await;
    assert_eq!(reasons(&service.client).await, ["UNKNOWN_METHOD"]);
    service.stop().await;
}
