//! What another system says about users' figures.

use api::analytics_event::Event;
use api::record_event_result::Result as Item;
use api::recorded_event::Recorded;
use pathway_proto::pathway::analytics::v1 as api;
use pathway_proto::pathway::types::v1::Origin;
use pathway_rpc::{from_item_status, to_money};

use crate::service::{Client, Service, apply, change, date, set_budget, usd};

async fn record(client: &Client, events: Vec<(&str, Event)>) -> Vec<Item> {
    let event =
        |(user, event): (&str, Event)| api::AnalyticsEvent { user_id: user.to_owned(), event: Some(event) };
    let events = events.into_iter().map(event).collect();
    let answer = client.clone().record_events(api::RecordEventsRequest { events }).await.unwrap();
    answer.into_inner().results.into_iter().map(|result| result.result.unwrap()).collect()
}

fn goal(target: &str, saved: &str) -> Event {
    Event::Goal(api::StatedGoal {
        title: "Goa".to_owned(),
        target: Some(to_money(usd(target))),
        saved: Some(to_money(usd(saved))),
        deadline: None,
    })
}

fn figure(category: Option<&str>, spent: &str, income: Option<&str>) -> Event {
    Event::Figure(api::StatedFigure {
        start: Some(date("2026-11-01")),
        end: Some(date("2026-12-01")),
        category: category.map(str::to_owned),
        spent: Some(to_money(usd(spent))),
        income: income.map(|income| to_money(usd(income))),
    })
}

fn limit(category: &str, limit: &str) -> Event {
    let limits = vec![api::StatedLimit { category: category.to_owned(), limit: Some(to_money(usd(limit))) }];
    Event::Limits(api::StatedLimits { limits, period: String::new() })
}

fn agrees(item: &Item) -> bool {
    match item {
        Item::Outcome(api::RecordedEvent { recorded: Some(Recorded::Figure(figure)) }) => figure.agrees,
        other => panic!("{other:?}"),
    }
}

async fn told(client: &Client) -> Vec<String> {
    let request = api::ListInsightsRequest {
        user_id: "u".to_owned(),
        r#type: "goal_milestone".to_owned(),
        ..api::ListInsightsRequest::default()
    };
    let insights = client.clone().list_insights(request).await.unwrap().into_inner().insights;
    let mut milestones: Vec<String> =
        insights.into_iter().map(|insight| insight.metadata["milestone"].clone()).collect();
    milestones.sort_unstable();
    milestones
}

#[tokio::test]
async fn limits_keep_what_else_a_budget_says_and_one_refusal_is_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::alone(&directory).await;
    let client = &service.client;
    set_budget(client, "u", "100.00").await;
    let events = vec![("u", limit("Dining", "150.00")), ("", limit("a", "1.00")), ("v", limit("!", "1.00"))];
    let results = record(client, events.clone()).await;
    assert!(matches!(&results[0], Item::Outcome(_)), "{results:?}");
    for (result, field) in results[1..].iter().zip(["user_id", "category"]) {
        let Item::Error(error) = result else { panic!("{result:?}") };
        assert_eq!(from_item_status(error.clone()).violations()[0].field, field);
    }
    record(client, events).await;
    let list = api::ListBudgetsRequest { user_id: "u".to_owned() };
    let budgets = client.clone().list_budgets(list).await.unwrap().into_inner().budgets;
    assert_eq!((budgets.len(), budgets[0].revision), (1, 2), "repeated, it finds no difference");
    assert_eq!(budgets[0].limit, Some(to_money(usd("150.00"))));
    service.stop().await;
}

#[tokio::test]
async fn g28_a_stated_goal_tells_of_each_milestone_once_also_when_all_is_said_again() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::alone(&directory).await;
    let client = &service.client;
    let story = [
        goal("1000.00", "100.00"),
        goal("1000.00", "300.00"),
        goal("2000.00", "300.00"),
        goal("2000.00", "1100.00"),
    ];
    for _ in 0..3 {
        record(client, story.iter().map(|event| ("u", event.clone())).collect()).await;
        assert_eq!(told(client).await, ["25", "50"], "a quarter of the first target, half of the second");
    }
    let get = api::GetGoalRequest { user_id: "u".to_owned(), goal: "goa".to_owned() };
    let kept = client.clone().get_goal(get).await.unwrap().into_inner().goal.unwrap();
    assert_eq!((kept.saved, kept.percent), (Some(to_money(usd("1100.00"))), 55));
    service.stop().await;
}

#[tokio::test]
async fn a_stated_figure_moves_none_and_is_compared() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::alone(&directory).await;
    let client = &service.client;
    apply(client, vec![change("u", 1, "12.50", Origin::Live)]).await;
    let events = [
        figure(Some("Dining"), "12.50", None),
        figure(Some("Dining"), "12.51", None),
        figure(None, "12.50", Some("0.00")),
        figure(None, "12.50", Some("1.00")),
    ];
    let results = record(client, events.map(|event| ("u", event)).to_vec()).await;
    assert_eq!(results.iter().map(agrees).collect::<Vec<_>>(), [true, false, true, false]);
    let spending = crate::service::spending(client, "u").await;
    assert_eq!(crate::service::net(spending.total.as_ref()), ("12.50".to_owned(), 1));
    service.stop().await;
}
