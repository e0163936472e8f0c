//! Trends, summaries, and where budgets stand.

use pathway_proto::pathway::analytics::v1 as api;
use pathway_proto::pathway::types::v1::{LineKind, Origin, RecordChange};
use pathway_rpc::{from_money, from_status};

use crate::service::{Service, apply, change, date, set_budget};

fn line(record: u128, amount: &str, category: &str, day: &str) -> RecordChange {
    let mut change = change("u", record, amount, Origin::History);
    let after = change.after.as_mut().unwrap();
    after.category = category.to_owned();
    after.date = Some(date(day));
    change
}

fn income(record: u128, amount: &str, day: &str) -> RecordChange {
    let mut change = line(record, amount, "", day);
    change.after.as_mut().unwrap().kind = LineKind::Income.into();
    change
}

fn text(money: Option<&pathway_proto::google::r#type::Money>) -> String {
    from_money(money).unwrap().to_decimal_string()
}

fn spent(totals: Option<&api::Totals>) -> String {
    text(totals.unwrap().net.as_ref())
}

/// Two months of a user.
fn lines() -> Vec<RecordChange> {
    vec![
        line(1, "100.00", "rent", "2026-10-01"),
        line(2, "40.00", "dining", "2026-10-20"),
        line(3, "100.00", "rent", "2026-11-01"),
        line(4, "70.00", "dining", "2026-11-10"),
        line(5, "-10.00", "dining", "2026-11-12"),
        line(6, "30.00", "books", "2026-11-24"),
        income(7, "300.00", "2026-10-31"),
        income(8, "400.00", "2026-11-01"),
    ]
}

#[tokio::test]
async fn trends_have_a_point_for_each_bucket_without_a_gap() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::alone(&directory).await;
    apply(&service.client, lines()).await;
    let request = api::ListTrendsRequest {
        user_id: "u".to_owned(),
        start: Some(date("2026-09-01")),
        end: Some(date("2026-12-01")),
        ..api::ListTrendsRequest::default()
    };
    let ask = |request: api::ListTrendsRequest| {
        let mut client = service.client.clone();
        async move { client.list_trends(request).await }
    };
    let total = ask(request.clone()).await.unwrap().into_inner();
    let [trend] = total.trends.as_slice() else { panic!("the total alone") };
    let points: Vec<(String, String, String)> = trend
        .points
        .iter()
        .map(|point| (spent(point.spending.as_ref()), text(point.income.as_ref()), text(point.net.as_ref())))
        .collect();
    let expected = [("0.00", "0.00", "0.00"), ("140.00", "300.00", "160.00"), ("190.00", "400.00", "210.00")];
    let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
    assert_eq!(points, expected);

    let all =
        ask(api::ListTrendsRequest { by_category: true, ..request.clone() }).await.unwrap().into_inner();
    let names: Vec<&str> = all.trends.iter().map(|trend| trend.category.as_str()).collect();
    assert_eq!(names, ["", "books", "dining", "rent"]);
    let named = api::ListTrendsRequest {
        categories: vec!["Dining".to_owned(), "travel".to_owned()],
        bucket: api::TrendBucket::Week.into(),
        start: Some(date("2026-11-01")),
        ..request.clone()
    };
    let named = ask(named).await.unwrap().into_inner();
    let weeks: Vec<String> =
        named.trends[0].points.iter().map(|point| spent(point.spending.as_ref())).collect();
    assert_eq!(weeks, ["0.00", "0.00", "60.00", "0.00", "0.00", "0.00"], "the 1st is a Sunday");
    assert_eq!((named.trends[1].category.as_str(), named.trends[1].points.len()), ("travel", 6));
    assert!(named.trends[1].points[0].income.is_none());

    let long = api::ListTrendsRequest {
        bucket: api::TrendBucket::Day.into(),
        start: Some(date("2020-01-01")),
        ..request
    };
    let fault = from_status(ask(long).await.unwrap_err());
    assert_eq!(fault.violations()[0].field, "end");
    service.stop().await;
}

