//! Rates of exchange, and figures by them.

use pathway_proto::google::r#type::Money;
use pathway_proto::pathway::analytics::v1 as api;
use pathway_proto::pathway::types::v1::{LineKind, Origin, RecordChange};
use pathway_rpc::{from_money, from_status, to_money};

use crate::service::{Client, Service, apply, change, date, set_budget};

fn line(record: u128, amount: &str, code: &str, category: &str, day: &str) -> RecordChange {
    let mut change = change("u", record, "1", Origin::Live);
    let after = change.after.as_mut().unwrap();
    let currency = pathway_finance::Currency::parse(code).unwrap();
    after.amount = Some(to_money(pathway_finance::Money::parse(amount, currency).unwrap()));
    after.category = category.to_owned();
    after.date = Some(date(day));
    change
}

fn rate(day: &str, pair: &str, rate: &str) -> api::ExchangeRate {
    let (base, quote) = pair.split_once('/').unwrap();
    api::ExchangeRate {
        base_currency_code: base.to_owned(),
        quote_currency_code: quote.to_owned(),
        date: Some(date(day)),
        rate: rate.to_owned(),
        source: "ECB".to_owned(),
    }
}

async fn set(client: &Client, rates: Vec<api::ExchangeRate>) -> (i32, i32, i32) {
    let set = client.clone().set_rates(api::SetRatesRequest { rates }).await.unwrap().into_inner();
    (set.added, set.corrected, set.unchanged)
}

async fn november(client: &Client, code: &str) -> api::GetSpendingResponse {
    let request = api::GetSpendingRequest {
        user_id: "u".to_owned(),
        start: Some(date("2026-11-01")),
        end: Some(date("2026-12-01")),
        reporting_currency_code: code.to_owned(),
        ..api::GetSpendingRequest::default()
    };
    client.clone().get_spending(request).await.unwrap().into_inner()
}

fn text(money: Option<&Money>) -> String {
    from_money(money).unwrap().to_string()
}

fn net(totals: Option<&api::Totals>) -> (String, i64) {
    let totals = totals.unwrap();
    (text(totals.net.as_ref()), totals.count)
}

/// Dollars, euros and yen of one November: the euros of the 21st have no rate.
fn lines() -> Vec<RecordChange> {
    let mut income = line(6, "1000.00", "EUR", "", "2026-11-20");
    income.after.as_mut().unwrap().kind = LineKind::Income.into();
    vec![
        line(1, "10.00", "USD", "dining", "2026-11-19"),
        line(2, "20.00", "EUR", "dining", "2026-11-20"),
        line(3, "-4.00", "EUR", "dining", "2026-11-20"),
        line(4, "30.00", "EUR", "books", "2026-11-21"),
        line(5, "1000", "JPY", "books", "2026-11-20"),
        income,
    ]
}

fn rates() -> Vec<api::ExchangeRate> {
    vec![rate("2026-11-20", "EUR/USD", "1.25"), rate("2026-11-20", "EUR/JPY", "160")]
}

#[tokio::test]
async fn g12_what_has_no_rate_of_its_day_is_shown_apart() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::alone(&directory).await;
    apply(&service.client, lines()).await;
    assert_eq!(set(&service.client, rates()).await, (2, 0, 0));

    let spending = november(&service.client, "USD").await;
    assert_eq!(spending.currency_code, "USD");
    assert_eq!(net(spending.total.as_ref()), ("37.81 USD".to_owned(), 4), "10.00 + 25.00 - 5.00 + 7.81");
    assert!(spending.other_currency_codes.is_empty());
    let categories: Vec<_> = spending
        .categories
        .iter()
        .map(|category| (category.category.as_str(), net(category.totals.as_ref()).0))
        .collect();
    assert_eq!(categories, [("dining", "30.00 USD".to_owned()), ("books", "7.81 USD".to_owned())]);

    let reporting = spending.reporting.unwrap();
    let converted: Vec<&str> = reporting.converted.iter().map(|part| part.currency_code.as_str()).collect();
    assert_eq!(converted, ["EUR", "JPY"]);
    let euros = &reporting.converted[0];
    let (own, reported) = (euros.own.as_ref().unwrap(), euros.reported.as_ref().unwrap());
    assert_eq!(
        (text(own.net.as_ref()), text(own.income.as_ref()), own.count),
        ("16.00 EUR".into(), "1000.00 EUR".into(), 3)
    );
    assert_eq!(
        (text(reported.net.as_ref()), text(reported.income.as_ref())),
        ("20.00 USD".into(), "1250.00 USD".into())
    );
    assert_eq!(
        (euros.first_rate_date, euros.sources.as_slice()),
        (Some(date("2026-11-20")), &["ECB".to_owned()][..])
    );
    let [apart] = &reporting.unconverted[..] else { panic!("one currency is left: {reporting:?}") };
    assert_eq!(apart.currency_code, "EUR");
    assert_eq!((apart.missing_days, &apart.missing_dates[..]), (1, &[date("2026-11-21")][..]));
    assert_eq!(text(apart.own.as_ref().unwrap().net.as_ref()), "30.00 EUR");
    service.stop().await;
}

