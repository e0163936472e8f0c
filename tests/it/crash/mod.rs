//! `kill -9` of each process in turn during a publish, then a restart: every accepted event is applied once.

mod deliveries;
mod model;
mod payments;
mod torn;

use std::collections::BTreeMap;
use std::process::{Child, Stdio};

use pathway_testkit::{Layout, Run, Services, eventually};
use serde_json::{Value, json};

use crate::{from_environment, this_month};
pub(crate) use model::Model;

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

/// What a round publishes for each user.
const EVENTS_OF_A_ROUND: usize = 120;
const USERS: [&str; 3] = ["asha", "bela", "chen"];

#[test]
fn kills_at_random_moments_lose_nothing_and_double_nothing() {
    let (rounds, seed) =
        (from_environment("PATHWAY_CRASH_ROUNDS", 10), from_environment("PATHWAY_SEED", 2026));
    eprintln!("crash suite: {rounds} rounds, PATHWAY_SEED={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut services = Services::start(Layout::Mesh);
    let mut models: BTreeMap<&str, Model> = USERS.map(|user| (user, Model::default())).into();
    let names = services.names();
    for round in 0..rounds {
        // One user of each round crosses its budget, and must be told so once.
        let alerted = format!("alerted-{round}");
        let _ =
            services.pathway(&["budget", "set", "--user", &alerted, "--limit", "dining=10.00"]).succeeded();
        let mut events: Vec<Value> = (0..10)
            .map(|n| {
                json!({"id": format!("{alerted}-{n}"), "user_id": alerted, "amount": "1.10", "category": "dining",
                    "transaction_date": this_month()})
            })
            .collect();
        for (user, model) in &mut models {
            events.extend(model.next_events(user, EVENTS_OF_A_ROUND, &mut rng));
        }
        let before = processed(&services);
        let publish = publishing(&services, &events);
        let moment = before + rng.usize(..events.len());
        eventually("so many events have been processed", || (processed(&services) >= moment).then_some(()));

        // Each process in turn; every fifth time all at once, as in a power cut.
        let turn = usize::try_from(round).unwrap();
        let victims: Vec<&'static str> =
            if turn % 5 == 4 { names.clone() } else { vec![names[turn % 5 % names.len()]] };
        victims.iter().for_each(|victim| services.kill(victim));
        if victims.len() == names.len() {
            torn::tear(&services.data_dir(), &mut rng);
        }
        victims.iter().for_each(|victim| services.restart(victim));

        let published = Run::from(publish.wait_with_output().unwrap()).succeeded().json();
        assert_eq!((&published["accepted"], &published["refused"]), (&json!(events.len()), &json!([])));
        verify(
            &services,
            &models,
            &alerted,
            &format!("round {round}, PATHWAY_SEED={seed}, killed {victims:?}"),
        );
    }
    let letters = services.pathway(&["dead-letters", "--json"]).succeeded().json();
    assert_eq!(letters["total"], 0, "nothing is dead because a peer was down");
}

fn publishing(services: &Services, events: &[Value]) -> Child {
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    let file = services.file("round.jsonl", lines.join("\n"));
    let args =
        ["publish", "transactions", "--file", file.to_str().unwrap(), "--wait", "--timeout", "120", "--json"];
    let mut command = services.pathway_command(&args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// How many events have been processed so far.
fn processed(services: &Services) -> usize {
    let run = services.pathway(&["topics", "--json"]);
    let topics = run.succeeded().json();
    let topics = topics["topics"].as_array().unwrap();
    let topic = topics.iter().find(|topic| topic["name"] == "transactions").unwrap();
    let accepted: u64 =
        topic["partitions"].as_array().unwrap().iter().map(|p| p["next_offset"].as_u64().unwrap()).sum();
    let waiting =
        topic["pathways"].as_array().unwrap().iter().map(|p| p["lag_events"].as_u64().unwrap()).sum::<u64>();
    usize::try_from(accepted - waiting).unwrap()
}

fn verify(services: &Services, models: &BTreeMap<&str, Model>, alerted: &str, when: &str) {
    let month = this_month()[..7].to_owned();
    for (user, model) in models {
        let run = services.pathway(&["spending", "--user", user, "--period", &month, "--json"]);
        let total = run.succeeded().json()["total"].clone();
        let (net, count) = model.total();
        assert_eq!((&total["net"], &total["count"]), (&json!(net), &json!(count)), "{user}, {when}");
    }
    let notices = services.pathway(&["notifications", "--user", alerted, "--json"]).succeeded().json();
    let notices = notices["notifications"].as_array().unwrap();
    let types: Vec<&str> = notices
        .iter()
        .filter_map(|n| n["type"].as_str())
        .filter(|kind| kind.starts_with("budget_"))
        .collect();
    assert_eq!(types, ["budget_warning", "budget_exceeded"], "{when}");
    let sequences: Vec<u64> = notices.iter().map(|notice| notice["sequence"].as_u64().unwrap()).collect();
    assert_eq!(sequences, (1..=u64::try_from(sequences.len()).unwrap()).collect::<Vec<_>>(), "{when}");
}
