//! What users were told: kept, listed, explained, and what they make of it.

use pathway_kernel::Fault;
use pathway_proto::pathway::analytics::v1 as api;
use pathway_proto::pathway::types::v1::{Origin, RecordChange};
use pathway_rpc::from_status;

use crate::service::{Client, Service, apply, change, date, net, set_budget, told};

/// A purchase of `user` for dining at a place.
fn purchase(user: &str, record: u128, amount: &str, merchant: &str) -> RecordChange {
    let mut change = change(user, record, amount, Origin::Live);
    change.after.as_mut().unwrap().merchant = merchant.to_owned();
    change
}

/// Ten purchases that do not stand out.
async fn habit(client: &Client, user: &str, first: u128) {
    let usual = (0..10).map(|at| purchase(user, first + at, &format!("10.{at}0"), "Cafe"));
    apply(client, usual.collect()).await;
}

async fn list(client: &Client, request: api::ListInsightsRequest) -> api::ListInsightsResponse {
    client.clone().list_insights(request).await.unwrap().into_inner()
}

fn of(user: &str) -> api::ListInsightsRequest {
    api::ListInsightsRequest { user_id: user.to_owned(), ..api::ListInsightsRequest::default() }
}

async fn say(client: &Client, key: &str, feedback: api::InsightFeedback) -> Result<api::Insight, Fault> {
    let request = api::SetInsightFeedbackRequest {
        user_id: "u".to_owned(),
        key: key.to_owned(),
        feedback: feedback.into(),
    };
    let answer = client.clone().set_insight_feedback(request).await.map_err(from_status)?;
    Ok(answer.into_inner().insight.unwrap())
}

fn keys(insights: &[api::Insight]) -> Vec<&str> {
    insights.iter().map(|insight| insight.key.as_str()).collect()
}

