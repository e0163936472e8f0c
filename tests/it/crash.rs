//! `kill -9` of each process in turn during a publish, then a restart: every accepted event is applied once.

use std::process::Stdio;

use pathway_testkit::{Layout, Run, Services, eventually};
use serde_json::json;

use crate::this_month;

const EVENTS: usize = 3000;

#[test]
fn killing_any_process_loses_nothing_and_doubles_nothing() {
    let mut services = Services::start(Layout::Mesh);
    let month = this_month()[..7].to_owned();
    for name in services.names() {
        let user = format!("user-of-{name}");
        let _ = services.pathway(&["budget", "set", "--user", &user, "--limit", "dining=100.00"]).succeeded();
        let lines: String = (0..EVENTS)
            .map(|n| {
                let event = json!({"id": format!("{name}-{n}"), "user_id": user, "amount": "0.10", "category": "dining",
                    "transaction_date": this_month()});
                format!("{event}\n")
            })
            .collect();
        let file = services.file("events.jsonl", lines);
        let publish = services
            .pathway_command(&[
                "publish",
                "transactions",
                "--file",
                file.to_str().unwrap(),
                "--wait",
                "--json",
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Something has been done and something is left to do: the moment to pull the plug.
        eventually("the first executions are recorded", || {
            let run = services.pathway(&["executions", "--limit", "1", "--json"]);
            (run.ok && run.stdout.contains(&format!("{name}-"))).then_some(())
        });
        services.kill(name);
        services.restart(name);

        let published = Run::from(publish.wait_with_output().unwrap()).succeeded().json();
        assert_eq!(published["accepted"], EVENTS);
        let run = services.pathway(&["spending", "--user", &user, "--period", &month, "--json"]);
        let total = &run.succeeded().json()["total"];
        assert_eq!(
            (&total["net"], &total["count"]),
            (&"300.00".into(), &EVENTS.into()),
            "after killing {name}"
        );
        let notices = services.pathway(&["notifications", "--user", &user, "--json"]).succeeded().json();
        let types: Vec<&str> = notices["notifications"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|notice| notice["type"].as_str())
            .filter(|kind| kind.starts_with("budget_"))
            .collect();
        assert!(types == ["budget_warning", "budget_exceeded"], "{types:?} after killing {name}");
    }
    let letters = services.pathway(&["dead-letters", "--json"]).succeeded().json();
    assert_eq!(letters["total"], 0, "nothing is dead because a peer was down");
}
