//! One event is a batch of one: a batch of many comes to the same.

use pathway_engine::{EventOutcome, NodeStatus};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::tools::{Echo, done, pathway};

const NODES: &str = "  first: { use: echo, with: { value: '${input.first}' } }
  gated: { use: echo, needs: [first], when: 'input.n > 2', with: { value: '${input.n}' } }
  each: { use: echo, needs: [first], for_each: '${input.list}', with: { value: '${item}' } }
  last: { use: echo, needs: [gated, each], on_error: continue, with: { value: '${input.last}' } }
";

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![4 => (0..9_i64).prop_map(Value::from), 1 => Just(json!({"fail": 1}))]
}

fn any_event() -> impl Strategy<Value = Value> {
    (any_value(), 0..5_i64, prop::collection::vec(any_value(), 0..3), any_value())
        .prop_map(|(first, n, list, last)| json!({"first": first, "n": n, "list": list, "last": last}))
}

/// What can be seen of an outcome, but for how long it took.
fn seen(outcome: &EventOutcome) -> (Vec<(String, NodeStatus)>, Option<String>) {
    let nodes = outcome.nodes.iter().map(|run| (run.node.clone(), run.status)).collect();
    (nodes, outcome.failure.as_ref().map(|failure| failure.node.clone()))
}

/// The arguments that the tool was given, by key.
fn asked(echo: &Echo) -> Vec<(String, String)> {
    let items = echo.calls().into_iter().flatten();
    let mut asked: Vec<(String, String)> = items.map(|item| (item.key, item.args.to_string())).collect();
    asked.sort();
    asked
}

proptest! {
    #[test]
    fn a_batch_comes_to_what_its_events_come_to_alone(data in prop::collection::vec(any_event(), 1..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (together, at_once) = pathway(NODES);
            let batch: Vec<_> = done(&together, &data).await.iter().map(seen).collect();
            let (alone, one_by_one) = pathway(NODES);
            let mut single = Vec::new();
            for offset in 0..data.len() {
                // The same position as in the batch, and nothing else.
                let input = crate::tools::events(&data).remove(offset);
                let pathway_engine::BatchOutcome::Done(outcomes) = alone.run(vec![input]).await else {
                    panic!("nothing here is away")
                };
                single.push(seen(&outcomes[0]));
            }
            assert_eq!(batch, single);
            assert_eq!(asked(&at_once), asked(&one_by_one));
        });
    }
}

#[tokio::test]
async fn an_event_with_more_items_than_fit_overtakes_nobody() {
    let (pathway, echo) = pathway(
        "  each: { use: echo, max_parallel: 10, for_each: '${input.list}', with: { value: '${item}' } }\n",
    );
    let event = |items: usize| json!({"list": vec![1; items]});
    let outcomes = done(&pathway, &[event(3), event(12), event(1), event(2)]).await;
    assert!(outcomes.iter().all(|outcome| outcome.failure.is_none()));
    let calls = echo.calls();
    assert!(calls.iter().all(|call| call.len() <= 10), "never more at once");
    let offsets: Vec<i64> = calls.iter().flatten().map(|item| item.position.offset).collect();
    assert!(offsets.is_sorted(), "{offsets:?}");
    assert_eq!(offsets.len(), 18);
}
