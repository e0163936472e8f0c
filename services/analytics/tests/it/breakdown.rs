//! Totals per account and per merchant.

use pathway_proto::pathway::analytics::v1 as api;
use pathway_proto::pathway::types::v1::{LineKind, Origin, RecordChange};
use pathway_rpc::{from_money, from_status};

use crate::service::{Client, Service, apply, change, date, net, spending};

fn line(record: u128, kind: LineKind, amount: &str, account: &str, merchant: &str) -> RecordChange {
    let mut change = change("u", record, amount, Origin::Live);
    let after = change.after.as_mut().unwrap();
    after.kind = kind.into();
    (after.account, after.merchant) = (account.to_owned(), merchant.to_owned());
    change
}

fn november(by: api::BreakdownBy) -> api::GetBreakdownRequest {
    api::GetBreakdownRequest {
        user_id: "u".to_owned(),
        start: Some(date("2026-11-01")),
        end: Some(date("2026-12-01")),
        currency_code: String::new(),
        by: by.into(),
    }
}

/// Key, net spending, income and lines of each part.
async fn parts(client: &Client, by: api::BreakdownBy) -> Vec<(String, String, String, i64)> {
    let answer = client.clone().get_breakdown(november(by)).await.unwrap().into_inner();
    let total = answer.total.unwrap();
    assert_eq!(total.spending, spending(client, "u").await.total, "they add up to the user's spending");
    let part = |part: api::BreakdownPart| {
        let income = from_money(part.income.as_ref()).unwrap().to_decimal_string();
        (part.key, net(part.spending.as_ref()).0, income, part.count)
    };
    answer.parts.into_iter().map(part).collect()
}

#[tokio::test]
async fn g19_accounts_and_merchants_add_up_and_follow_every_change() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::alone(&directory).await;
    let client = &service.client;
    let lines = vec![
        line(1, LineKind::Expense, "10.00", "card", "CAFE 12"),
        line(2, LineKind::Expense, "5.00", "card", "Cafe 77"),
        line(3, LineKind::Expense, "-2.00", "card", "CAFE 1"),
        line(4, LineKind::Income, "100.00", "checking", "Acme"),
        line(5, LineKind::Transfer, "30.00", "checking", "Pot"),
    ];
    apply(client, lines).await;
    let part = |key: &str, spent: &str, income: &str, count| {
        (key.to_owned(), spent.to_owned(), income.to_owned(), count)
    };
    let accounts = parts(client, api::BreakdownBy::Account).await;
    assert_eq!(accounts, [part("card", "13.00", "0.00", 3), part("checking", "0.00", "100.00", 1)]);
    let merchants = parts(client, api::BreakdownBy::Merchant).await;
    assert_eq!(merchants, [part("cafe", "13.00", "0.00", 3), part("acme", "0.00", "100.00", 1)]);

    let mut moved = line(1, LineKind::Expense, "10.00", "checking", "CAFE 12");
    moved.after.as_mut().unwrap().version = 2;
    let mut gone = line(2, LineKind::Expense, "5.00", "card", "Cafe 77");
    let after = gone.after.as_mut().unwrap();
    (after.version, after.deleted) = (2, true);
    apply(client, vec![moved, gone]).await;
    let accounts = parts(client, api::BreakdownBy::Account).await;
    assert_eq!(accounts, [part("checking", "10.00", "100.00", 2), part("card", "-2.00", "0.00", 1)]);
    let wrong = api::GetBreakdownRequest { by: 7, end: None, ..november(api::BreakdownBy::Account) };
    let fault = from_status(client.clone().get_breakdown(wrong).await.unwrap_err());
    let fields: Vec<&str> = fault.violations().iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["end", "by"]);
    service.stop().await;
}
