//! Savings goals, and what another system says of them, from the command line and the topic to the feed.

use pathway_testkit::{Layout, Services, eventually};
use serde_json::{Value, json};

use crate::this_month;

fn run(services: &Services, args: &[&str]) -> Value {
    services.pathway(&[args, &["--user", "ravi", "--json"]].concat()).succeeded().json()
}

fn publish(services: &Services, topic: &str, data: &Value) {
    let data = data.to_string();
    let document = services.pathway(&["publish", topic, "--data", &data, "--wait", "--json"]).succeeded();
    assert_eq!(document.json()["accepted"], 1, "{data}");
}

/// The milestones in the feed, oldest first.
fn milestones(services: &Services) -> Vec<String> {
    let document = run(services, &["notifications", "list"]);
    let notices = document["notifications"].as_array().unwrap().clone();
    let told = notices.iter().filter(|notice| notice["type"] == "goal_milestone");
    told.map(|notice| notice["metadata"]["milestone"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn g28_a_goal_is_set_saved_for_told_of_and_removed() {
    let services = Services::start(Layout::AllInOne);
    let set = run(&services, &["goals", "set", "Goa trip", "--target", "100.00", "--account", "pot"]);
    assert_eq!(
        (&set["goals"][0]["goal"], &set["goals"][0]["source"]),
        (&json!("goa_trip"), &json!("transfers"))
    );
    let into_pot = json!({"id": "s1", "user_id": "ravi", "amount": "-60.00", "category": "savings", "kind": "transfer",
        "account": "pot", "transaction_date": this_month()});
    publish(&services, "transactions", &into_pot);
    publish(&services, "transactions", &into_pot);
    eventually("half is told of", || (milestones(&services) == ["50"]).then_some(()));
    let added = run(&services, &["goals", "add", "goa_trip", "20.00", "--note", "cash"]);
    assert_eq!((&added["goals"][0]["saved"], &added["goals"][0]["percent"]), (&json!("80.00"), &json!(80)));
    eventually("three quarters are told of", || (milestones(&services) == ["50", "75"]).then_some(()));

    let shown = run(&services, &["goals", "show", "Goa trip"]);
    let parts = shown["contributions"].as_array().unwrap().clone();
    assert_eq!(parts.len(), 2);
    let by_hand = parts.iter().find_map(|part| part["contribution_id"].as_str()).unwrap();
    let back = run(&services, &["goals", "take-back", "goa_trip", by_hand]);
    assert_eq!(back["goals"][0]["saved"], "60.00");
    let table = services.pathway(&["goals", "--user", "ravi"]).succeeded().stdout;
    assert!(table.contains("60.00 of 100.00 USD") && table.contains("transfers of pot"), "{table}");
    let wrong =
        services.pathway(&["goals", "set", "x", "--user", "ravi", "--target", "many", "--start", "soon"]);
    let said = wrong.failed().stderr;
    assert!(said.contains("--target") && said.contains("--start"), "{said}");
    run(&services, &["goals", "remove", "goa_trip"]);
    assert_eq!(run(&services, &["goals", "list"])["goals"], json!([]));
    assert_eq!(milestones(&services), ["50", "75"], "each once");
}

#[test]
fn what_another_system_says_sets_limits_and_goals_and_adds_lines() {
    for layout in [Layout::AllInOne, Layout::Mesh] {
        let services = Services::start(layout);
        let month = this_month()[..7].to_owned();
        let line =
            json!({"id": "t-1", "amount": 120, "category": "dining", "transaction_date": this_month()});
        let say = |kind: &str, data: &Value| {
            publish(&services, "analytics", &json!({"user_id": "ravi", "event_type": kind, "data": data}));
        };
        for _ in 0..2 {
            say("budget_updated", &json!({"category": "dining", "amount": 100, "period": "monthly"}));
            say("transaction_added", &line);
            say("savings_goal", &json!({"name": "Goa trip", "target_amount": 1000, "current_amount": 100}));
            say("savings_goal", &json!({"name": "Goa trip", "target_amount": 1000, "current_amount": 600}));
            say("category_spending", &json!({"category": "dining", "total": 120, "period": month}));
            say("monthly_summary", &json!({"month": month, "total_expenses": 120, "total_income": 0}));
        }
        // The same line on the other topic is the same line.
        let mut whole = line.clone();
        whole["user_id"] = json!("ravi");
        publish(&services, "transactions", &whole);
        assert_eq!(run(&services, &["spending"])["total"]["net"], "120.00");
        let budget = run(&services, &["budget", "show"])["budgets"][0].clone();
        assert_eq!((&budget["limit"], &budget["revision"]), (&json!("100.00"), &json!(1)));
        let goal = run(&services, &["goals"])["goals"][0].clone();
        assert_eq!((&goal["saved"], &goal["percent"]), (&json!("600.00"), &json!(60)));
        eventually("half is told of", || (milestones(&services) == ["50"]).then_some(()));
        let notices = run(&services, &["notifications", "list"])["notifications"].as_array().unwrap().clone();
        let exceeded = notices.iter().filter(|notice| notice["type"] == "budget_exceeded").count();
        assert_eq!((exceeded, notices.len()), (1, 2));

        let wrong =
            json!({"user_id": "ravi", "event_type": "savings_goal", "data": {"target": 0}}).to_string();
        let refused = services.pathway(&["publish", "analytics", "--data", &wrong, "--json"]).failed();
        let refused = refused.json()["refused"].to_string();
        assert!(refused.contains("data.goal") && refused.contains("data.target"), "{refused}");
    }
}

#[test]
fn a_budget_says_more_than_its_limit() {
    let services = Services::start(Layout::AllInOne);
    let set = run(
        &services,
        &[
            "budget",
            "set",
            "--limit",
            "fun=100.00",
            "--group",
            "dining,travel",
            "--thresholds",
            "50,90",
            "--rollover",
            "all",
            "--pace",
            "true",
            "--start-day",
            "15",
        ],
    );
    let budget = &set["budgets"][0];
    assert_eq!(budget["thresholds"], json!([50, 90]));
    assert_eq!(budget["categories"], json!(["dining", "travel"]));
    assert_eq!((&budget["rollover"], &budget["pace"]), (&json!("all"), &json!(true)));
    assert!(budget["period_start"].as_str().unwrap().ends_with("-15"));
    let two = ["--limit", "a=1", "--limit", "b=1", "--group", "c"];
    let refused = services.pathway(&[&["budget", "set", "--user", "ravi"], &two[..]].concat()).failed();
    assert!(refused.stderr.contains("--group"), "{}", refused.stderr);
    assert_eq!(run(&services, &["budget", "closed"])["periods"], json!([]));
}