#[tokio::test]
async fn a_summary_is_beside_the_month_before_and_the_budgets() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::alone(&directory).await;
    set_budget(&service.client, "u", "80.00").await;
    apply(&service.client, lines()).await;
    let request = api::GetSummaryRequest { user_id: "u".to_owned(), ..api::GetSummaryRequest::default() };
    let summary = service.client.clone().get_summary(request.clone()).await.unwrap().into_inner();
    let (now, before) = (summary.period.unwrap(), summary.previous.unwrap());
    assert_eq!(
        (now.start, now.end),
        (Some(date("2026-11-01")), Some(date("2026-12-01"))),
        "the user's month"
    );
    assert_eq!((before.start, before.end), (Some(date("2026-10-01")), Some(date("2026-11-01"))));
    assert_eq!(
        (spent(now.spending.as_ref()), spent(before.spending.as_ref())),
        ("190.00".into(), "140.00".into())
    );
    assert_eq!((text(now.income.as_ref()), text(now.net.as_ref())), ("400.00".into(), "210.00".into()));
    assert_eq!((now.savings_percent, before.savings_percent), (Some(52), Some(53)));
    assert_eq!(summary.change_percent, Some(35));
    let categories: Vec<(&str, String, Option<i64>, Option<i64>)> = summary
        .categories
        .iter()
        .map(|line| {
            let spent = spent(line.spending.as_ref());
            (line.category.as_str(), spent, line.change_percent, line.limit_percent)
        })
        .collect();
    assert_eq!(
        categories,
        [
            ("rent", "100.00".to_owned(), Some(0), None),
            ("dining", "60.00".to_owned(), Some(50), Some(75)),
            ("books", "30.00".to_owned(), None, None),
        ]
    );
    let quarter =
        api::GetSummaryRequest { start: Some(date("2026-10-01")), end: Some(date("2027-01-01")), ..request };
    let summary = service.client.clone().get_summary(quarter).await.unwrap().into_inner();
    assert_eq!(summary.previous.unwrap().start, Some(date("2026-07-01")));
    assert!(summary.categories.iter().all(|line| line.limit.is_none()), "the budget is monthly");
    let half =
        api::GetSummaryRequest { start: Some(date("2026-10-01")), ..api::GetSummaryRequest::default() };
    let fault = from_status(service.client.clone().get_summary(half).await.unwrap_err());
    let fields: Vec<&str> = fault.violations().iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["user_id", "end"]);
    service.stop().await;
}

#[tokio::test]
async fn a_budgets_status_is_good_warning_or_over_today_and_at_the_periods_end() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::alone(&directory).await;
    let status = || async {
        let request = api::GetBudgetStatusRequest { user_id: "u".to_owned(), category: "Dining".to_owned() };
        service.client.clone().get_budget_status(request).await.unwrap().into_inner().budgets.remove(0)
    };
    set_budget(&service.client, "u", "100.00").await;
    apply(&service.client, vec![line(1, "79.00", "dining", "2026-11-10")]).await;
    // The 24th of 30 days.
    let good = status().await;
    assert_eq!((good.state(), good.projected_state()), (api::BudgetState::Good, api::BudgetState::Warning));
    assert_eq!((good.days_elapsed, good.days_total), (24, 30));
    assert_eq!(
        (text(good.remaining.as_ref()), text(good.projected.as_ref()), text(good.daily_allowance.as_ref())),
        ("21.00".to_owned(), "98.75".to_owned(), "3.00".to_owned())
    );
    apply(&service.client, vec![line(2, "1.00", "dining", "2026-11-11")]).await;
    let warning = status().await;
    assert_eq!(
        (warning.state(), warning.projected_state()),
        (api::BudgetState::Warning, api::BudgetState::Over)
    );
    apply(&service.client, vec![line(3, "25.00", "dining", "2026-11-12")]).await;
    let over = status().await;
    assert_eq!((over.state(), text(over.remaining.as_ref())), (api::BudgetState::Over, "-5.00".to_owned()));
    service.stop().await;
}