#[tokio::test]
async fn insights_are_listed_by_type_day_and_state_in_pages() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::alone(&directory).await;
    let client = &service.client;
    set_budget(client, "u", "100.00").await;
    habit(client, "u", 1).await;
    apply(client, vec![purchase("u", 20, "95.00", "Cafe")]).await;
    apply(client, vec![purchase("v", 30, "95.00", "Cafe")]).await;

    let all = list(client, of("u")).await.insights;
    let types: Vec<&str> = all.iter().map(|insight| insight.r#type.as_str()).collect();
    assert_eq!(
        types,
        ["budget_warning", "budget_exceeded", "transaction_alert"],
        "newest first, of one user"
    );
    let alert = all.iter().find(|insight| insight.r#type == "transaction_alert").unwrap();
    assert_eq!(alert.metadata["detector"], "z-score");
    assert_eq!(alert.line_ids, [uuid::Uuid::from_u128(20).to_string()]);
    assert_eq!(alert.date, Some(date("2026-11-20")));
    assert_eq!(alert.state(), api::InsightState::Open);

    let alerts = api::ListInsightsRequest { r#type: "transaction_alert".to_owned(), ..of("u") };
    assert_eq!(keys(&list(client, alerts).await.insights), [alert.key.as_str()]);
    let earlier = api::ListInsightsRequest { end: Some(date("2026-11-02")), ..of("u") };
    assert_eq!(list(client, earlier).await.insights.len(), 2, "a budget's insight is about its period");

    let mut page = api::ListInsightsRequest { page_size: 2, ..of("u") };
    let first = list(client, page.clone()).await;
    page.page_token = first.next_page_token;
    let second = list(client, page.clone()).await;
    let paged: Vec<api::Insight> = first.insights.into_iter().chain(second.insights).collect();
    assert_eq!((paged, second.next_page_token.as_str()), (all, ""));
    page.user_id = "v".to_owned();
    let fault = from_status(client.clone().list_insights(page).await.unwrap_err());
    assert_eq!(fault.violations()[0].field, "page_token");
    service.stop().await;
}

#[tokio::test]
async fn g26_what_is_expected_is_not_reported_again_until_that_is_taken_back() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::alone(&directory).await;
    let client = &service.client;
    habit(client, "u", 1).await;
    let first = purchase("u", 20, "50.00", "Steakhouse");
    assert_eq!(told(&apply(client, vec![first.clone()]).await[0]), ["transaction_alert"]);
    let key = format!("anomaly:{}", uuid::Uuid::from_u128(20));
    let insight = say(client, &key, api::InsightFeedback::Expected).await.unwrap();
    assert_eq!(insight.state(), api::InsightState::Expected);

    let again = apply(client, vec![first, purchase("u", 21, "54.00", "STEAKHOUSE 0815")]).await;
    assert_eq!(told(&again[0]), ["transaction_alert"], "a redelivery gets the same answer");
    assert!(told(&again[1]).is_empty(), "the same place at this level");
    let other = apply(client, vec![purchase("u", 22, "90.00", "Bar")]).await;
    assert_eq!(told(&other[0]), ["transaction_alert"], "another place");
    let expected = api::ListInsightsRequest { state: api::InsightState::Expected.into(), ..of("u") };
    assert_eq!(keys(&list(client, expected).await.insights), [key.as_str()], "what was said stays");

    service.stop().await;
    let service = Service::alone(&directory).await;
    let client = &service.client;
    let again = apply(client, vec![purchase("u", 23, "51.00", "Steakhouse")]).await;
    assert!(told(&again[0]).is_empty(), "also after a restart");
    say(client, &key, api::InsightFeedback::Unspecified).await.unwrap();
    let unknown = say(client, "nothing", api::InsightFeedback::Dismiss).await.unwrap_err();
    assert_eq!(unknown.reason(), "UNKNOWN_INSIGHT");
    let again = apply(client, vec![purchase("u", 24, "160.00", "Steakhouse")]).await;
    assert_eq!(told(&again[0]), ["transaction_alert"]);
    service.stop().await;
}

#[tokio::test]
async fn an_insight_is_explained_by_its_lines_rule_and_revision() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::alone(&directory).await;
    let client = &service.client;
    set_budget(client, "u", "200.00").await;
    set_budget(client, "u", "100.00").await;
    habit(client, "u", 1).await;
    apply(client, vec![purchase("u", 20, "95.00", "Cafe")]).await;
    let explain = |key: &str| api::ExplainRequest {
        user_id: "u".to_owned(),
        insight_key: key.to_owned(),
        page_size: 4,
        ..api::ExplainRequest::default()
    };
    let budget = "budget:dining:2:2026-11-01:80";
    let page = client.clone().explain(explain(budget)).await.unwrap().into_inner();
    assert_eq!(net(page.totals.as_ref()), ("199.50".to_owned(), 11));
    assert_eq!(page.insight.as_ref().unwrap().budget_revision, 2);
    assert!(page.rule.contains("threshold of 80") && page.rule.contains("revision 2"), "{}", page.rule);
    assert_eq!(page.lines.len(), 4);
    let next = api::ExplainRequest { page_token: page.next_page_token, ..explain(budget) };
    assert_eq!(client.clone().explain(next).await.unwrap().into_inner().lines.len(), 4);

    let alert = explain(&format!("anomaly:{}", uuid::Uuid::from_u128(20)));
    let page = client.clone().explain(alert.clone()).await.unwrap().into_inner();
    assert_eq!(page.lines[0].record_id, uuid::Uuid::from_u128(20).to_string());
    assert_eq!(
        (page.lines.len(), net(page.totals.as_ref()).0),
        (11, "199.50".to_owned()),
        "with its baseline"
    );
    assert!(page.rule.contains("z-score"), "{}", page.rule);

    let both = api::ExplainRequest { start: Some(date("2026-11-01")), ..alert };
    let fault = from_status(client.clone().explain(both).await.unwrap_err());
    assert_eq!(fault.violations()[0].field, "start");
    let nobodys = api::ExplainRequest { user_id: "v".to_owned(), ..explain(budget) };
    let fault = from_status(client.clone().explain(nobodys).await.unwrap_err());
    assert_eq!(fault.reason(), "UNKNOWN_INSIGHT");
    service.stop().await;
}

#[tokio::test]
async fn g26_the_robust_detector_sees_what_the_mean_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::alone(&directory).await;
    let client = &service.client;
    let dated = |record: u128, amount: &str, day: &str| {
        let mut change = purchase("u", record, amount, "Cafe");
        change.after.as_mut().unwrap().date = Some(date(day));
        change
    };
    let habit = [
        dated(1, "20.00", "2026-09-02"),
        dated(2, "22.00", "2026-09-20"),
        dated(3, "21.00", "2026-10-05"),
        dated(4, "19.00", "2026-10-21"),
        dated(5, "20.50", "2026-11-03"),
    ];
    apply(client, habit.to_vec()).await;
    let refund = dated(6, "-90.00", "2026-11-20");
    assert!(told(&apply(client, vec![refund]).await[0]).is_empty(), "a refund");
    let few = apply(client, vec![dated(7, "90.00", "2026-11-20")]).await;
    assert_eq!(told(&few[0]), ["transaction_alert"], "five lines in three months are enough");
    let insight = list(client, of("u")).await.insights.remove(0);
    for (key, value) in [
        ("detector", "robust"),
        ("detectors", "robust"),
        ("baseline", "20.50"),
        ("count", "5"),
        ("factor", "4.3"),
    ] {
        assert_eq!(insight.metadata[key], value, "{key}");
    }
    assert!(insight.message.contains("the median of the last 5 purchases"), "{}", insight.message);
    service.stop().await;
}
