//! What the command line owes to whoever sits before it, or scripts it.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use pathway_testkit::{Layout, Services};
use serde_json::{Value, json};

use crate::this_month;

fn event(id: &str) -> String {
    json!({"id": id, "user_id": "u", "amount": 1, "category": "x", "transaction_date": this_month()})
        .to_string()
}

#[test]
fn a_report_is_printed_also_where_the_wait_is_over() {
    let mut services = Services::start(Layout::Mesh);
    // What nobody processes is never done.
    services.kill("datasync");
    let file = services.file("mixed.jsonl", format!("{{\"id\":\"bad\"}}\n{}\n", event("good")));
    let file = file.to_str().unwrap();
    let run =
        services.pathway(&["publish", "transactions", "--file", file, "--wait", "--timeout", "1", "--json"]);
    let run = run.failed();
    assert!(run.stderr.contains("--timeout"), "{}", run.stderr);
    let document = run.json();
    assert_eq!((&document["accepted"], &document["refused"][0]["line"]), (&json!(1), &json!(1)));
}

#[test]
fn a_wrong_limit_is_named_and_none_is_set() {
    let services = Services::start(Layout::AllInOne);
    let limits = ["--limit", "a=5", "--limit", "b=-1", "--limit", "c=many", "--limit", "A=6"];
    let mut args = vec!["budget", "set", "--user", "u"];
    args.extend(limits);
    let run = services.pathway(&args).failed();
    for limit in ["b=-1", "c=many", "A=6"] {
        assert!(run.stderr.contains(limit), "{limit}: {}", run.stderr);
    }
    let shown = services.pathway(&["budget", "show", "--user", "u", "--json"]).succeeded().json();
    assert_eq!(shown["budgets"], json!([]));
}

#[test]
fn a_limit_holds_at_once_and_a_period_from_the_next_boundary() {
    let services = Services::start(Layout::AllInOne);
    let set = |limit: &str, period: &str| {
        let args = ["budget", "set", "--user", "u", "--limit", limit, "--period", period, "--json"];
        services.pathway(&args).succeeded().json()["budgets"][0].clone()
    };
    assert_eq!(set("x=100.00", "month")["changes_on"], json!(null));
    let set = set("x=50.00", "year");
    assert_eq!((&set["limit"], &set["changes_on"]), (&json!("50.00"), &set["period_end"]));
}

#[test]
fn one_event_may_have_many_lines_and_control_characters_are_not_obeyed() {
    let services = Services::start(Layout::AllInOne);
    let pretty = event("\u{1b}[2J").replace(',', ",\n  ");
    let run = services.pathway(&["publish", "transactions", "--data", &pretty, "--wait", "--json"]);
    assert_eq!(run.succeeded().json()["accepted"], 1);
    let listed = services.pathway(&["executions"]).succeeded();
    assert!(!listed.stdout.contains('\u{1b}') && listed.stdout.contains("\\u{1b}[2J"), "{}", listed.stdout);
}

/// A version of the pathway that ships which writes and tells nobody.
const QUIET: &str = "
pathway: transactions
on: { topic: transactions, key: input.user_id }
input: { $ref: any.json }
nodes:
  update: { use: datasync.write, with: { record: '${input}' } }
";

