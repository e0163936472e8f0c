//! The pathway `analytics`: the predecessor's events, unchanged.

use std::time::Duration;

use pathway_proto::pathway::analytics::v1::analytics_event::Event;
use pathway_proto::pathway::processor::v1 as api;
use serde_json::{Value, json};
use tonic::Request;

use crate::peers::Script;
use crate::service::{Item, Service, event, positions};

async fn publish(service: &Service, data: &Value) -> Item {
    let events = vec![event(&data.to_string())];
    let message =
        api::PublishRequest { topic: "analytics".to_owned(), events, ..api::PublishRequest::default() };
    let answer = service.client.clone().publish(message).await.unwrap().into_inner();
    answer.results.into_iter().next().unwrap().result.unwrap()
}

#[tokio::test]
async fn each_of_the_predecessors_events_goes_where_it_belongs() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let service = Service::start(&directory, script.serve()).await;
    let transaction =
        json!({"id": "t-1", "amount": 12.5, "category": "Dining", "transaction_date": "2026-11-03"});
    let events = [
        ("transaction_added", transaction),
        ("budget_updated", json!({"category": "Dining", "amount": 150, "period": "monthly"})),
        ("category_spending", json!({"category": "Dining", "total": 12.5, "period": "2026-11"})),
        ("savings_goal", json!({"name": "Goa trip", "target_amount": 1000, "current_amount": 250})),
        ("monthly_summary", json!({"month": "2026-11", "total_income": 3000, "total_expenses": 12.5})),
    ];
    for (kind, data) in events {
        let told = publish(&service, &json!({"user_id": "u", "event_type": kind, "data": data})).await;
        let positions = positions(&[told]);
        let mut request =
            Request::new(api::AwaitProcessedRequest { topic: "analytics".to_owned(), positions });
        request.set_timeout(Duration::from_secs(60));
        service.client.clone().await_processed(request).await.unwrap();
    }
    service.stop().await;
    let state = script.state();
    let written: Vec<_> = state.writes.iter().flatten().filter_map(|write| write.record.clone()).collect();
    assert_eq!(
        (written.len(), written[0].user_id.as_str(), written[0].category.as_str()),
        (1, "u", "dining")
    );
    assert_eq!((state.changes.len(), state.notices.len()), (1, 1), "it goes the way of a transaction");
    assert!(state.events.iter().all(|event| event.user_id == "u"));
    let said: Vec<&Event> = state.events.iter().filter_map(|event| event.event.as_ref()).collect();
    let [Event::Limits(limits), Event::Figure(spending), Event::Goal(goal), Event::Figure(summary)] =
        said[..]
    else {
        panic!("{said:?}")
    };
    assert_eq!((limits.limits[0].category.as_str(), limits.period.as_str()), ("Dining", "month"));
    assert_eq!((spending.category.as_deref(), spending.spent.as_ref().unwrap().units), (Some("Dining"), 12));
    assert_eq!((goal.title.as_str(), goal.saved.as_ref().unwrap().units), ("Goa trip", 250));
    assert_eq!((&summary.category, summary.income.as_ref().unwrap().units), (&None, 3000));
}

#[tokio::test]
async fn an_event_that_says_nothing_is_refused_with_every_violation() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let service = Service::start(&directory, script.serve()).await;
    let wrong = [
        (
            json!({"user_id": "", "event_type": "moon_phase", "data": 3}),
            vec!["data", "event_type", "user_id"],
        ),
        (
            json!({"user_id": "u", "event_type": "savings_goal", "data": {"target": -1, "deadline": "soon"}}),
            vec!["data.deadline", "data.goal", "data.target"],
        ),
        (
            json!({"user_id": "u", "event_type": "transaction_added", "data": {"id": "1", "amount": "x"}}),
            vec!["data.amount", "data.category", "data.transaction_date"],
        ),
    ];
    for (data, expected) in wrong {
        let Item::Error(error) = publish(&service, &data).await else { panic!("it is refused: {data}") };
        let fault = pathway_rpc::from_item_status(error);
        let mut fields: Vec<&str> =
            fault.violations().iter().map(|violation| violation.field.as_str()).collect();
        fields.sort_unstable();
        assert_eq!(fields, expected);
    }
    service.stop().await;
}
