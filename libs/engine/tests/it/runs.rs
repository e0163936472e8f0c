//! What runs, in which order, and what a failure means.

use std::time::Duration;

use pathway_engine::{BatchOutcome, NodeStatus};
use pathway_kernel::Code;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::tools::{build, done, events, pathway};

const CHAIN: &str = "  first: { use: echo, with: { value: '${input.first}' } }
  second: { use: echo, needs: [first], with: { value: '${nodes.first}' } }
";

#[tokio::test]
async fn what_a_node_answers_reaches_those_that_need_it_untouched() {
    let (pathway, echo) = pathway(CHAIN);
    // A number that no float holds, and one that only its text tells from another.
    let data: Value =
        serde_json::from_str(r#"{"id": "1", "first": {"amount": 0.10000000000000000001, "n": 1.50}}"#)
            .unwrap();
    let outcomes = done(&pathway, std::slice::from_ref(&data)).await;
    assert!(outcomes[0].failure.is_none());
    let second = &echo.calls()[1][0];
    assert_eq!(second.args["value"].to_string(), data["first"].to_string());
}

#[tokio::test]
async fn a_batch_is_one_call_for_each_node_with_keys_that_name_event_and_node() {
    let (pathway, echo) = pathway(CHAIN);
    let data: Vec<Value> = (0..100).map(|n| json!({"id": n.to_string(), "first": n})).collect();
    done(&pathway, &data).await;
    let calls = echo.calls();
    assert_eq!(calls.iter().map(Vec::len).collect::<Vec<_>>(), [100, 100]);
    assert_eq!(calls[0][7].key, "log/3/7/p/first");
    assert_eq!(calls[1][7].key, "log/3/7/p/second");
    assert_eq!(calls[1][7].position.offset, 7);
}

#[tokio::test]
async fn a_failure_for_good_ends_its_event_and_no_other() {
    let (pathway, echo) = pathway(CHAIN);
    let data = [json!({"first": 1}), json!({"first": {"fail": 1}}), json!({"first": 3})];
    let outcomes = done(&pathway, &data).await;
    let failure = outcomes[1].failure.as_ref().unwrap();
    assert_eq!((failure.node.as_str(), failure.fault.code()), ("first", Code::OutOfRange));
    assert_eq!(outcomes[1].nodes.len(), 1, "it went no further");
    assert!(outcomes[0].failure.is_none() && outcomes[2].failure.is_none());
    let reached: Vec<i64> = echo.calls()[1].iter().map(|item| item.position.offset).collect();
    assert_eq!(reached, [0, 2]);
}

#[tokio::test]
async fn a_failure_that_may_pass_parks_the_batch() {
    let (pathway, echo) = pathway(CHAIN);
    let data = [json!({"first": 1}), json!({"first": {"away": 1}}), json!({"first": {"fail": 1}})];
    let BatchOutcome::Park(fault) = pathway.run(events(&data)).await else { panic!("it has to wait") };
    assert_eq!(fault.reason(), "AWAY");
    assert_eq!(echo.calls().len(), 1, "nothing after it has run");
}

#[tokio::test]
async fn on_error_continue_goes_on_with_null() {
    let (pathway, echo) = pathway(
        "  first: { use: echo, on_error: continue, with: { value: '${input.first}' } }
  second: { use: echo, needs: [first], with: { value: '${nodes.first == null}' } }
",
    );
    let outcomes = done(&pathway, &[json!({"first": {"fail": 1}})]).await;
    assert!(outcomes[0].failure.is_none());
    let statuses: Vec<NodeStatus> = outcomes[0].nodes.iter().map(|run| run.status).collect();
    assert_eq!(statuses, [NodeStatus::Failed, NodeStatus::Succeeded]);
    assert_eq!(outcomes[0].nodes[0].error, Some(Code::OutOfRange));
    assert_eq!(echo.calls()[1][0].args["value"], json!(true));
}

#[tokio::test]
async fn a_closed_gate_skips_and_what_needs_it_sees_null() {
    let (pathway, echo) = pathway(
        "  first: { use: echo, when: 'input.n > 1', with: { value: '${input.n}' } }
  second: { use: echo, needs: [first], with: { value: '${nodes.first}' } }
",
    );
    let outcomes = done(&pathway, &[json!({"n": 1}), json!({"n": 2})]).await;
    assert_eq!(outcomes[0].nodes[0].status, NodeStatus::Skipped);
    assert_eq!(outcomes[1].nodes[0].status, NodeStatus::Succeeded);
    let values: Vec<Value> = echo.calls()[1].iter().map(|item| item.args["value"].clone()).collect();
    assert_eq!(values, [json!(null), json!(2)]);
}

#[tokio::test]
async fn for_each_makes_an_item_of_every_element_and_a_list_of_the_answers() {
    let (pathway, echo) = pathway(
        "  each: { use: echo, for_each: '${input.list}', with: { value: '${item}' } }
  all: { use: echo, needs: [each], with: { value: '${nodes.each}' } }
",
    );
    let data = [
        json!({"list": ["a", "b"]}),
        json!({"list": []}),
        json!({}),
        json!({"list": 7}),
        json!({"list": [1, {"fail": 1}]}),
    ];
    let outcomes = done(&pathway, &data).await;
    let keys: Vec<String> = echo.calls()[0].iter().map(|item| item.key.clone()).collect();
    assert_eq!(keys, ["log/3/0/p/each/0", "log/3/0/p/each/1", "log/3/4/p/each/0", "log/3/4/p/each/1"]);
    let statuses: Vec<NodeStatus> = outcomes.iter().map(|outcome| outcome.nodes[0].status).collect();
    assert_eq!(
        statuses,
        [
            NodeStatus::Succeeded,
            NodeStatus::Skipped,
            NodeStatus::Skipped,
            NodeStatus::Failed,
            NodeStatus::Failed
        ]
    );
    assert_eq!(outcomes[3].failure.as_ref().unwrap().fault.reason(), "NOT_A_LIST");
    assert_eq!(echo.calls()[1][0].args["value"], json!(["a", "b"]));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_takes_too_long_parks_the_batch() {
    let (pathway, _) = pathway("  slow: { use: echo, timeout: 30s, with: { value: '${input}' } }\n");
    let begun = Instant::now();
    let BatchOutcome::Park(fault) = pathway.run(events(&[json!({"silent": 1})])).await else {
        panic!("it has to wait")
    };
    assert_eq!((fault.reason(), begun.elapsed()), ("NODE_TIMEOUT", Duration::from_secs(30)));
}

#[tokio::test]
async fn an_input_that_no_longer_fits_fails_before_anything_runs() {
    let yaml = "pathway: p\non: { topic: t, key: input.id }\ninput: { required: [id] }\nnodes: { a: { use: echo, with: { value: 1 } } }";
    let (pathway, echo) = build(yaml);
    let outcomes = done(&pathway, &[json!({})]).await;
    let failure = outcomes[0].failure.as_ref().unwrap();
    assert_eq!((failure.node.as_str(), failure.fault.violations()[0].field.as_str()), ("", "id"));
    assert!(echo.calls().is_empty());
}
