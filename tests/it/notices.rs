//! What a user is told, from the topic and the command line to their devices.

use pathway_testkit::{Layout, Services, eventually};
use serde_json::{Value, json};

use crate::this_month;

fn listed(services: &Services, more: &[&str]) -> Value {
    let args = [&["notifications", "list", "--user", "ravi", "--json"], more].concat();
    services.pathway(&args).succeeded().json()
}

fn ids(document: &Value) -> Vec<String> {
    let notices = document["notifications"].as_array().unwrap();
    notices.iter().map(|notice| notice["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_event_of_the_predecessor_is_told_and_marked_and_put_away() {
    for layout in [Layout::AllInOne, Layout::Mesh] {
        let services = Services::start(layout);
        let event = json!({"user_id": "ravi", "type": "document_ready", "message": "March is in", "metadata": {"pages": 3}});
        let odd = json!({"user_id": "ravi", "type": "moon_phase", "channel": "push"});
        for event in [event, odd] {
            let data = event.to_string();
            let _ = services.pathway(&["publish", "notifications", "--data", &data, "--wait"]).succeeded();
        }
        let document = listed(&services, &[]);
        assert_eq!(document["unread"], 2);
        let first = &document["notifications"][0];
        assert_eq!((&first["title"], &first["metadata"]["pages"]), (&json!("Document ready"), &json!("3")));
        assert_eq!(document["notifications"][1]["title"], "Notification");

        let ids = ids(&document);
        let verb = |verb: &str, id: &str| {
            services.pathway(&["notifications", verb, "--user", "ravi", id, "--json"]).succeeded().json()
        };
        assert_eq!(verb("read", &ids[0])["unread"], 1);
        assert_eq!(verb("unread", &ids[0])["unread"], 2);
        assert_eq!(verb("archive", &ids[1])["unread"], 1);
        assert_eq!(listed(&services, &[])["notifications"].as_array().unwrap().len(), 1);
        assert_eq!(listed(&services, &["--all"])["notifications"].as_array().unwrap().len(), 2);
        let thief =
            services.pathway(&["notifications", "read", "--user", "thief", &ids[0], "--json"]).failed();
        assert_eq!(thief.json()["results"][0]["error"], "NOT_FOUND");
    }
}

#[test]
fn what_is_over_is_marked_so_on_every_device() {
    let services = Services::start(Layout::AllInOne);
    let send = |more: &[&str]| {
        let args = [&["notifications", "send", "--user", "ravi", "--about", "budget/dining", "--json"], more]
            .concat();
        services.pathway(&args).succeeded().json()
    };
    send(&["--type", "budget_warning", "--key", "80"]);
    assert_eq!(send(&["--type", "budget_exceeded", "--key", "100"])["ended"], 1);
    assert_eq!(send(&["--key", "over", "--resolve"])["ended"], 1);
    assert_eq!(send(&["--key", "over", "--resolve"])["duplicate"], true);
    let document = listed(&services, &["--all"]);
    let states: Vec<&Value> =
        document["notifications"].as_array().unwrap().iter().map(|notice| &notice["state"]).collect();
    assert_eq!((states, &document["unread"]), (vec![&json!("replaced"), &json!("resolved")], &json!(0)));

    let args = ["notifications", "watch", "--user", "ravi", "--limit", "2", "--json"];
    let lines = services.pathway(&args).succeeded().stdout;
    let kinds: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].take()).collect();
    assert_eq!(kinds, ["replaced", "resolved"]);
}

