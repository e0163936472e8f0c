//! Statements into records and figures, with a real one where it is present.

use std::collections::BTreeMap;

use pathway_testkit::{Layout, Services, test_data};
use serde_json::Value;

fn import(services: &Services, file: &std::path::Path) -> Value {
    let run =
        services.pathway(&["import", file.to_str().unwrap(), "--user", "u", "--account", "a", "--json"]);
    run.succeeded().json()
}

fn counts(summary: &Value) -> (u64, u64, u64) {
    let count = |key: &str| summary[key].as_u64().unwrap();
    (count("read"), count("added"), count("unchanged"))
}

#[test]
fn a_real_statement_becomes_figures_and_a_second_import_adds_nothing() {
    let Some(file) = test_data("personal_transactions.csv") else { return };
    let services = Services::start(Layout::Mesh);
    let _ = services.pathway(&["budget", "set", "--user", "u", "--limit", "restaurants=1.00"]).succeeded();
    assert_eq!(counts(&import(&services, &file)), (806, 806, 0));
    assert_eq!(counts(&import(&services, &file)), (806, 0, 806));

    let text = std::fs::read_to_string(&file).unwrap();
    for period in ["2018-03", "2018-12", "2019-02"] {
        let run = services.pathway(&["spending", "--user", "u", "--period", period, "--json"]).succeeded();
        let document = run.json();
        let expected = recompute(&text, period);
        let found: Vec<(String, i64)> = document["categories"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| {
                (entry["category"].as_str().unwrap().to_owned(), cents(entry["net"].as_str().unwrap()))
            })
            .collect();
        assert_eq!(found, expected, "{period}");
        assert_eq!(
            cents(document["total"]["net"].as_str().unwrap()),
            expected.iter().map(|(_, net)| net).sum::<i64>()
        );
    }
    let notices = services.pathway(&["notifications", "--user", "u", "--json"]).succeeded().json();
    assert_eq!(notices["notifications"].as_array().unwrap().len(), 0, "history raises no alert");
}

#[test]
fn equal_purchases_are_both_kept_and_an_overlap_adds_only_what_is_new() {
    let services = Services::start(Layout::AllInOne);
    let header = "Date,Description,Amount,Transaction Type,Category,Account Name\n";
    let coffee = "03-05-2018,Coffee,4.50,debit,Coffee Shops,Card\n";
    let bread = "03/06/2018,Bread,3.00,debit,Groceries,Card\n";
    let first = services.file("first.csv", format!("{header}{coffee}{coffee}"));
    assert_eq!(counts(&import(&services, &first)), (2, 2, 0));
    let second = services.file("second.csv", format!("{header}{coffee}{bread}{coffee}{coffee}"));
    assert_eq!(counts(&import(&services, &second)), (4, 2, 2));
    let run = services.pathway(&["spending", "--user", "u", "--period", "2018-03", "--json"]).succeeded();
    assert_eq!(run.json()["total"]["net"], "16.50");
}

#[test]
fn a_bank_file_is_recognised_by_its_content() {
    let Some(file) = test_data("ofx/bank_medium.ofx") else { return };
    let services = Services::start(Layout::AllInOne);
    assert_eq!(counts(&import(&services, &file)), (3, 3, 0));
    assert_eq!(counts(&import(&services, &file)), (3, 0, 3));
}

/// The same figures by other means: no code of the project, one pass over the text.
fn recompute(text: &str, period: &str) -> Vec<(String, i64)> {
    let (year, month) = period.split_once('-').unwrap();
    let mut net: BTreeMap<String, i64> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let date: Vec<&str> = fields[0].split(['-', '/']).collect();
        let skipped = ["Credit Card Payment", "Paycheck"].contains(&fields[4]);
        if date[2] != year || date[0] != month || skipped {
            continue;
        }
        let words = fields[4].to_lowercase();
        let key = words.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
        let sign = if fields[3] == "debit" { 1 } else { -1 };
        *net.entry(key.collect::<Vec<_>>().join("_")).or_default() += sign * cents(fields[2]);
    }
    let mut sorted: Vec<(String, i64)> = net.into_iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    sorted
}

fn cents(text: &str) -> i64 {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    sign * (whole.parse::<i64>().unwrap() * 100 + format!("{part:0<2}").parse::<i64>().unwrap())
}
