//! Following a user's figures.

use api::watch_analytics_response::Event;
use pathway_proto::pathway::analytics::v1 as api;
use pathway_proto::pathway::types::v1::Origin;
use pathway_rpc::from_status;
use tonic::Streaming;

use crate::service::{Client, Service, apply, change, date, net, set_budget};

fn november(after_mark: i64) -> api::WatchAnalyticsRequest {
    api::WatchAnalyticsRequest {
        user_id: "u".to_owned(),
        start: Some(date("2026-11-01")),
        end: Some(date("2026-12-01")),
        currency_code: String::new(),
        after_mark,
    }
}

async fn follow(client: &Client, after_mark: i64) -> Streaming<api::WatchAnalyticsResponse> {
    client.clone().watch_analytics(november(after_mark)).await.unwrap().into_inner()
}

async fn next(steps: &mut Streaming<api::WatchAnalyticsResponse>) -> (i64, Event) {
    let step = steps.message().await.unwrap().unwrap();
    (step.mark, step.event.unwrap())
}

async fn spend(client: &Client, record: u128, amount: &str) {
    apply(client, vec![change("u", record, amount, Origin::Live)]).await;
}

/// What a follower has: the total, and each category's net.
#[derive(Debug, Default, PartialEq)]
struct Held {
    total: String,
    dining: String,
    mark: i64,
}

// === impl Held ===

impl Held {
    fn take(&mut self, (mark, event): (i64, Event)) {
        assert!(mark >= self.mark, "marks grow");
        self.mark = mark;
        let (total, categories) = match event {
            Event::Snapshot(snapshot) => {
                let spending = snapshot.spending.unwrap();
                (spending.total, spending.categories)
            }
            Event::Delta(delta) => (delta.total, delta.categories),
            Event::Progress(_) => return,
            Event::Refetch(_) => return *self = Self { mark, ..Self::default() },
        };
        self.total = net(total.as_ref()).0;
        for category in categories {
            if category.category == "dining" {
                self.dining = net(category.totals.as_ref()).0;
            }
        }
    }
}

#[tokio::test]
async fn a_follower_gets_a_snapshot_and_then_what_changes() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::alone(&directory).await;
    let client = &service.client;
    spend(client, 1, "10.00").await;
    let mut steps = follow(client, 0).await;
    let mut held = Held::default();
    let first = next(&mut steps).await;
    assert!(matches!(first.1, Event::Snapshot(_)));
    held.take(first);
    assert_eq!((held.total.as_str(), held.dining.as_str()), ("10.00", "10.00"));

    spend(client, 2, "5.00").await;
    held.take(next(&mut steps).await);
    assert_eq!(held.dining, "15.00");
    let budget = set_budget(client, "u", "20.00").await;
    let (mark, event) = next(&mut steps).await;
    let Event::Delta(delta) = event else { panic!("a budget is news: {event:?}") };
    assert_eq!((delta.categories.len(), delta.budgets), (0, vec![budget]));
    assert!(mark > held.mark);

    let mut elsewhere = change("u", 3, "7.00", Origin::Live);
    elsewhere.after.as_mut().unwrap().date = Some(date("2026-10-01"));
    apply(client, vec![elsewhere]).await;
    let (_, event) = next(&mut steps).await;
    assert!(matches!(event, Event::Progress(_)), "another month: {event:?}");
    apply(client, vec![change("v", 4, "1.00", Origin::Live)]).await;
    spend(client, 5, "1.00").await;
    held.take(next(&mut steps).await);
    assert_eq!(held.total, "16.00", "somebody else's change is no step");
    service.stop().await;
    let end = steps.message().await;
    assert!(end.is_err() || end.unwrap().is_none(), "a drain ends the stream");
}

#[tokio::test]
async fn a_follower_resumes_after_its_mark_or_is_told_to_begin_anew() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::alone(&directory).await;
    let client = &service.client;
    spend(client, 1, "10.00").await;
    let mut steps = follow(client, 0).await;
    let mut held = Held::default();
    held.take(next(&mut steps).await);
    drop(steps);

    // Nobody is connected, but what is touched is kept on for a while.
    for record in 2..=4 {
        spend(client, record, "1.00").await;
    }
    let mut steps = follow(client, held.mark).await;
    let (mark, event) = next(&mut steps).await;
    assert!(matches!(event, Event::Delta(_)), "three changes as one: {event:?}");
    held.take((mark, event));
    assert_eq!(held.dining, "13.00");
    drop(steps);

    // More than is kept.
    let old = held.mark;
    for record in 10..=530 {
        spend(client, record, "1.00").await;
    }
    let mut steps = follow(client, old).await;
    let (mark, event) = next(&mut steps).await;
    assert!(matches!(event, Event::Refetch(_)), "{event:?}");
    held.take((mark, event));
    let (mark, event) = next(&mut steps).await;
    assert!(matches!(event, Event::Snapshot(_)), "{event:?}");
    held.take((mark, event));
    assert_eq!(held.total, "534.00");

    let fault = from_status(client.clone().watch_analytics(november(-1)).await.unwrap_err());
    assert_eq!(fault.violations()[0].field, "after_mark");
    service.stop().await;
}

#[tokio::test]
async fn many_followers_of_one_user_come_to_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::alone(&directory).await;
    let client = &service.client;
    let mut followers = Vec::new();
    for _ in 0..50 {
        followers.push((follow(client, 0).await, Held::default()));
    }
    for record in 1..=20 {
        spend(client, record, "1.00").await;
    }
    for (steps, held) in &mut followers {
        while held.total != "20.00" {
            held.take(next(steps).await);
        }
        assert_eq!(held.dining, "20.00");
    }
    service.stop().await;
}
