//! What is accepted, and what is said of what is not.

use pathway_kernel::Code;
use pathway_proto::pathway::processor::v1 as api;
use pathway_rpc::{from_item_status, from_status};

use crate::peers::Script;
use crate::service::{Item, Service, event, positions, processed, publish, purchase};

#[tokio::test]
async fn a_bad_event_is_refused_with_every_violation_and_its_neighbours_are_accepted() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let service = Service::start(&directory, script.serve()).await;
    let results = publish(
        &service.client,
        vec![
            purchase("u", "1"),
            event(r#"{"id":"2","amount":1e999,"category":7,"transaction_date":"2026-02-30"}"#),
            event("{\"id\":\"3\",\"user_id\":\"a\\u0000b\",\"deleted\":true}"),
            event("not json"),
            api::Event {
                id: "x".repeat(1_025),
                ..event(r#"{"id":"6","user_id":"u","amount":"much","currency":"XX"}"#)
            },
            event(r#"{"id":"7","user_id":"u","amount":1,"amount":2}"#),
            purchase("u", "4"),
        ],
    )
    .await;
    let fields: Vec<Vec<String>> = results
        .iter()
        .map(|result| match result {
            Item::Accepted(_) => Vec::new(),
            Item::Error(status) => {
                let fault = from_item_status(status.clone());
                let mut fields: Vec<String> =
                    fault.violations().iter().map(|violation| violation.field.clone()).collect();
                fields.sort();
                fields
            }
        })
        .collect();
    let all = ["amount", "category", "transaction_date", "user_id"].map(str::to_owned).to_vec();
    let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>();
    let at_once = texts(&["amount", "category", "currency", "id", "transaction_date"]);
    let expected = [vec![], all, texts(&["user_id"]), texts(&["data"]), at_once, texts(&["data"]), vec![]];
    assert_eq!(fields, expected);
    processed(&service.client, &results).await;
    let keys: Vec<String> = script
        .state()
        .writes
        .iter()
        .flatten()
        .map(|write| write.record.clone().unwrap().identity.unwrap().key)
        .collect();
    assert_eq!(keys, ["1", "4"]);
    service.stop().await;
}

#[tokio::test]
async fn calls_that_name_nothing_are_refused() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let service = Service::start(&directory, script.serve()).await;
    let mut client = service.client.clone();
    let unknown = api::PublishRequest {
        topic: "moon".to_owned(),
        events: vec![purchase("u", "1")],
        ..Default::default()
    };
    assert_eq!(from_status(client.publish(unknown).await.unwrap_err()).code(), Code::NotFound);
    let many = vec![purchase("u", "1"); 4097];
    let many = api::PublishRequest { topic: "transactions".to_owned(), events: many, ..Default::default() };
    assert_eq!(from_status(client.publish(many).await.unwrap_err()).code(), Code::InvalidArgument);
    let elsewhere = api::AwaitProcessedRequest {
        topic: "transactions".to_owned(),
        positions: vec![api::EventPosition { partition: 99, offset: 0 }],
    };
    assert_eq!(
        from_status(client.await_processed(elsewhere).await.unwrap_err()).code(),
        Code::InvalidArgument
    );
    let strange = api::ListExecutionsRequest {
        page_token: "x".to_owned(),
        page_size: -1,
        ..api::ListExecutionsRequest::default()
    };
    let fault = from_status(client.list_executions(strange).await.unwrap_err());
    assert_eq!(fault.violations().len(), 2);
    service.stop().await;
}

#[tokio::test]
async fn events_of_one_user_stay_in_order_in_one_partition() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let service = Service::start(&directory, script.serve()).await;
    let results =
        publish(&service.client, (0..50).map(|n| purchase(&format!("u{}", n % 5), &n.to_string())).collect())
            .await;
    processed(&service.client, &results).await;
    let positions = positions(&results);
    for user in 0..5 {
        let own: Vec<api::EventPosition> = positions.iter().skip(user).step_by(5).copied().collect();
        assert!(
            own.windows(2)
                .all(|pair| pair[0].partition == pair[1].partition && pair[0].offset < pair[1].offset)
        );
    }
    service.stop().await;
}
