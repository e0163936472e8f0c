//! What comes again and again, found and told as time goes by.

use std::time::Duration;

use pathway_kernel::ManualClock;
use pathway_proto::pathway::analytics::v1 as api;
use pathway_proto::pathway::types::v1::{Origin, RecordChange};

use crate::service::{Client, NOW, Service, apply, change, date};

const DAY_US: i64 = 86_400_000_000;

fn netflix(record: u128, amount: &str, day: &str, origin: Origin) -> RecordChange {
    let mut change = change("u", record, amount, origin);
    let after = change.after.as_mut().unwrap();
    after.merchant = format!("NETFLIX.COM {record}");
    after.date = Some(date(day));
    change
}

async fn series(client: &Client) -> Vec<api::RecurringSeries> {
    let request =
        api::ListRecurringRequest { user_id: "u".to_owned(), ..api::ListRecurringRequest::default() };
    client.clone().list_recurring(request).await.unwrap().into_inner().series
}

/// The keys of what was told, newest first.
async fn told(client: &Client) -> Vec<String> {
    let request = api::ListInsightsRequest { user_id: "u".to_owned(), ..api::ListInsightsRequest::default() };
    let insights = client.clone().list_insights(request).await.unwrap().into_inner().insights;
    insights.into_iter().map(|insight| insight.key).collect()
}

/// Waits until something holds; the test runner's deadline ends it.
async fn until(holds: impl AsyncFn() -> bool) {
    while !holds().await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_missed_payment_and_another_price_are_told_once() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), ManualClock::at(NOW));
    let service = Service::at(&directory, &clock).await;
    let client = &service.client;
    let history = [(1, "2026-08-20"), (2, "2026-09-20"), (3, "2026-10-20")];
    let history = history.map(|(record, day)| netflix(record, "9.99", day, Origin::History));
    apply(client, history.to_vec()).await;
    until(async || !series(client).await.is_empty()).await;
    let found = series(client).await.remove(0);
    assert_eq!((found.payee.as_str(), found.cadence(), found.count), ("netflix com", api::Cadence::Month, 3));
    assert_eq!((found.next_date, found.is_fixed), (Some(date("2026-11-20")), true));
    assert!(told(client).await.is_empty(), "history tells nothing (G24)");

    apply(client, vec![netflix(4, "12.99", "2026-11-21", Origin::Live)]).await;
    let price = format!("price_changed:USD:netflix com:{}", uuid::Uuid::from_u128(4));
    until(async || told(client).await == [price.clone()]).await;

    // Expected on 2026-12-21, late until the 27th.
    clock.set(NOW + 34 * DAY_US);
    let missed = "recurring_missed:USD:1:netflix com:2026-12-21".to_owned();
    until(async || told(client).await == [missed.clone(), price.clone()]).await;
    let explain = api::ExplainRequest {
        user_id: "u".to_owned(),
        insight_key: missed.clone(),
        ..api::ExplainRequest::default()
    };
    let explained = client.clone().explain(explain).await.unwrap().into_inner();
    assert_eq!((explained.lines.len(), explained.lines[0].merchant.as_str()), (4, "NETFLIX.COM 4"));
    service.stop().await;

    let service = Service::at(&directory, &clock).await;
    let client = &service.client;
    apply(client, vec![netflix(5, "9.99", "2026-12-28", Origin::Live)]).await;
    until(async || series(client).await.iter().all(|series| series.count == 5)).await;
    assert_eq!(told(client).await, [missed, price], "each once, also after a restart");
    service.stop().await;
}
