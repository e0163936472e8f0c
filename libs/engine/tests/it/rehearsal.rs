//! The test kit, as a user would use it.

use std::sync::Arc;
use std::time::Duration;

use pathway_engine::{Definition, NodeStatus, Recording, Rehearsal, Tools, Transform};
use pathway_kernel::{Code, Fault};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::tools::Echo;

const DAILY: &str = "
pathway: daily
on: { topic: days, key: input.user }
nodes:
  read: { use: echo, with: { value: '${input.day}' }, retry: { attempts: 3, first: 1m, longest: 1m }, timeout: 5m }
  shape: { use: transform, needs: [read], with: { value: { day: '${nodes.read}', of: '${input.user}' } } }
output: '${nodes.shape.value}'
";

fn tools() -> Tools {
    Tools::default().with(Arc::new(Echo::default())).with(Arc::new(Transform))
}

fn definition() -> Definition {
    Definition::parse(DAILY, &|_| None).unwrap()
}

fn stubbed() -> Rehearsal {
    let rehearsal = Rehearsal::new(definition(), &tools()).unwrap();
    rehearsal.stub("transform", |arguments| Ok(json!({"value": arguments["value"]})));
    rehearsal
}

#[tokio::test(start_paused = true)]
async fn a_month_passes_in_no_time() {
    let rehearsal = stubbed();
    // Every third day the peer is away once, which costs half a minute at least.
    let tries = std::sync::Mutex::new(0);
    rehearsal.stub("echo", move |arguments| {
        let mut tries = tries.lock().unwrap();
        *tries += 1;
        if *tries % 4 == 3 {
            return Err(Fault::new(Code::Unavailable, "AWAY", "for a while"));
        }
        Ok(arguments["value"].clone())
    });
    let begun = Instant::now();
    for day in 1..=30 {
        let outcome = rehearsal.run(json!({"user": "asha", "day": day})).await.unwrap();
        assert_eq!(outcome.output, json!({"day": day, "of": "asha"}));
        tokio::time::advance(Duration::from_secs(24 * 60 * 60)).await;
    }
    assert!(begun.elapsed() > Duration::from_secs(30 * 24 * 60 * 60));
    assert_eq!(rehearsal.calls().iter().filter(|call| call.tool == "transform").count(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_tool_without_a_stub_says_so_and_one_that_is_away_parks() {
    let rehearsal = stubbed();
    let outcome = rehearsal.run(json!({"user": "asha", "day": 1})).await.unwrap();
    assert_eq!(outcome.failure.unwrap().fault.reason(), "NO_STUB");
    assert_eq!(outcome.nodes[0].status, NodeStatus::Failed);
    rehearsal.stub("echo", |_| Err(Fault::new(Code::Unavailable, "AWAY", "for a while")));
    let parked = rehearsal.run(json!({"user": "asha", "day": 2})).await.unwrap_err();
    assert_eq!(parked.reason(), "AWAY");
    rehearsal.stub("echo", |arguments| Ok(arguments["value"].clone()));
    rehearsal.run(json!({"user": "asha", "day": 2})).await.unwrap();
    let keys: Vec<String> =
        rehearsal.calls().into_iter().filter(|call| call.tool == "echo").map(|call| call.key).collect();
    assert_eq!(keys[1], keys[keys.len() - 1], "a run that was parked is repeated with its keys");
    assert_ne!(keys[0], keys[1]);
}

#[tokio::test]
async fn what_was_recorded_is_played_again() {
    let real = Rehearsal::recording_of(definition(), &tools()).unwrap();
    let days: Vec<Value> = (1..=3).map(|day| json!({"user": "asha", "day": day})).collect();
    let mut outputs = Vec::new();
    for outcome in real.run_all(days.clone()).await.unwrap() {
        outputs.push(outcome.output);
    }
    real.run(json!({"user": "asha", "day": {"fail": 1}})).await.unwrap();
    // By way of a file.
    let text = real.recording().to_json().to_string();
    let recording = Recording::from_json(&serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(recording, real.recording());

    let again = Rehearsal::new(definition(), &tools()).unwrap();
    again.replay(&recording);
    let played = again.run_all(days).await.unwrap();
    assert!(played.iter().zip(&outputs).all(|(outcome, output)| outcome.output == *output));
    let failed = again.run(json!({"user": "asha", "day": {"fail": 1}})).await.unwrap();
    assert_eq!(failed.failure.unwrap().fault.code(), Code::OutOfRange);
    let unknown = again.run(json!({"user": "asha", "day": 9})).await.unwrap();
    assert_eq!(unknown.failure.unwrap().fault.reason(), "NOT_RECORDED");
    assert!(Recording::from_json(&json!([{"tool": "echo"}])).is_err());
}

#[tokio::test]
async fn a_transformation_answers_its_template_with_every_digit() {
    let yaml = "pathway: p\non: { topic: t, key: input.id }\nnodes:
  shape: { use: transform, with: { value: { of: '${input.id}', amount: '${input.amount}', twice: '${input.n * 2}' } } }
output: '${nodes.shape.value}'\n";
    let definition = Definition::parse(yaml, &|_| None).unwrap();
    let pathway = Rehearsal::recording_of(definition, &tools()).unwrap();
    let data: Value =
        serde_json::from_str(r#"{"id": "1", "amount": 0.10000000000000000001, "n": 21}"#).unwrap();
    let output = pathway.run(data).await.unwrap().output;
    assert_eq!(output.to_string(), r#"{"of":"1","amount":0.10000000000000000001,"twice":42}"#);
}
