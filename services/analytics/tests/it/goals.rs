//! What users save for.

use pathway_proto::pathway::analytics::v1 as api;
use pathway_proto::pathway::types::v1::{LineKind, Origin, RecordChange};
use pathway_rpc::{from_money, from_status, to_money};
use tonic::Code;

use crate::service::{Client, Service, apply, change, date, spending, usd};

const ONE: &str = "0192f0c1-2345-4abc-8def-0123456789ab";

fn goa() -> api::SetGoalRequest {
    api::SetGoalRequest {
        user_id: "u".to_owned(),
        title: "Goa trip".to_owned(),
        target: Some(to_money(usd("1000.00"))),
        initial: Some(to_money(usd("100.00"))),
        account: "pot".to_owned(),
        start: Some(date("2026-11-01")),
        ..api::SetGoalRequest::default()
    }
}

async fn set(client: &Client, request: api::SetGoalRequest) -> api::Goal {
    client.clone().set_goal(request).await.unwrap().into_inner().goal.unwrap()
}

async fn get(client: &Client) -> api::Goal {
    let request = api::GetGoalRequest { user_id: "u".to_owned(), goal: "goa_trip".to_owned() };
    client.clone().get_goal(request).await.unwrap().into_inner().goal.unwrap()
}

fn decimal(money: Option<&pathway_proto::google::r#type::Money>) -> String {
    from_money(money).unwrap().to_decimal_string()
}

/// A transfer into the goal's account.
fn into_pot(record: u128, amount: &str, origin: Origin) -> RecordChange {
    let mut change = change("u", record, &format!("-{amount}"), origin);
    let after = change.after.as_mut().unwrap();
    after.kind = LineKind::Transfer.into();
    after.account = "pot".to_owned();
    after.merchant = format!("Bank {record}");
    change
}

/// The milestones that were told of, newest first.
async fn told(client: &Client) -> Vec<String> {
    let request = api::ListInsightsRequest {
        user_id: "u".to_owned(),
        r#type: "goal_milestone".to_owned(),
        ..api::ListInsightsRequest::default()
    };
    let insights = client.clone().list_insights(request).await.unwrap().into_inner().insights;
    insights.into_iter().map(|insight| insight.metadata["milestone"].clone()).collect()
}

#[tokio::test]
async fn g28_progress_is_initial_linked_and_contributed() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::alone(&directory).await;
    let client = &service.client;
    apply(client, vec![into_pot(1, "150.00", Origin::Live)]).await;
    let made = set(client, goa()).await;
    assert_eq!(
        (made.goal.as_str(), made.source(), made.percent),
        ("goa_trip", api::GoalSource::Transfers, 25)
    );
    assert_eq!(made.reached, [25], "what was there counts as told");
    assert!(told(client).await.is_empty());

    let answer = apply(client, vec![into_pot(2, "260.00", Origin::Live)]).await;
    assert!(crate::service::told(&answer[0]).is_empty(), "the outbox brings it, not the answer");
    let add = api::AddContributionRequest {
        user_id: "u".to_owned(),
        goal: "Goa trip".to_owned(),
        amount: Some(to_money(usd("300.00"))),
        date: Some(date("2026-11-23")),
        note: "cash".to_owned(),
        request_id: ONE.to_owned(),
    };
    for _ in 0..2 {
        let added = client.clone().add_contribution(add.clone()).await.unwrap().into_inner();
        assert_eq!(added.contribution.unwrap().contribution_id, ONE);
        let goal = added.goal.unwrap();
        assert_eq!((decimal(goal.saved.as_ref()).as_str(), goal.percent), ("810.00", 81));
    }
    assert_eq!(told(client).await, ["75", "50"]);
    let goal = get(client).await;
    let parts = [&goal.initial, &goal.linked, &goal.contributed, &goal.remaining];
    assert_eq!(parts.map(|part| decimal(part.as_ref())), ["100.00", "410.00", "300.00", "190.00"]);
    let spent = spending(client, "u").await;
    assert_eq!(spent.total.unwrap().count, 0, "nothing of it is an expense");

    let mut list = api::ListContributionsRequest {
        user_id: "u".to_owned(),
        goal: "goa_trip".to_owned(),
        page_size: 2,
        page_token: String::new(),
    };
    let first = client.clone().list_contributions(list.clone()).await.unwrap().into_inner();
    list.page_token.clone_from(&first.next_page_token);
    let rest = client.clone().list_contributions(list).await.unwrap().into_inner();
    assert!(rest.next_page_token.is_empty());
    let all = first.contributions.into_iter().chain(rest.contributions);
    let shown = all.map(|part| (decimal(part.amount.as_ref()), part.text, part.record_id.is_empty()));
    let expected = [("300.00", "cash", true), ("260.00", "Bank 2", false), ("150.00", "Bank 1", false)];
    let expected = expected.map(|(amount, text, by_hand)| (amount.to_owned(), text.to_owned(), by_hand));
    assert_eq!(shown.collect::<Vec<_>>(), expected);

    let explain = api::ExplainRequest {
        user_id: "u".to_owned(),
        insight_key: "goal:goa_trip:1:USD:100000:75".to_owned(),
        ..api::ExplainRequest::default()
    };
    let explained = client.clone().explain(explain).await.unwrap().into_inner();
    assert!(explained.rule.contains("milestone of 75"), "{}", explained.rule);
    service.stop().await;
}

