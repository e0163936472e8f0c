//! The pathway `notifications`: the predecessor's events, unchanged.

use std::time::Duration;

use pathway_proto::pathway::processor::v1 as api;
use serde_json::json;
use tonic::Request;

use crate::peers::Script;
use crate::service::{Item, Service, event, positions};

async fn tell(service: &Service, data: &serde_json::Value) -> Item {
    let message = api::PublishRequest {
        topic: "notifications".to_owned(),
        events: vec![event(&data.to_string())],
        ..Default::default()
    };
    let answer = service.client.clone().publish(message).await.unwrap().into_inner();
    answer.results.into_iter().next().unwrap().result.unwrap()
}

#[tokio::test]
async fn the_predecessors_events_become_notices() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let service = Service::start(&directory, script.serve()).await;
    for kind in [
        "budget_warning",
        "budget_exceeded",
        "transaction_alert",
        "document_ready",
        "system_alert",
        "reminder",
    ] {
        let whole = json!({
            "user_id": "u", "type": kind, "title": "Title", "message": "Message", "channel": "in-app",
            "metadata": {"category": "dining", "percent": 80, "nested": {"a": [1]}},
        });
        let bare =
            json!({"user_id": "u", "type": kind, "title": null, "channel": "pigeon", "metadata": null});
        for data in [whole, bare] {
            let positions = positions(&[tell(&service, &data).await]);
            let mut request =
                Request::new(api::AwaitProcessedRequest { topic: "notifications".to_owned(), positions });
            request.set_timeout(Duration::from_secs(60));
            service.client.clone().await_processed(request).await.unwrap();
        }
    }
    let notices = script.state().notices.clone();
    assert_eq!(notices.len(), 12);
    let (whole, bare) = (&notices[0], &notices[1]);
    assert_eq!(
        (whole.title.as_str(), whole.message.as_str(), whole.channel.as_str()),
        ("Title", "Message", "in_app")
    );
    assert_eq!(
        (whole.metadata["percent"].as_str(), whole.metadata["nested"].as_str()),
        ("80", r#"{"a":[1]}"#)
    );
    assert_eq!((bare.title.as_str(), bare.channel.as_str(), bare.metadata.len()), ("", "", 0));
    assert_ne!(whole.dedup_key, bare.dedup_key, "two events without an id are two");
    service.stop().await;
}

#[tokio::test]
async fn an_event_that_nobody_could_be_told_is_refused_with_every_violation() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let service = Service::start(&directory, script.serve()).await;
    let refused = tell(&service, &json!({"user_id": "", "type": "Budget Warning", "metadata": 3})).await;
    let Item::Error(error) = refused else { panic!("it is refused") };
    let fault = pathway_rpc::from_item_status(error);
    let mut fields: Vec<&str> = fault.violations().iter().map(|violation| violation.field.as_str()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["metadata", "type", "user_id"]);
    service.stop().await;
}