#[tokio::test]
async fn g12_a_corrected_rate_changes_the_answer_and_nothing_that_was_told() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::alone(&directory).await;
    let budget = set_budget(&service.client, "u", "100.00").await;
    assert_eq!(set(&service.client, rates()).await, (2, 0, 0));
    assert_eq!(set(&service.client, rates()).await, (0, 0, 2), "the same again is nothing new");
    apply(&service.client, vec![line(1, "90.00", "EUR", "dining", "2026-11-20")]).await;
    assert_eq!(net(november(&service.client, "USD").await.total.as_ref()).0, "112.50 USD");

    assert_eq!(set(&service.client, vec![rate("2026-11-20", "EUR/USD", "2")]).await, (0, 1, 0));
    assert_eq!(net(november(&service.client, "USD").await.total.as_ref()).0, "180.00 USD");
    let listed = api::ListBudgetsRequest { user_id: "u".to_owned() };
    let listed = service.client.clone().list_budgets(listed).await.unwrap().into_inner().budgets;
    assert_eq!(listed, [budget], "a budget counts its own currency");
    let told = api::ListInsightsRequest { user_id: "u".to_owned(), ..api::ListInsightsRequest::default() };
    let told = service.client.clone().list_insights(told).await.unwrap().into_inner().insights;
    assert!(told.is_empty(), "no rate alerts: {told:?}");
    service.stop().await;
}

#[tokio::test]
async fn g12_trends_summaries_and_explanations_are_of_the_same_lines() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::alone(&directory).await;
    apply(&service.client, lines()).await;
    set(&service.client, rates()).await;
    let (start, end) = (Some(date("2026-11-01")), Some(date("2026-12-01")));
    let request = api::ListTrendsRequest {
        user_id: "u".to_owned(),
        start,
        end,
        bucket: api::TrendBucket::Day.into(),
        by_category: true,
        reporting_currency_code: "USD".to_owned(),
        ..api::ListTrendsRequest::default()
    };
    let trends = service.client.clone().list_trends(request).await.unwrap().into_inner();
    let twentieth: Vec<(&str, String)> = trends
        .trends
        .iter()
        .map(|trend| (trend.category.as_str(), net(trend.points[19].spending.as_ref()).0))
        .collect();
    assert_eq!(
        twentieth,
        [("", "27.81 USD".to_owned()), ("books", "7.81 USD".to_owned()), ("dining", "20.00 USD".to_owned())]
    );
    assert_eq!(text(trends.trends[0].points[19].income.as_ref()), "1250.00 USD");

    let request = api::GetSummaryRequest {
        user_id: "u".to_owned(),
        reporting_currency_code: "USD".to_owned(),
        ..api::GetSummaryRequest::default()
    };
    let summary = service.client.clone().get_summary(request).await.unwrap().into_inner();
    let period = summary.period.unwrap();
    assert_eq!(net(period.spending.as_ref()), ("37.81 USD".to_owned(), 4));
    assert_eq!(text(period.net.as_ref()), "1212.19 USD");
    assert_eq!(summary.reporting, november(&service.client, "USD").await.reporting);
    assert_eq!(summary.previous_reporting, Some(api::Reporting::default()));

    let mut request = api::ExplainRequest {
        user_id: "u".to_owned(),
        start,
        end,
        page_size: 2,
        reporting_currency_code: "USD".to_owned(),
        ..api::ExplainRequest::default()
    };
    let (mut lines, mut totals) = (Vec::new(), None);
    loop {
        let page = service.client.clone().explain(request.clone()).await.unwrap().into_inner();
        assert!(page.rule.contains("rate of its own day"), "{}", page.rule);
        lines.extend(page.lines);
        totals = page.totals.or(totals);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(net(totals.as_ref()), ("37.81 USD".to_owned(), 4), "what GetSpending answers");
    let shown: Vec<(String, Option<String>, usize)> = lines
        .iter()
        .map(|line| {
            let conversion = line.conversion.as_ref();
            let amount = conversion.map(|conversion| text(conversion.amount.as_ref()));
            (text(line.amount.as_ref()), amount, conversion.map_or(0, |conversion| conversion.rates.len()))
        })
        .collect();
    let converted = |amount: &str| Some(amount.to_owned());
    assert_eq!(
        shown,
        [
            ("30.00 EUR".to_owned(), None, 0),
            ("1000 JPY".to_owned(), converted("7.81 USD"), 2),
            ("-4.00 EUR".to_owned(), converted("-5.00 USD"), 1),
            ("20.00 EUR".to_owned(), converted("25.00 USD"), 1),
            ("10.00 USD".to_owned(), None, 0),
        ],
        "newest first, over all currencies and pages"
    );
    request.page_token.clear();
    request.reporting_currency_code = "EUR".to_owned();
    let page = service.client.clone().explain(request.clone()).await.unwrap().into_inner();
    request.page_token = page.next_page_token;
    request.reporting_currency_code = "USD".to_owned();
    let other = from_status(service.client.clone().explain(request).await.unwrap_err());
    assert_eq!(other.violations()[0].field, "page_token", "a page is of one question");
    service.stop().await;
}