#[test]
fn what_goes_out_is_chosen_seen_and_sent_again() {
    let services = Services::start(Layout::AllInOne);
    let run = |args: &[&str]| services.pathway(&[args, &["--user", "ravi", "--json"]].concat());
    let said = run(&[
        "preferences",
        "set",
        "--quiet",
        "22:00-07:30",
        "--time-zone",
        "Asia/Kolkata",
        "--rule",
        "*/email=daily",
    ]);
    let said = said.succeeded().json();
    assert_eq!(
        (&said["quiet_hours"]["until"], &said["rules"][0]["mode"]),
        (&json!("07:30"), &json!("daily"))
    );
    let shown = run(&["preferences"]).succeeded().json();
    assert_eq!(shown["effective"].as_array().unwrap().len(), 40);
    let refused = run(&["preferences", "set", "--time-zone", "Mars/Olympus"]).failed();
    assert!(refused.stderr.contains("time_zone"), "{}", refused.stderr);

    let made = run(&["webhooks", "create", "http://127.0.0.1:9/hook"]).succeeded().json();
    let id = made["id"].as_str().unwrap();
    let listed = run(&["webhooks"]).succeeded();
    assert!(!listed.stdout.contains(made["secret"].as_str().unwrap()), "a secret is shown once");
    let _ = run(&["notifications", "send", "--key", "a", "--type", "budget_warning"]).succeeded();
    let failed = eventually("the webhook is refused", || {
        let found = run(&["deliveries", "--state", "failed", "--target", id]).succeeded().json();
        found["deliveries"].as_array().unwrap().first().cloned()
    });
    assert!(failed["reason"].as_str().unwrap().contains("private"), "{failed}");
    let again = run(&["deliveries", "retry", failed["id"].as_str().unwrap()]).succeeded().json();
    assert_eq!(again["state"], "waiting");
    assert_ne!(run(&["webhooks", "rotate", id]).succeeded().json()["secret"], made["secret"]);
    let _ = run(&["webhooks", "delete", id]).succeeded();
    assert_eq!(run(&["webhooks"]).succeeded().json()["webhooks"], json!([]));
    let preview = services.pathway(&[
        "preferences",
        "preview",
        "--type",
        "goal_milestone",
        "--channel",
        "push",
        "--fact",
        "goal=Goa",
        "--json",
    ]);
    assert_eq!(preview.succeeded().json()["message"], "You have reached a milestone of Goa.");
}

/// A browser's public key and secret; nobody has the private one.
const P256DH: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";

#[test]
fn an_overrun_that_is_corrected_is_resolved_everywhere_and_tells_nobody_later() {
    for layout in [Layout::AllInOne, Layout::Mesh] {
        let services = Services::start(layout);
        let run = |args: &[&str]| services.pathway(&[args, &["--user", "ravi", "--json"]].concat());
        let purchase = |amount: &str| {
            let event = json!({"id": "1", "user_id": "ravi", "amount": amount, "category": "dining",
                "transaction_date": this_month()});
            let data = event.to_string();
            let _ = services.pathway(&["publish", "transactions", "--data", &data, "--wait"]).succeeded();
        };
        let _ =
            services.pathway(&["budget", "set", "--user", "ravi", "--limit", "dining=100.00"]).succeeded();
        // Quiet all day but for a minute, which is not now.
        let minute_of_day = pathway_kernel::Clock::system().now_us() / 60_000_000 % 1440;
        let from = (minute_of_day + 720) % 1440;
        let time = |minute: i64| format!("{:02}:{:02}", minute / 60, minute % 60);
        let quiet = format!("{}-{}", time((from + 1) % 1440), time(from));
        let _ = run(&["preferences", "set", "--quiet", &quiet]).succeeded();
        let added = run(&["push", "add", "https://push.example/1", "--p256dh", P256DH, "--auth", AUTH]);
        let phone = added.succeeded().json()["id"].as_str().unwrap().to_owned();
        assert_eq!(run(&["push"]).succeeded().json()["subscriptions"][0]["id"], json!(phone));

        purchase("120.00");
        let told = listed(&services, &[]);
        let notice = &told["notifications"][0];
        assert_eq!((&notice["type"], &notice["state"]), (&json!("budget_exceeded"), &json!("open")));
        let waiting = run(&["deliveries", "--state", "waiting"]).succeeded().json();
        let message = waiting["deliveries"][0]["id"].as_str().unwrap().to_owned();

        purchase("12.00");
        let document = listed(&services, &[]);
        assert_eq!(
            (&document["notifications"][0]["state"], &document["unread"]),
            (&json!("resolved"), &json!(0))
        );
        let args = ["notifications", "watch", "--user", "ravi", "--limit", "1", "--json"];
        let line: Value = serde_json::from_str(&services.pathway(&args).succeeded().stdout).unwrap();
        assert_eq!(line["kind"], "resolved", "{line}");

        // When its time comes it is asked again.
        let _ = run(&["deliveries", "retry", &message]).succeeded();
        let dropped = eventually("the message is dropped", || {
            let found = run(&["deliveries", "--state", "dropped"]).succeeded().json();
            found["deliveries"].as_array().unwrap().first().cloned()
        });
        assert!(dropped["reason"].as_str().unwrap().contains("resolved"), "{dropped}");
        assert_eq!(dropped["attempts"], json!([]), "nothing was sent");

        let _ = run(&["push", "remove", &phone]).succeeded();
        assert_eq!(run(&["push"]).succeeded().json()["subscriptions"], json!([]));
        let refused = services.pathway(&["push", "key"]).failed();
        assert!(refused.stderr.contains("push.key_file"), "{}", refused.stderr);
    }
}
