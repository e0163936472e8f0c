//! What may wait, what is told of it, and who follows.

use std::time::Duration;

use pathway_kernel::Code;
use pathway_proto::pathway::processor::v1 as api;
use pathway_rpc::{from_item_status, from_status};

use crate::peers::Script;
use crate::service::{Client, Item, Service, processed, publish, purchase};

fn purchases(user: &str, count: usize) -> Vec<api::Event> {
    (0..count).map(|n| purchase(user, &format!("{user}-{n}"))).collect()
}

async fn topic(client: &Client) -> api::Topic {
    let answer = client.clone().list_topics(api::ListTopicsRequest {}).await.unwrap().into_inner();
    answer.topics.into_iter().find(|topic| topic.name == "transactions").unwrap()
}

#[tokio::test]
async fn a_full_topic_refuses_whole_calls_until_there_is_room() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    script.state().away = Some(("datasync", u32::MAX));
    let service =
        Service::start_with(&directory, script.serve(), |config| config.topics.most_waiting = 10).await;
    let first = publish(&service.client, purchases("u", 8)).await;
    let message = api::PublishRequest {
        topic: "transactions".to_owned(),
        events: purchases("v", 3),
        ..Default::default()
    };
    let fault = from_status(service.client.clone().publish(message.clone()).await.unwrap_err());
    assert_eq!((fault.code(), fault.reason()), (Code::ResourceExhausted, "TOPIC_FULL"));
    assert!(fault.retry_after().is_some_and(|wait| wait >= Duration::from_millis(100)));
    assert_eq!(
        topic(&service.client).await.partitions.iter().map(|p| p.next_offset).sum::<i64>(),
        8,
        "none of it"
    );
    script.state().away = None;
    processed(&service.client, &first).await;
    let accepted = service.client.clone().publish(message).await.unwrap().into_inner();
    assert_eq!(accepted.results.len(), 3);
    service.stop().await;
}

#[tokio::test]
async fn one_users_flood_is_kept_out_and_others_are_let_in() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    script.state().away = Some(("datasync", u32::MAX));
    let service =
        Service::start_with(&directory, script.serve(), |config| config.topics.most_waiting_per_key = 5)
            .await;
    let mut events = purchases("flood", 7);
    events.extend(purchases("calm", 2));
    let results = publish(&service.client, events).await;
    let refused = |item: &Item| match item {
        Item::Accepted(_) => None,
        Item::Error(status) => Some(from_item_status(status.clone())),
    };
    assert!(results[..5].iter().all(|item| refused(item).is_none()));
    for item in &results[5..7] {
        let fault = refused(item).unwrap();
        assert_eq!((fault.reason(), fault.retry_after().is_some()), ("KEY_FULL", true));
    }
    assert!(results[7..].iter().all(|item| refused(item).is_none()));
    script.state().away = None;
    processed(&service.client, &results).await;
    let again = publish(&service.client, purchases("flood", 5)).await;
    assert!(again.iter().all(|item| refused(item).is_none()), "there is room again");
    service.stop().await;
}

#[tokio::test]
async fn a_topic_says_what_it_holds_and_who_is_behind() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    script.state().away = Some(("datasync", u32::MAX));
    let service = Service::start(&directory, script.serve()).await;
    let results = publish(&service.client, purchases("u", 3)).await;
    let found = topic(&service.client).await;
    assert_eq!((found.name.as_str(), found.partitions.len()), ("transactions", 8));
    let group = &found.groups[0];
    assert_eq!((group.group.as_str(), group.lag_events), ("transactions", 3));
    assert!(group.lag_us > 0 && found.partitions.iter().map(|p| p.bytes).sum::<i64>() > 0);
    script.state().away = None;
    processed(&service.client, &results).await;
    let group = topic(&service.client).await.groups.remove(0);
    assert_eq!((group.lag_events, group.lag_us), (0, 0));
    service.stop().await;
}

/// The ids of the next events of a stream, as many as `count`.
async fn ids(stream: &mut tonic::Streaming<api::SubscribeResponse>, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    while ids.len() < count {
        let message = stream.message().await.unwrap().unwrap();
        ids.extend(message.events.into_iter().map(|event| event.event.unwrap().id));
    }
    ids
}

#[tokio::test]
async fn a_topic_is_followed_from_a_place_on() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let service = Service::start(&directory, script.serve()).await;
    let results = publish(&service.client, purchases("u", 3)).await;
    let Item::Accepted(second) = &results[1] else { panic!("{results:?}") };
    let follow = async |request: api::SubscribeRequest| {
        let request = api::SubscribeRequest { topic: "transactions".to_owned(), ..request };
        service.client.clone().subscribe(request).await.unwrap().into_inner()
    };
    let earliest = api::SubscriptionStart::Earliest.into();
    let mut all = follow(api::SubscribeRequest { start: earliest, ..Default::default() }).await;
    let mut rest = follow(api::SubscribeRequest { from: vec![*second], ..Default::default() }).await;
    let mut next = follow(api::SubscribeRequest::default()).await;
    let key = "v".to_owned();
    let mut of_v =
        follow(api::SubscribeRequest { start: earliest, partition_key: key, ..Default::default() }).await;
    let time = api::SubscriptionStart::Time.into();
    let mut late =
        follow(api::SubscribeRequest { start: time, start_time_us: i64::MAX, ..Default::default() }).await;
    publish(&service.client, purchases("v", 1)).await;
    let mut seen = ids(&mut all, 4).await;
    seen.sort();
    assert_eq!(seen, ["u-0", "u-1", "u-2", "v-0"]);
    let mut seen = ids(&mut rest, 3).await;
    seen.sort();
    assert_eq!(seen, ["u-1", "u-2", "v-0"]);
    assert_eq!(ids(&mut next, 1).await, ["v-0"]);
    assert_eq!(ids(&mut of_v, 1).await, ["v-0"]);
    assert_eq!(ids(&mut late, 1).await, ["v-0"]);

    let unknown = api::SubscribeRequest { topic: "nothing".to_owned(), ..Default::default() };
    let fault = from_status(service.client.clone().subscribe(unknown).await.unwrap_err());
    assert_eq!((fault.code(), fault.reason()), (Code::NotFound, "UNKNOWN_TOPIC"));
    service.stop().await;
    while let Some(message) = all.message().await.unwrap() {
        assert!(message.events.is_empty(), "a drain ends the stream");
    }
}
