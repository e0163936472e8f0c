//! Importing statements, real ones where they are present.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pathway_kernel::Code;
use pathway_proto::pathway::datasync::v1 as pb;
use pathway_proto::pathway::types::v1 as types;
use pathway_rpc::from_status;

use crate::service::{Client, Service, import, records};

const HEADER: &str = "Date,Description,Amount,Transaction Type,Category,Account Name\n";

/// A file of the real inputs (`PATHWAY_TEST_DATA`, default `../shared/data` beside the checkout), or none, said aloud.
fn test_data(name: &str) -> Option<Vec<u8>> {
    let folder = std::env::var_os("PATHWAY_TEST_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
        PathBuf::from,
    );
    let content = std::fs::read(folder.join(name)).ok();
    if content.is_none() {
        eprintln!("SKIPPED: {name} is absent; PATHWAY_TEST_DATA names the folder that has it");
    }
    content
}

fn counts(response: &pb::ImportStatementResponse) -> [i64; 5] {
    let rejected = i64::try_from(response.rejected.len()).unwrap();
    [response.read, response.added, response.unchanged, response.quarantined, rejected]
}

fn minor(record: &types::Record) -> i64 {
    let money = record.amount.as_ref().unwrap();
    money.units * 100 + i64::from(money.nanos / 10_000_000)
}

async fn refusal(client: &Client, content: impl Into<Vec<u8>>) -> String {
    let fault = from_status(import(client, content).await.unwrap_err());
    assert_eq!((fault.code(), fault.reason()), (Code::InvalidArgument, "UNREADABLE_STATEMENT"));
    fault.message().to_owned()
}

#[tokio::test]
async fn a_real_statement_is_imported_once() {
    let Some(content) = test_data("personal_transactions.csv") else { return };
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start(&directory, |_| {}).await;
    let half = content.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(400).unwrap().0;
    assert_eq!(counts(&import(&service.client, &content[..=half]).await.unwrap()), [400, 400, 0, 0, 0]);
    assert_eq!(counts(&import(&service.client, &*content).await.unwrap()), [806, 406, 400, 0, 0]);
    let again = import(&service.client, &*content).await.unwrap();
    assert_eq!((counts(&again), again.sequence), ([806, 0, 806, 0, 0], 806));

    let records = records(&service.client).await;
    assert_eq!(records.len(), 806);
    let mut spending: BTreeMap<String, i64> = BTreeMap::new();
    for record in &records {
        let date = record.date.unwrap();
        if (date.year, date.month) == (2018, 3) && record.kind() == types::LineKind::Expense {
            *spending.entry(record.category.clone()).or_default() += minor(record);
        }
    }
    let expected = recompute(std::str::from_utf8(&content).unwrap(), "03", "2018");
    assert!(expected.len() > 10);
    assert_eq!(spending, expected);
    service.stop().await;
}

/// What was spent in a month, by category: one pass over the text with no code of the project.
fn recompute(text: &str, month: &str, year: &str) -> BTreeMap<String, i64> {
    let mut net: BTreeMap<String, i64> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let date: Vec<&str> = fields[0].split(['-', '/']).collect();
        if (date[0], date[2]) != (month, year) || ["Credit Card Payment", "Paycheck"].contains(&fields[4]) {
            continue;
        }
        let (whole, part) = fields[2].split_once('.').unwrap_or((fields[2], ""));
        let cents = whole.parse::<i64>().unwrap() * 100 + format!("{part:0<2}").parse::<i64>().unwrap();
        let lower = fields[4].to_lowercase();
        let words: Vec<&str> =
            lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
        *net.entry(words.join("_")).or_default() += if fields[3] == "debit" { cents } else { -cents };
    }
    net
}

#[tokio::test]
async fn g13_equal_purchases_are_kept_and_an_overlap_adds_only_what_is_new() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start(&directory, |_| {}).await;
    let coffee = "03-05-2018,Coffee,4.50,debit,Coffee Shops,Card\n";
    let same_in_words = "3/5/2018,Coffee,4.5,DEBIT,Treats,Card\n";
    let elsewhere = "03-05-2018,Coffee,4.50,debit,Coffee Shops,\n";
    let first = import(&service.client, format!("{HEADER}{coffee}{coffee}")).await.unwrap();
    assert_eq!(counts(&first), [2, 2, 0, 0, 0]);
    let second =
        import(&service.client, format!("{HEADER}{elsewhere}{same_in_words}{coffee}{coffee}")).await.unwrap();
    assert_eq!(counts(&second), [4, 2, 2, 0, 0]);
    let records = records(&service.client).await;
    assert!(records.iter().all(|record| record.category == "coffee_shops"), "what is known stays as it is");
    let account = |record: &types::Record| record.identity.clone().unwrap().account;
    assert_eq!(records.iter().filter(|record| account(record) == "a").count(), 1);
    service.stop().await;
}

