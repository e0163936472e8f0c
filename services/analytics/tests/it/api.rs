//! What callers see.

use api::apply_change_result::Result as Item;
use pathway_proto::pathway::analytics::v1 as api;
use pathway_proto::pathway::types::v1::{Origin, RecordChange};
use pathway_rpc::{from_item_status, from_status, to_money};

use crate::service::{NOW, Service, apply, change, date, net, set_budget, spending, told, usd};

fn live(user: &str, record: u128, amount: &str) -> RecordChange {
    change(user, record, amount, Origin::Live)
}

fn fields(fault: &pathway_kernel::Fault) -> Vec<&str> {
    fault.violations().iter().map(|violation| violation.field.as_str()).collect()
}

#[tokio::test]
async fn two_copies_in_one_process_know_nothing_of_each_other() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (one, two) = (Service::alone(&directories[0]).await, Service::alone(&directories[1]).await);
    set_budget(&one.client, "u", "100.00").await;
    let batch =
        vec![live("u", 1, "79.99"), live("u", 2, "0.01"), live("u", 3, "5.00"), live("u", 4, "30.00")];
    let results = apply(&one.client, batch.clone()).await;
    let kinds: Vec<Vec<&str>> = results.iter().map(told).collect();
    assert_eq!(kinds, [vec![], vec!["budget_warning"], vec![], vec!["budget_exceeded"]]);
    assert!(apply(&two.client, batch).await.iter().all(|result| told(result).is_empty()), "no budget there");
    assert_eq!(net(spending(&one.client, "u").await.total.as_ref()), ("115.00".to_owned(), 4));
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_bad_change_is_refused_alone_with_every_violation() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::alone(&directory).await;
    let mut bad = live("", 1, "1.00");
    let record = bad.after.as_mut().unwrap();
    record.record_id = "seven".to_owned();
    record.version = 0;
    record.amount.as_mut().unwrap().currency_code = "XX".to_owned();
    record.date = None;
    let results = apply(&service.client, vec![bad, live("u", 2, "1.00"), RecordChange::default()]).await;
    let [Item::Error(bad), Item::Outcome(_), Item::Error(empty)] = <[Item; 3]>::try_from(results).unwrap()
    else {
        panic!("the good one is applied, the bad ones are refused")
    };
    let expected = ["after.user_id", "after.record_id", "after.version", "after.amount", "after.date"];
    assert_eq!(fields(&from_item_status(bad)), expected);
    assert_eq!(fields(&from_item_status(empty)), ["after"]);
    assert_eq!(net(spending(&service.client, "u").await.total.as_ref()), ("1.00".to_owned(), 1));
    service.stop().await;
}

#[tokio::test]
async fn a_limit_is_refused_alone_and_a_period_as_a_whole() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::alone(&directory).await;
    let limit = |category: &str, amount: &str| api::BudgetLimit {
        category: category.to_owned(),
        limit: Some(to_money(usd(amount))),
        ..api::BudgetLimit::default()
    };
    let request = api::SetBudgetsRequest {
        user_id: "u".to_owned(),
        limits: vec![
            limit("Mortgage & Rent", "5.00"),
            limit("dining", "-1.00"),
            limit("uncategorized", "5.00"),
            limit("", "5.00"),
        ],
        ..api::SetBudgetsRequest::default()
    };
    let answer = service.client.clone().set_budgets(request).await.unwrap().into_inner();
    let mut refused = Vec::new();
    for result in answer.results {
        match result.result.unwrap() {
            api::set_budget_result::Result::Budget(budget) => assert_eq!(budget.category, "mortgage_rent"),
            api::set_budget_result::Result::Error(status) => {
                refused.push(fields(&from_item_status(status)).join(" "));
            }
        }
    }
    assert_eq!(refused, ["limit", "category", "category"]);

    let request = api::SetBudgetsRequest {
        time_zone: "Mars/Base".to_owned(),
        period_kind: 99,
        ..api::SetBudgetsRequest::default()
    };
    let fault = from_status(service.client.clone().set_budgets(request).await.unwrap_err());
    assert_eq!(fields(&fault), ["user_id", "period_kind", "time_zone"]);
    let backwards = api::GetSpendingRequest {
        user_id: "u".to_owned(),
        start: Some(date("2026-11-02")),
        end: Some(date("2026-11-01")),
        currency_code: "XX".to_owned(),
        reporting_currency_code: "YY".to_owned(),
    };
    let fault = from_status(service.client.clone().get_spending(backwards).await.unwrap_err());
    assert_eq!(
        fields(&fault),
        ["end", "currency_code", "reporting_currency_code", "reporting_currency_code"]
    );
    service.stop().await;
}