#[test]
fn a_pathway_is_checked_registered_activated_and_taken_back() {
    let services = Services::start(Layout::AllInOne);
    let _ = services.file("any.json", r#"{"type":"object"}"#);
    let good = services.file("quiet.yaml", QUIET);
    let bad =
        services.file("bad.yaml", QUIET.replace("datasync.write", "datasync.read").replace("user_id }", "}"));
    let (good, bad) = (good.to_str().unwrap(), bad.to_str().unwrap());

    let nowhere = ["--server", "http://127.0.0.1:1"];
    let run = services.pathway(&["pathways", "validate", good, "--json", nowhere[0], nowhere[1]]);
    let checked = run.succeeded().json();
    let run = services.pathway(&["pathways", "validate", bad]).failed();
    assert!(run.stderr.contains("on.key") || run.stderr.contains("nodes.update.use"), "{}", run.stderr);
    let _ = services.pathway(&["pathways", "register", bad]).failed();

    let shipped = services.pathway(&["pathways", "show", "transactions", "--json"]).succeeded().json();
    let kept = services.pathway(&["pathways", "register", good, "--json"]).succeeded().json();
    assert_eq!((&kept["version"], &kept["active"]), (&checked["version"], &json!(false)));
    let version = kept["version"].as_str().unwrap();
    let run = services.pathway(&["pathways", "activate", "transactions", &version[..6], "--json"]);
    assert_eq!(run.succeeded().json()["previous_version"], shipped["version"]);
    let _ = services.pathway(&["publish", "transactions", "--data", &event("1"), "--wait"]).succeeded();
    let ran = services.pathway(&["executions", "--json"]).succeeded().json();
    assert_eq!(ran["executions"][0]["version"], kept["version"]);

    let _ = services.pathway(&["pathways", "deactivate", "transactions"]).succeeded();
    let refused = services.pathway(&["publish", "transactions", "--data", &event("2")]).failed();
    assert!(refused.stderr.contains("pathways activate"), "{}", refused.stderr);
    let back = shipped["version"].as_str().unwrap();
    let _ = services.pathway(&["pathways", "activate", "transactions", back]).succeeded();
    let listed = services.pathway(&["pathways", "--json"]).succeeded().json();
    let listed = named(&listed["pathways"], "transactions");
    assert_eq!((&listed["version"], &listed["active"]), (&shipped["version"], &json!(true)));
    let shown = services.pathway(&["pathways", "show", "transactions", "--version", version, "--definition"]);
    assert_eq!(shown.succeeded().stdout.trim(), QUIET.trim());
}

#[test]
fn what_failed_is_found_shown_tried_and_goes_on_where_it_stopped() {
    let services = Services::start(Layout::AllInOne);
    // The notification is refused for good: its type is no text that a notice may have.
    let odd = QUIET.replace("transactions\non", "odd\non").replace("topic: transactions", "topic: odd").replace(
        "nodes:",
        "nodes:\n  tell: { use: notifications.send, needs: [update], with: { notice: { user_id: '${input.user_id}', type: '' } } }",
    );
    let _ = services.file("any.json", r#"{"type":"object"}"#);
    let file = services.file("odd.yaml", odd);
    let _ = services.pathway(&["pathways", "register", file.to_str().unwrap(), "--activate"]).succeeded();
    let planned = services.pathway(&["pathways", "dry-run", "odd", "--data", &event("1"), "--json"]);
    let planned = planned.succeeded().json();
    assert_eq!((&planned["accepted"], &planned["key"]), (&json!(true), &json!("u")));
    assert_eq!(planned["nodes"][0]["plan"], "runs");

    // Accepted, and then failed for good: whoever waits is told by the exit code, too.
    let waited = services.pathway(&["publish", "odd", "--data", &event("1"), "--wait"]).failed();
    assert!(waited.stdout.contains("accepted 1, refused 0\nfailed 1 for good"), "{}", waited.stdout);
    let run = services.pathway(&[
        "executions",
        "--key",
        "u",
        "--failed",
        "--since",
        "2020-01-01T00:00:00Z",
        "--json",
    ]);
    let found = run.succeeded().json()["executions"][0].clone();
    assert_eq!((&found["event_id"], &found["key"]), (&json!("1"), &json!("u")));
    let id = found["id"].as_str().unwrap();
    let tree = services.pathway(&["executions", "show", id]).succeeded().stdout;
    assert!(tree.contains("└─ ✓ update (datasync.write) succeeded"), "{tree}");
    assert!(tree.contains("   └─ ✗ tell (notifications.send) failed INVALID_ARGUMENT"), "{tree}");

    let _ = services.pathway(&["publish", "odd", "--data", &event("2"), "--wait"]).failed();
    let few = services.pathway(&["dead-letters", "--limit", "1"]).succeeded().stdout;
    assert!(few.contains("1 of 2 are shown"), "{few}");
    let all = services.pathway(&["dead-letters", "--limit", "2"]).succeeded().stdout;
    assert!(!all.contains("are shown"), "{all}");
    let few = services.pathway(&["executions", "--failed", "--limit", "1"]).succeeded().stdout;
    assert!(few.contains("1 are shown, the newest"), "{few}");
    let first = services.pathway(&["dead-letters", "--json"]).succeeded().json();
    let second = first["dead_letters"][0]["id"].as_str().unwrap();
    let _ = services.pathway(&["dead-letters", "discard", second, "--reason", "a test"]).succeeded();

    let groups = services.pathway(&["dead-letters", "groups", "--json"]).succeeded().json();
    assert_eq!((&groups["groups"][0]["count"], &groups["groups"][0]["node"]), (&json!(1), &json!("tell")));
    let listed = services.pathway(&["dead-letters", "--node", "tell", "--json"]).succeeded().json();
    let letter = listed["dead_letters"][0]["id"].as_str().unwrap();
    let shown = services.pathway(&["dead-letters", "show", letter, "--json"]).succeeded().json();
    assert!(shown["answers"]["update"]["change"].is_string(), "{shown}");
    let _ = services.pathway(&["dead-letters", "dry-run", letter]).succeeded();
    let bad = services.pathway(&["dead-letters", "dry-run", letter, "--data", "7"]).failed();
    assert!(bad.stdout.contains("would be refused"), "{}", bad.stdout);

    // It fails again, since nothing was mended; but what had succeeded is not done again.
    let _ = services.pathway(&["dead-letters", "redrive", "--all", "--node", "tell"]).failed();
    let run = services.pathway(&["executions", "--event", "1", "--limit", "1", "--json"]).succeeded().json();
    assert_eq!(run["executions"][0]["nodes"][0]["status"], "reused");
    let refused = services.pathway(&["dead-letters", "redrive", letter, "--node", "tell"]).failed();
    assert!(refused.stderr.contains("--all"), "{}", refused.stderr);
}

#[test]
fn a_topic_is_listed_and_followed() {
    let services = Services::start(Layout::AllInOne);
    let lines: Vec<String> = (0..5).map(|n| event(&n.to_string())).collect();
    let file = services.file("five.jsonl", lines.join("\n"));
    let _ = services
        .pathway(&["publish", "transactions", "--file", file.to_str().unwrap(), "--wait"])
        .succeeded();
    let topics = services.pathway(&["topics", "--json"]).succeeded().json();
    let topic = named(&topics["topics"], "transactions");
    assert_eq!((&topic["events"], &topic["pathways"][0]["lag_events"]), (&json!(5), &json!(0)));
    let args = ["subscribe", "transactions", "--from", "earliest", "--key", "u", "--limit", "5", "--json"];
    let followed = services.pathway(&args).succeeded().stdout;
    let ids: Vec<String> = followed
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids, ["0", "1", "2", "3", "4"]);
    let wrong = services.pathway(&["subscribe", "transactions", "--from", "yesterday"]).failed();
    assert!(wrong.stderr.contains("earliest"), "{}", wrong.stderr);
    let unknown = services.pathway(&["subscribe", "nothing", "--limit", "1"]).failed();
    assert!(unknown.stderr.contains("there is no topic"), "{}", unknown.stderr);
}

/// The one of this name.
fn named<'a>(all: &'a Value, name: &str) -> &'a Value {
    all.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap()
}

