//! Bad input: a clear error that names the field or the line, a non-zero exit, nothing half-applied.

use pathway_testkit::{Layout, Services};
use serde_json::Value;

use crate::this_month;

#[test]
fn refused_events_are_named_with_every_violation_and_their_neighbours_are_accepted() {
    let services = Services::start(Layout::AllInOne);
    let today = this_month();
    let good =
        format!(r#"{{"id":"ok","user_id":"u","amount":5,"category":"dining","transaction_date":"{today}"}}"#);
    let cases: [(String, &[&str]); 9] = [
        (r#"{"id":"a","user_id":"u","category":"x"}"#.to_owned(), &["amount", "transaction_date"]),
        (good.replace(&today, "2026-02-30"), &["transaction_date"]),
        (good.replace(":5,", r#":"NaN","#), &["amount"]),
        (good.replace(":5,", ":NaN,"), &["JSON"]),
        (good.replace(":5,", ":1e999,"), &["amount"]),
        (good.replace(":5,", ":1.005,"), &["amount"]),
        (r#"["not","an","object"]"#.to_owned(), &["object"]),
        (good.replace(r#""user_id":"u""#, r#""user_id":"""#), &["user_id"]),
        (format!("\"{}\"", "x".repeat(10 * 1024 * 1024)), &["1 MiB"]),
    ];
    let mut lines: Vec<&str> = cases.iter().map(|(line, _)| line.as_str()).collect();
    lines.insert(4, &good);
    let file = services.file("bad.jsonl", lines.join("\n"));
    let run =
        services.pathway(&["publish", "transactions", "--file", file.to_str().unwrap(), "--wait", "--json"]);
    let document = run.failed().json();
    assert_eq!(document["accepted"], 1);
    let mut refused: Vec<&Value> = document["refused"].as_array().unwrap().iter().collect();
    refused.sort_by_key(|entry| entry["line"].as_u64());
    assert_eq!(refused.len(), cases.len());
    for (entry, (_, words)) in refused.iter().zip(&cases) {
        for word in *words {
            assert!(entry["reason"].as_str().unwrap().contains(word), "{word}: {entry}");
        }
    }
    let month = &today[..7];
    let spending =
        services.pathway(&["spending", "--user", "u", "--period", month, "--json"]).succeeded().json();
    assert_eq!(spending["total"]["net"], "5.00");
}

/// The largest amount of a line. 9223 of them are what a total can hold.
const LARGEST: &str = "10000000000000.00";

#[test]
fn a_poison_event_becomes_a_dead_letter_and_its_neighbours_succeed() {
    let services = Services::start(Layout::AllInOne);
    let today = this_month();
    let event = |id: &str, amount: &str| {
        format!(
            r#"{{"id":"{id}","user_id":"u","amount":"{amount}","category":"dining","transaction_date":"{today}"}}"#
        )
    };
    let publish = |lines: &[String]| {
        let file = services.file("poison.jsonl", lines.join("\n"));
        let file = file.to_str().unwrap();
        services.pathway(&["publish", "transactions", "--file", file, "--wait", "--json"])
    };
    let mut lines: Vec<String> = (0..9223).map(|n| event(&format!("large-{n}"), LARGEST)).collect();
    lines.extend([event("before", "1.00"), event("poison", LARGEST), event("after", "2.00")]);
    let document = publish(&lines).failed().json();
    assert_eq!(document["accepted"], 9226);
    assert_eq!(document["failed"][0]["event_id"], "poison", "whoever waits is told");
    let letters = services.pathway(&["dead-letters", "--json"]).succeeded().json();
    assert_eq!(letters["total"], 1, "{letters}");
    assert_eq!(letters["dead_letters"][0]["event_id"], "poison");
    assert_eq!(letters["dead_letters"][0]["error"]["code"], "OUT_OF_RANGE");

    // Redriven while there is no room for it, it fails again; once there is, it counts.
    let again = services.pathway(&["dead-letters", "redrive", "--all", "--json"]).failed().json();
    assert_eq!((&again["redriven"], &again["failed"]), (&serde_json::json!(1), &serde_json::json!(1)));
    let removals = (0..9223).map(|n| format!(r#"{{"id":"large-{n}","user_id":"u","deleted":true}}"#));
    let _ = publish(&removals.collect::<Vec<_>>()).succeeded();
    let healed = services.pathway(&["dead-letters", "redrive", "--all", "--rate", "100", "--json"]);
    assert_eq!(healed.succeeded().json()["redriven"], 1);
    let letters = services.pathway(&["dead-letters", "--json"]).succeeded().json();
    assert_eq!(letters["total"], 0, "{letters}");
    let month = &today[..7];
    let spending =
        services.pathway(&["spending", "--user", "u", "--period", month, "--json"]).succeeded().json();
    assert_eq!(spending["total"]["net"], "10000000000003.00");
}

#[test]
fn a_data_directory_belongs_to_one_process() {
    let services = Services::start(Layout::AllInOne);
    let data = services.data_dir();
    for extra in [None, Some("--fresh")] {
        let mut args = vec!["up", "--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()];
        args.extend(extra);
        let run = services.pathway(&args).failed();
        assert!(run.stderr.contains("in use by process"), "{}", run.stderr);
    }
    let event = format!(
        r#"{{"id":"1","user_id":"u","amount":1,"category":"x","transaction_date":"{}"}}"#,
        this_month()
    );
    let run = services.pathway(&["publish", "transactions", "--data", &event, "--wait", "--json"]);
    assert_eq!(run.succeeded().json()["accepted"], 1, "the first one goes on");
}

#[test]
fn a_statement_that_cannot_be_read_is_refused_whole() {
    let services = Services::start(Layout::AllInOne);
    let header = "Date,Description,Amount,Transaction Type,Category,Account Name";
    let long = format!("{header}\n01/02/2018,{},5,debit,Shopping,Card\n", "x".repeat(10 * 1024 * 1024));
    let cases = [
        (String::new(), "empty"),
        (format!("{header},Mood\n01/02/2018,Shop,5,debit,Shopping,Card,fine\n"), "Mood"),
        (long, "line 2"),
    ];
    for (content, word) in cases {
        let file = services.file("statement.csv", content);
        let run =
            services.pathway(&["import", file.to_str().unwrap(), "--user", "u", "--account", "a"]).failed();
        assert!((run.stdout.clone() + &run.stderr).contains(word), "{word}: {} {}", run.stdout, run.stderr);
    }
    let spending =
        services.pathway(&["spending", "--user", "u", "--period", "2018", "--json"]).succeeded().json();
    assert_eq!(spending["total"]["count"], 0);
}

#[test]
fn a_bad_line_is_rejected_with_its_number_and_the_others_are_imported() {
    let services = Services::start(Layout::AllInOne);
    let statement = "Date,Description,Amount,Transaction Type,Category,Account Name\n\
        01/02/2018,Shop,5.00,debit,Shopping,Card\n\
        13/45/2018,Shop,6.00,debit,Shopping,Card\n\
        01/04/2018,Shop,7.001,debit,Shopping,Card\n";
    let file = services.file("statement.csv", statement);
    let run =
        services.pathway(&["import", file.to_str().unwrap(), "--user", "u", "--account", "a", "--json"]);
    let summary = run.failed().json();
    assert_eq!((&summary["read"], &summary["added"]), (&3.into(), &1.into()));
    let lines: Vec<u64> =
        summary["rejected"].as_array().unwrap().iter().map(|line| line["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [3, 4]);
}

#[test]
fn a_server_that_is_not_there_is_a_clear_error() {
    let services = Services::start(Layout::AllInOne);
    let run = services.pathway(&["spending", "--user", "u", "--server", "http://127.0.0.1:1"]);
    // The environment names the real analytics; `--server` alone must not reach it by accident.
    let run = if run.ok { services.pathway(&["pathways", "--server", "http://127.0.0.1:1"]) } else { run };
    assert!(run.failed().stderr.contains("is it running at http"));
}