#[tokio::test]
async fn g28_corrections_move_progress_and_tell_nothing_twice() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::alone(&directory).await;
    let client = &service.client;
    set(client, api::SetGoalRequest { deadline: Some(date("2027-01-31")), ..goa() }).await;
    apply(client, vec![into_pot(1, "450.00", Origin::Live)]).await;
    let mut gone = into_pot(1, "450.00", Origin::Live);
    let after = gone.after.as_mut().unwrap();
    (after.deleted, after.version) = (true, 2);
    apply(client, vec![gone]).await;
    let goal = get(client).await;
    assert_eq!((goal.percent, goal.reached), (10, vec![25, 50]));
    assert_eq!(decimal(goal.monthly_need.as_ref()), "300.00", "900.00 in three months");
    apply(client, vec![into_pot(2, "500.00", Origin::Live), into_pot(3, "500.00", Origin::History)]).await;
    assert_eq!(told(client).await, ["50"]);
    assert_eq!(get(client).await.reached, [25, 50, 75, 100], "history marks and tells nothing (G24)");

    let remove = api::RemoveGoalRequest { user_id: "u".to_owned(), goal: "goa_trip".to_owned() };
    client.clone().remove_goal(remove).await.unwrap();
    let request = api::GetGoalRequest { user_id: "u".to_owned(), goal: "goa_trip".to_owned() };
    let fault = from_status(client.clone().get_goal(request).await.unwrap_err());
    assert_eq!(fault.reason(), "UNKNOWN_GOAL");
    service.stop().await;
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_goal_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::alone(&directory).await;
    let client = &service.client;
    let wrong = api::SetGoalRequest {
        user_id: String::new(),
        title: "!!".to_owned(),
        target: Some(to_money(usd("0.00"))),
        source: 9,
        milestones: vec![0, 50],
        deadline: Some(pathway_proto::google::r#type::Date { year: 2026, month: 2, day: 30 }),
        ..api::SetGoalRequest::default()
    };
    let fault = from_status(client.clone().set_goal(wrong).await.unwrap_err());
    let fields: Vec<&str> = fault.violations().iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["user_id", "title", "target", "source", "deadline", "milestones"]);
    let idle = api::SetGoalRequest { account: String::new(), source: 2, ..goa() };
    let status = client.clone().set_goal(idle).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    for title in ["a", "b", "c"] {
        set(client, api::SetGoalRequest { title: title.to_owned(), ..goa() }).await;
    }
    let mut list = api::ListGoalsRequest { user_id: "u".to_owned(), page_size: 2, page_token: String::new() };
    let first = client.clone().list_goals(list.clone()).await.unwrap().into_inner();
    list.page_token.clone_from(&first.next_page_token);
    let rest = client.clone().list_goals(list).await.unwrap().into_inner();
    let names: Vec<String> = first.goals.into_iter().chain(rest.goals).map(|goal| goal.goal).collect();
    assert_eq!((names.join(""), rest.next_page_token.as_str()), ("abc".to_owned(), ""));
    service.stop().await;
}
