//! Events into alerts: each crossing once, in order, whatever is sent twice.

use pathway_testkit::{Layout, Services};
use serde_json::{Value, json};

use crate::this_month;

fn event(id: &str, user: &str, amount: &str) -> Value {
    json!({"id": id, "user_id": user, "amount": amount, "category": "dining", "transaction_date": this_month()})
}

fn publish(services: &Services, events: &[Value]) -> Value {
    let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
    let file = services.file("events.jsonl", lines);
    let run =
        services.pathway(&["publish", "transactions", "--file", file.to_str().unwrap(), "--wait", "--json"]);
    run.succeeded().json()
}

fn notices(services: &Services, user: &str) -> Vec<Value> {
    let document = services.pathway(&["notifications", "--user", user, "--json"]).succeeded().json();
    document["notifications"].as_array().unwrap().clone()
}

fn budget(services: &Services, user: &str) {
    let _ = services.pathway(&["budget", "set", "--user", user, "--limit", "dining=100.00"]).succeeded();
}

fn net(services: &Services, user: &str) -> String {
    let month = &this_month()[..7];
    let document =
        services.pathway(&["spending", "--user", user, "--period", month, "--json"]).succeeded().json();
    document["total"]["net"].as_str().unwrap().to_owned()
}

#[test]
fn each_threshold_alerts_once_and_in_order() {
    for layout in [Layout::AllInOne, Layout::Mesh] {
        let services = Services::start(layout);
        budget(&services, "ravi");
        budget(&services, "mina");
        for (id, amount) in [("1", "79.99"), ("2", "0.01"), ("3", "5.00"), ("4", "30.00"), ("2", "0.01")] {
            assert_eq!(publish(&services, &[event(id, "ravi", amount)])["accepted"], 1);
        }
        publish(&services, &[event("1", "mina", "120.00")]);

        let ravi = notices(&services, "ravi");
        let types: Vec<&str> = ravi.iter().map(|notice| notice["type"].as_str().unwrap()).collect();
        assert_eq!(types, ["budget_warning", "budget_exceeded"], "{layout:?}");
        let warning = &ravi[0]["metadata"];
        let expected = [("category", "dining"), ("spent", "80.00"), ("limit", "100.00"), ("percent", "80")];
        for (key, value) in expected {
            assert_eq!(warning[key], value, "{key}");
        }
        assert_eq!(warning["period"], this_month()[..7]);
        assert_eq!(ravi[1]["metadata"]["spent"], "115.00");

        let mina = notices(&services, "mina");
        assert_eq!(mina.len(), 1);
        assert_eq!(mina[0]["type"], "budget_exceeded");
        assert_eq!(net(&services, "ravi"), "115.00");
    }
}

#[test]
fn an_edit_moves_the_totals_by_the_difference_and_a_delete_takes_them_back() {
    let services = Services::start(Layout::AllInOne);
    publish(
        &services,
        &[event("1", "ravi", "40.00"), event("2", "ravi", "10.00"), event("1", "ravi", "40.00")],
    );
    assert_eq!(net(&services, "ravi"), "50.00");
    publish(&services, &[event("1", "ravi", "25.50")]);
    assert_eq!(net(&services, "ravi"), "35.50");
    publish(&services, &[json!({"id": "1", "user_id": "ravi", "deleted": true})]);
    assert_eq!(net(&services, "ravi"), "10.00");
    publish(&services, &[json!({"id": "1", "user_id": "ravi", "deleted": true})]);
    assert_eq!(net(&services, "ravi"), "10.00");
}

#[test]
fn notices_can_be_marked_as_read() {
    let services = Services::start(Layout::AllInOne);
    budget(&services, "ravi");
    publish(&services, &[event("1", "ravi", "85.00")]);
    let listed = services.pathway(&["notifications", "--user", "ravi", "--json"]).succeeded().json();
    assert_eq!(listed["unread"], 1);
    let marked = services.pathway(&["notifications", "--user", "ravi", "--mark-all-read", "--json"]);
    assert_eq!(marked.succeeded().json()["unread"], 0);
    assert_eq!(notices(&services, "ravi")[0]["read"], true);
}

#[test]
fn what_ran_can_be_listed() {
    let services = Services::start(Layout::AllInOne);
    publish(&services, &[event("1", "ravi", "1.00")]);
    let executions = services.pathway(&["executions", "--json"]).succeeded().json();
    assert_eq!(executions["executions"][0]["event_id"], "1");
    assert_eq!(executions["executions"][0]["status"], "succeeded");
    let pathways = services.pathway(&["pathways", "--json"]).succeeded().json();
    let names: Vec<&Value> =
        pathways["pathways"].as_array().unwrap().iter().map(|pathway| &pathway["name"]).collect();
    assert_eq!(names, ["analytics", "notifications", "transactions"]);
    let letters = services.pathway(&["dead-letters", "--json"]).succeeded().json();
    assert_eq!(letters["total"], 0);
}