#[tokio::test]
async fn rates_are_listed_newest_first_in_pages() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::alone(&directory).await;
    let mut stored = vec![rate("2026-11-19", "EUR/USD", "1.2"), rate("2026-11-21", "GBP/USD", "1.30")];
    stored.extend(rates());
    set(&service.client, stored).await;
    let mut request = api::ListRatesRequest { page_size: 1, ..api::ListRatesRequest::default() };
    let mut listed = Vec::new();
    loop {
        let page = service.client.clone().list_rates(request.clone()).await.unwrap().into_inner();
        listed.extend(page.rates);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let texts: Vec<String> = listed
        .iter()
        .map(|rate| format!("{}{} {}", rate.base_currency_code, rate.quote_currency_code, rate.rate))
        .collect();
    assert_eq!(texts, ["GBPUSD 1.3", "EURJPY 160", "EURUSD 1.25", "EURUSD 1.2"]);
    let dollars = api::ListRatesRequest {
        base_currency_code: "EUR".to_owned(),
        quote_currency_code: "USD".to_owned(),
        start: Some(date("2026-11-20")),
        end: Some(date("2026-11-21")),
        ..api::ListRatesRequest::default()
    };
    let dollars = service.client.clone().list_rates(dollars).await.unwrap().into_inner().rates;
    assert_eq!(dollars, [rate("2026-11-20", "EUR/USD", "1.25")]);
    service.stop().await;
}

#[tokio::test]
async fn everything_wrong_with_rates_is_said_at_once_and_none_is_stored() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::alone(&directory).await;
    let good = rate("2026-11-20", "EUR/USD", "1.25");
    let nameless = api::ExchangeRate { source: String::new(), ..rate("2026-11-20", "XXX1/USD", "1,25") };
    let wrong = vec![
        good.clone(),
        nameless,
        rate("2026-11-20", "USD/USD", "1"),
        good,
        api::ExchangeRate { date: None, ..rate("2026-11-20", "EUR/INR", "0") },
    ];
    let refused = service.client.clone().set_rates(api::SetRatesRequest { rates: wrong }).await.unwrap_err();
    let fault = from_status(refused);
    let fields: Vec<&str> = fault.violations().iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "rates[1].base_currency_code",
            "rates[1].rate",
            "rates[1].source",
            "rates[2].quote_currency_code",
            "rates[3].date",
            "rates[4].date",
            "rates[4].rate",
        ]
    );
    let listed = service.client.clone().list_rates(api::ListRatesRequest::default()).await.unwrap();
    assert!(listed.into_inner().rates.is_empty());
    service.stop().await;
}