#[tokio::test]
async fn the_lines_behind_a_number_come_in_pages() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::alone(&directory).await;
    let lines = (1..=5).map(|record| live("u", record, &format!("{record}.00")));
    apply(&service.client, lines.collect()).await;
    let mut request = api::ExplainRequest {
        user_id: "u".to_owned(),
        start: Some(date("2026-11-01")),
        end: Some(date("2026-12-01")),
        page_size: 2,
        ..api::ExplainRequest::default()
    };
    let mut seen = Vec::new();
    loop {
        let page = service.client.clone().explain(request.clone()).await.unwrap().into_inner();
        assert_eq!(net(page.totals.as_ref()), ("15.00".to_owned(), 5), "over all lines");
        assert!(page.rule.contains("USD") && page.rule.contains("2026-12-01"), "{}", page.rule);
        seen.extend(page.lines.into_iter().map(|line| line.amount.unwrap().units));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(seen, [5, 4, 3, 2, 1], "newest first");
    request.category = Some("other".to_owned());
    request.page_token = "0.0.0".to_owned();
    let fault = from_status(service.client.clone().explain(request).await.unwrap_err());
    assert_eq!(fields(&fault), ["page_token"]);
    service.stop().await;
}

#[tokio::test]
async fn g20_a_period_ends_by_time_alone() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), pathway_kernel::ManualClock::at(NOW));
    let service = Service::at(&directory, &clock).await;
    set_budget(&service.client, "u", "40.00").await;
    apply(&service.client, vec![live("u", 1, "30.00")]).await;
    let request = api::ListClosedPeriodsRequest {
        user_id: "u".to_owned(),
        start: Some(date("2026-01-01")),
        end: Some(date("2027-01-01")),
        ..api::ListClosedPeriodsRequest::default()
    };
    let list = async || {
        let answer = service.client.clone().list_closed_periods(request.clone()).await;
        answer.unwrap().into_inner().periods
    };
    assert!(list().await.is_empty());
    // 2026-12-01, a minute past midnight.
    clock.set(1_796_083_260_000_000);
    let mut closed = list().await;
    while closed.is_empty() {
        tokio::task::yield_now().await;
        closed = list().await;
    }
    let summary = &closed[0];
    assert_eq!((net(summary.totals.as_ref()), summary.revision), (("30.00".to_owned(), 1), 1));
    assert_eq!((summary.period_end, summary.corrected_at_us), (Some(date("2026-12-01")), None));
    let nobody = api::ListClosedPeriodsRequest { user_id: String::new(), end: None, ..request.clone() };
    let fault = from_status(service.client.clone().list_closed_periods(nobody).await.unwrap_err());
    assert_eq!(fields(&fault), ["user_id", "end"]);
    service.stop().await;
}

#[tokio::test]
async fn a_budget_says_what_it_was_told() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::alone(&directory).await;
    let limit = api::BudgetLimit {
        category: "Fun".to_owned(),
        limit: Some(to_money(usd("50.00"))),
        thresholds: vec![90, 50],
        rollover: api::Rollover::Positive.into(),
        pace_alert: Some(true),
        categories: vec!["Dining".to_owned(), "Travel".to_owned()],
    };
    let wrong = api::BudgetLimit {
        thresholds: vec![0],
        rollover: 9,
        categories: vec!["--".to_owned()],
        ..limit.clone()
    };
    let request = api::SetBudgetsRequest {
        user_id: "u".to_owned(),
        limits: vec![limit, wrong],
        period_kind: api::PeriodKind::Days.into(),
        anchor: Some(date("2026-11-20")),
        length_days: 10,
        ..api::SetBudgetsRequest::default()
    };
    let answer = service.client.clone().set_budgets(request.clone()).await.unwrap().into_inner();
    let [set, refused] = <[_; 2]>::try_from(answer.results).unwrap();
    let api::set_budget_result::Result::Budget(budget) = set.result.unwrap() else { panic!("it was right") };
    assert_eq!((budget.thresholds, budget.rollover), (vec![50, 90], api::Rollover::Positive.into()));
    assert_eq!(
        (budget.categories, budget.pace_alert),
        (vec!["dining".to_owned(), "travel".to_owned()], true)
    );
    assert_eq!(
        (budget.period_start, budget.period_end),
        (Some(date("2026-11-20")), Some(date("2026-11-30")))
    );
    let api::set_budget_result::Result::Error(error) = refused.result.unwrap() else {
        panic!("it was wrong")
    };
    assert_eq!(fields(&from_item_status(error)), ["thresholds", "categories", "rollover"]);
    let nowhere = api::SetBudgetsRequest { anchor: None, length_days: 0, ..request };
    let fault = from_status(service.client.clone().set_budgets(nowhere).await.unwrap_err());
    assert_eq!(fields(&fault), ["length_days", "anchor"]);
    service.stop().await;
}

#[tokio::test]
async fn a_budget_shows_where_it_stands() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::alone(&directory).await;
    apply(&service.client, vec![live("u", 1, "30.00")]).await;
    let budget = set_budget(&service.client, "u", "40.00").await;
    assert_eq!((budget.percent, budget.revision), (Some(75), 1));
    assert_eq!(
        (budget.period_start, budget.period_end),
        (Some(date("2026-11-01")), Some(date("2026-12-01")))
    );
    set_budget(&service.client, "u", "0.00").await;
    let request = api::ListBudgetsRequest { user_id: "u".to_owned() };
    let listed = service.client.clone().list_budgets(request).await.unwrap().into_inner().budgets;
    assert_eq!((listed[0].percent, listed[0].revision), (None, 2), "no percentage of nothing");
    service.stop().await;
}