#[test]
fn an_operator_sees_and_sets_the_breakers_of_every_layout() {
    for layout in [Layout::AllInOne, Layout::Mesh] {
        let services = Services::start(layout);
        let listed = services.pathway(&["breakers", "--json"]).succeeded().json();
        let targets: Vec<&str> = listed["breakers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|breaker| breaker["target"].as_str().unwrap())
            .collect();
        for expected in ["analytics/datasync", "processor/analytics", "processor/datasync"] {
            assert!(targets.contains(&expected), "{expected} is not in {targets:?}");
        }
        let set = |action: &str| {
            let run = services.pathway(&["breakers", action, "analytics/datasync", "--json"]).succeeded();
            run.json()["breakers"][0]["state"].clone()
        };
        assert_eq!([set("trip"), set("reset")], [json!("tripped"), json!("closed")]);
        assert_eq!([set("disable"), set("enable")], [json!("disabled"), json!("closed")]);
        let run = services.pathway(&["breakers", "trip", "processor/nobody"]).failed();
        assert!(run.stderr.contains("no breaker"), "{}", run.stderr);
    }
}

#[test]
fn breakers_are_shown_of_the_services_that_answer() {
    let mut services = Services::start(Layout::Mesh);
    services.kill("analytics");
    let run = services.pathway(&["breakers", "--json"]).failed();
    let listed = run.json();
    let targets = listed["breakers"].as_array().unwrap().iter().map(|one| one["target"].as_str().unwrap());
    assert!(targets.clone().any(|target| target.starts_with("processor/")), "{listed}");
    assert_eq!(listed["unanswered"][0]["server"], services.url("analytics"));
    assert!(run.stderr.contains(&services.url("analytics")), "{}", run.stderr);

    // Whoever follows them hears of the others, and of that one once it is there again.
    let mut command = services.pathway_command(&["breakers", "watch", "--json"]);
    let mut watch = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut next_of =
        |service: &str| lines.by_ref().find(|line| line.contains(&format!("\"{service}/"))).map(|_| ());
    assert_eq!(next_of("processor"), Some(()));
    services.restart("analytics");
    assert_eq!(next_of("analytics"), Some(()));
    let _ = services.pathway(&["breakers", "trip", "processor/datasync"]).succeeded();
    assert_eq!(next_of("processor"), Some(()));
    watch.kill().unwrap();
    watch.wait().unwrap();
}

#[test]
fn where_nobody_is_there_one_clear_line_says_so() {
    let mut services = Services::start(Layout::AllInOne);
    services.kill("pathway");
    let data = event("1");
    for args in [
        vec!["topics"],
        vec!["watch"],
        vec!["breakers", "watch"],
        vec!["publish", "transactions", "--data", &data],
    ] {
        let run = services.pathway(&args).failed();
        assert_eq!(run.stdout, "", "{args:?}: nothing was done, so nothing is reported");
        let lines: Vec<&str> = run.stderr.lines().collect();
        assert!(lines[0].starts_with("error: nobody answers"), "{args:?}: {}", run.stderr);
        assert!(lines[1].contains("pathway up") && lines[1].contains("--server"), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn https_where_no_tls_is_spoken_is_told_what_to_do() {
    let services = Services::start(Layout::AllInOne);
    let server = services.url("processor").replace("http://", "https://");
    let run = services.pathway(&["topics", "--server", &server]).failed();
    assert!(run.stderr.contains("`http://`"), "{}", run.stderr);
}

#[test]
fn a_pipe_that_nobody_reads_is_no_failure() {
    let services = Services::start(Layout::Mesh);
    // Whoever was to read has gone before anything is written: the pipe is closed.
    let closed = || {
        let mut reader = std::process::Command::new("true").stdin(Stdio::piped()).spawn().unwrap();
        let pipe = reader.stdin.take().unwrap();
        reader.wait().unwrap();
        Stdio::from(pipe)
    };
    for args in [["topics", "--json"], ["pathways", "--json"], ["executions", "--help"]] {
        let code = services.pathway_command(&args).stdout(closed()).status().unwrap();
        assert_eq!(code.code(), Some(0), "{args:?}");
    }
    let refused = ["publish", "transactions", "--data", "{}"];
    for args in [&["dead-letters", "show", "nothing"][..], &refused, &["nonsense"]] {
        let mut command = services.pathway_command(args);
        let code = command.stdout(closed()).stderr(closed()).status().unwrap().code();
        assert!(matches!(code, Some(0..=2)), "{args:?}: {code:?}");
    }
    let mut processor = services.command("processor");
    let code = processor.arg("--print-config").stdout(closed()).stderr(closed()).status().unwrap();
    assert_eq!(code.code(), Some(0));
}
