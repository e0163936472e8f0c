//! Which calls may be repeated, and that those which may not are done once under their `request_id`.

use pathway_kernel::Code;
use pathway_proto::pathway::notifications::v1 as notifications;
use pathway_proto::pathway::processor::v1 as processor;
use pathway_proto::pathway::types::v1::Notice;
use pathway_rpc::from_status;
use prost_reflect::MethodDescriptor;
use prost_reflect::prost::Message;
use prost_reflect::prost_types::method_options::IdempotencyLevel;
use serde_json::json;

use super::services::Services;
use super::walk::path;
use crate::this_month;

const ONE: &str = "0192f0c1-2345-4abc-8def-0123456789ab";
const TWO: &str = "0192f0c1-2345-4abc-8def-0123456789ac";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_rpc_says_whether_it_may_be_repeated_or_takes_a_request_id() {
    let services = Services::start().await;
    for method in services.methods() {
        let takes_id = method.input().get_field_by_name("request_id").is_some();
        assert!(takes_id != is_repeatable(&method), "{}: declare the one or the other", path(&method));
    }
    services.stop().await;
}

fn is_repeatable(method: &MethodDescriptor) -> bool {
    let options = method.method_descriptor_proto().options.clone().unwrap_or_default();
    options.idempotency_level() != IdempotencyLevel::IdempotencyUnknown
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_appended_once_under_one_id() {
    let services = Services::start().await;
    let publish = |id: &str, events: Vec<processor::Event>| {
        let message =
            processor::PublishRequest { topic: "transactions".to_owned(), events, request_id: id.to_owned() };
        let services = &services;
        async move {
            let answer = services
                .call("/pathway.processor.v1.ProcessorService/Publish", message.encode_to_vec())
                .await;
            answer.map(|answer| processor::PublishResponse::decode(&*answer).unwrap()).map_err(from_status)
        }
    };
    // The refused one is answered as before, too.
    let events = || vec![event("a"), processor::Event::default(), event("b")];
    let first = publish(ONE, events()).await.unwrap();
    assert_eq!(first.results.len(), 3);
    assert_eq!(publish(ONE, events()).await.unwrap(), first);
    assert_eq!(publish(&ONE.to_uppercase(), events()).await.unwrap(), first);
    let other = publish(TWO, events()).await.unwrap();
    assert_ne!(other.results[0], first.results[0], "another call");

    let reused = publish(ONE, vec![event("a")]).await.unwrap_err();
    assert_eq!((reused.code(), reused.reason()), (Code::AlreadyExists, "REQUEST_ID_REUSED"));
    let strange = publish("17", events()).await.unwrap_err();
    assert_eq!(strange.violations()[0].field, "request_id");
    // Nothing was done, so nothing was kept: the id is still free.
    let third = "0192f0c1-2345-4abc-8def-0123456789ad";
    publish(third, vec![processor::Event::default()]).await.unwrap();
    assert!(publish(third, vec![event("c")]).await.is_ok());
    services.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_begins_once_under_one_id() {
    let services = Services::start().await;
    let replay = |id: &str| {
        let message = processor::ReplayTopicRequest {
            pathway: "transactions".to_owned(),
            request_id: id.to_owned(),
            ..Default::default()
        };
        let services = &services;
        async move {
            let path = "/pathway.processor.v1.ProcessorService/ReplayTopic";
            let answer = services.call(path, message.encode_to_vec()).await.unwrap();
            processor::ReplayTopicResponse::decode(&*answer).unwrap().replay.unwrap().id
        }
    };
    let first = replay(ONE).await;
    assert_eq!(replay(ONE).await, first);
    assert_ne!(replay("").await, first);
    services.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_after_a_mark_stays_unread_when_the_mark_is_repeated() {
    let services = Services::start().await;
    let mark = || notifications::MarkAllReadRequest {
        user_id: "u".to_owned(),
        request_id: ONE.to_owned(),
        ..Default::default()
    };
    let send = |key: &str| notifications::SendNoticesRequest {
        notices: vec![Notice {
            user_id: "u".to_owned(),
            dedup_key: key.to_owned(),
            r#type: "reminder".to_owned(),
            ..Default::default()
        }],
    };
    let call = |method: &'static str, message: Vec<u8>| {
        let path = format!("/pathway.notifications.v1.NotificationsService/{method}");
        let services = &services;
        async move { services.call(&path, message).await.unwrap() }
    };
    call("SendNotices", send("a").encode_to_vec()).await;
    let first = call("MarkAllRead", mark().encode_to_vec()).await;
    call("SendNotices", send("b").encode_to_vec()).await;
    assert_eq!(call("MarkAllRead", mark().encode_to_vec()).await, first);
    let list = notifications::ListNoticesRequest { user_id: "u".to_owned(), ..Default::default() };
    let listed = call("ListNotices", list.encode_to_vec()).await;
    assert_eq!(notifications::ListNoticesResponse::decode(&*listed).unwrap().unread, 1);
    services.stop().await;
}

fn event(id: &str) -> processor::Event {
    let data = json!({"id": id, "user_id": "u", "amount": "1.00", "category": "dining",
        "transaction_date": this_month()});
    processor::Event { data: data.to_string().into_bytes(), ..Default::default() }
}