#[tokio::test]
async fn a_bad_line_is_rejected_and_the_others_are_imported() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start(&directory, |_| {}).await;
    let good = "01-02-2018,A,1.00,debit,B,C\n";
    let lines = format!("{good}02-30-2018,A,NaN,debit,B,C\n{good}01-02-2018,A,1e999,debit,B,C\n");
    let response = import(&service.client, format!("{HEADER}{lines}")).await.unwrap();
    assert_eq!(counts(&response), [4, 2, 0, 0, 2]);
    assert_eq!(response.rejected.iter().map(|rejected| rejected.line).collect::<Vec<_>>(), [3, 5]);
    let reason = &response.rejected[0].reason;
    assert!(reason.contains("Date") && reason.contains("Amount"), "{reason}");
    service.stop().await;
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_refused_whole_and_says_where() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start(&directory, |_| {}).await;
    let client = &service.client;
    let good = "01-02-2018,A,1.00,debit,B,C\n";
    assert!(refusal(client, "").await.contains("empty"));
    assert!(refusal(client, HEADER).await.contains("no data lines"));
    assert!(
        refusal(client, format!("{}{good}", HEADER.replace("Category", "Notes"))).await.contains("\"Notes\"")
    );
    let long = format!("{HEADER}{good}01-02-2018,{},1.00,debit,B,C\n", "x".repeat(10 << 20));
    assert!(refusal(client, long).await.starts_with("line 3: longer than"));
    let latin = [HEADER.as_bytes(), good.as_bytes(), b"01-02-2018,Caf\xe9,1.00,debit,B,C\n"].concat();
    assert!(refusal(client, latin).await.starts_with("line 3: byte"));
    let noise = format!("{HEADER}{good}{}", "x\n".repeat(10_001));
    assert!(refusal(client, noise).await.starts_with("line 10003"));
    assert!(records(client).await.is_empty(), "nothing is applied");

    let nobody = pb::ImportStatementRequest {
        currency_code: "ZZZ".to_owned(),
        ..pb::ImportStatementRequest::default()
    };
    let fault = from_status(client.clone().import_statement(nobody).await.unwrap_err());
    let fields: Vec<&str> = fault.violations().iter().map(|violation| &*violation.field).collect();
    assert_eq!(fields, ["user_id", "account", "currency_code"]);
    service.stop().await;
}

#[tokio::test]
async fn real_bank_files_are_read_whatever_their_dialect() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start(&directory, |_| {}).await;
    let files = [
        ("bank_medium.ofx", [3, 3, 0, 0, 0], [3, 0, 3, 0, 0]),
        ("checking.ofx", [3, 3, 0, 0, 0], [3, 0, 3, 0, 0]),
        ("anzcc.ofx", [1, 1, 0, 0, 0], [1, 0, 1, 0, 0]),
        ("bad_empty_balance.ofx", [1, 1, 0, 0, 0], [1, 0, 1, 0, 0]),
        ("bad_decimal_error.ofx", [1, 0, 0, 0, 1], [1, 0, 0, 0, 1]),
        ("bad_date_missing.ofx", [3, 0, 0, 0, 3], [3, 0, 0, 0, 3]),
    ];
    for (name, first, second) in files {
        let Some(content) = test_data(&format!("ofx/{name}")) else { return };
        assert_eq!(counts(&import(&service.client, &*content).await.unwrap()), first, "{name}");
        assert_eq!(counts(&import(&service.client, &*content).await.unwrap()), second, "{name} again");
    }
    let records = records(&service.client).await;
    let hairdresser = records.iter().find(|record| record.merchant == "CONNIE'S HAIR D").unwrap();
    assert_eq!((minor(hairdresser), hairdresser.kind()), (2200, types::LineKind::Expense));
    assert_eq!(hairdresser.amount.as_ref().unwrap().currency_code, "CAD");
    assert_eq!(hairdresser.identity.as_ref().unwrap().account, "12300 000012345678");
    service.stop().await;
}

#[tokio::test]
async fn g14_a_provider_id_with_other_money_is_quarantined() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start(&directory, |_| {}).await;
    let file = |amount: &str| {
        let line = format!("<STMTTRN><TRNTYPE>POS<DTPOSTED>20180305<TRNAMT>{amount}<FITID>7</STMTTRN>");
        format!("<OFX><STMTRS><CURDEF>USD<BANKTRANLIST>{line}</BANKTRANLIST></STMTRS></OFX>")
    };
    assert_eq!(counts(&import(&service.client, file("-5.00")).await.unwrap()), [1, 1, 0, 0, 0]);
    assert_eq!(counts(&import(&service.client, file("-6.00")).await.unwrap()), [1, 0, 0, 1, 0]);
    assert_eq!(minor(&records(&service.client).await[0]), 500);
    service.stop().await;
}

#[tokio::test]
async fn a_mapping_file_replaces_the_built_in_one() {
    let directory = tempfile::tempdir().unwrap();
    let mapping = directory.path().join("mapping.toml");
    std::fs::write(&mapping, "[categories]\nRent = \"transfer\"\n").unwrap();
    let service = Service::start(&directory, |config| config.import.mapping_file = mapping).await;
    let lines = "01-02-2018,A,1.00,debit,rent,C\n01-02-2018,B,1.00,credit,Paycheck,C\n";
    import(&service.client, format!("{HEADER}{lines}")).await.unwrap();
    let kinds: BTreeMap<String, types::LineKind> = records(&service.client)
        .await
        .iter()
        .map(|record| (record.category.clone(), record.kind()))
        .collect();
    assert_eq!(kinds["rent"], types::LineKind::Transfer);
    assert_eq!(kinds["paycheck"], types::LineKind::Expense);
    service.stop().await;
}
