//! Retry, breaker, fallback, deadlines and resumption, in paused time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pathway_engine::{
    ArgSpec, BatchOutcome, CallContext, EventOutcome, Kind, NodeStatus, Pathway, Tool, ToolFuture, ToolItem,
    ToolResult, Tools,
};
use pathway_kernel::{Code, Fault};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::tools::{events, parse};

type Play = dyn Fn(usize, &[ToolItem]) -> ToolResult + Send + Sync;

/// Answers what it is told to, given the number of the call; remembers how many items each call had.
struct Actor {
    play: Box<Play>,
    calls: Mutex<Vec<usize>>,
}

// === impl Actor ===

impl Actor {
    fn new(play: impl Fn(usize, &[ToolItem]) -> ToolResult + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { play: Box::new(play), calls: Mutex::default() })
    }

    fn calls(&self) -> Vec<usize> {
        self.calls.lock().unwrap().clone()
    }
}

impl Tool for Actor {
    fn name(&self) -> &'static str {
        "act"
    }

    fn args(&self) -> &'static [ArgSpec] {
        const { &[ArgSpec::optional("value", Kind::Any)] }
    }

    fn call<'a>(&'a self, _: &'a CallContext, items: Vec<ToolItem>) -> ToolFuture<'a> {
        let number = {
            let mut calls = self.calls.lock().unwrap();
            calls.push(items.len());
            calls.len() - 1
        };
        Box::pin(async move { (self.play)(number, &items) })
    }
}

fn echo(items: &[ToolItem]) -> ToolResult {
    Ok(items.iter().map(|item| Ok(item.args["value"].clone())).collect())
}

fn away() -> Fault {
    Fault::new(Code::Unavailable, "AWAY", "for a while")
}

/// A pathway whose one node `a` has these further fields.
fn pathway(actor: &Arc<Actor>, rest: &str) -> Pathway {
    let yaml = format!(
        "pathway: p\non: {{ topic: t, key: input.id }}\nnodes:\n  a: {{ use: act, with: {{ value: '${{input}}' }}, {rest} }}\noutput: '${{nodes.a}}'\n"
    );
    Pathway::new(parse(&yaml).unwrap(), &Tools::default().with(Arc::clone(actor) as Arc<dyn Tool>)).unwrap()
}

async fn done(pathway: &Pathway, data: &[Value]) -> Vec<EventOutcome> {
    match pathway.run(events(data)).await {
        BatchOutcome::Done(outcomes) => outcomes,
        BatchOutcome::Park(fault) => panic!("parked: {fault}"),
    }
}

async fn parked(pathway: &Pathway, data: &[Value]) -> Fault {
    match pathway.run(events(data)).await {
        BatchOutcome::Park(fault) => fault,
        BatchOutcome::Done(outcomes) => panic!("did not wait: {outcomes:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_may_pass_is_tried_again_and_the_waits_grow() {
    // The second event is away twice; the third fails for good at once.
    let actor = Actor::new(|number, items| {
        Ok(items
            .iter()
            .map(|item| match item.args["value"].as_i64() {
                Some(2) if number < 2 => Err(away()),
                Some(3) => Err(Fault::new(Code::NotFound, "GONE", "for good")),
                _ => Ok(item.args["value"].clone()),
            })
            .collect())
    });
    let pathway = pathway(&actor, "retry: { attempts: 3, first: 1s, longest: 10s }");
    let begun = Instant::now();
    let outcomes = done(&pathway, &[json!(1), json!(2), json!(3)]).await;
    assert_eq!(actor.calls(), [3, 1, 1], "the others are not asked again");
    let waited = begun.elapsed();
    assert!((Duration::from_millis(1_500)..=Duration::from_secs(3)).contains(&waited), "{waited:?}");
    assert_eq!((&outcomes[0].output, &outcomes[1].output), (&json!(1), &json!(2)));
    assert_eq!(outcomes[1].nodes[0].attempts, 3);
    assert_eq!(outcomes[2].failure.as_ref().unwrap().fault.reason(), "GONE");
}

#[tokio::test(start_paused = true)]
async fn what_still_has_not_passed_parks_the_batch() {
    let actor = Actor::new(|_, _| Err(away()));
    let fault = parked(&pathway(&actor, "retry: { attempts: 4 }"), &[json!(1)]).await;
    assert_eq!((fault.reason(), actor.calls().len()), ("AWAY", 4));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_says_when_to_come_again_is_waited_for() {
    let actor = Actor::new(|number, items| match number {
        0 => Err(away().with_retry_after(Duration::from_secs(7))),
        _ => echo(items),
    });
    let begun = Instant::now();
    done(&pathway(&actor, "retry: { attempts: 2, first: 1ms }"), &[json!(1)]).await;
    assert!(begun.elapsed() >= Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn a_breaker_rests_a_tool_that_keeps_failing() {
    let actor = Actor::new(|number, items| if number < 2 { Err(away()) } else { echo(items) });
    let pathway = pathway(&actor, "breaker: { failures: 2, rest: 30s }");
    for _ in 0..2 {
        assert_eq!(parked(&pathway, &[json!(1)]).await.reason(), "AWAY");
    }
    let fault = parked(&pathway, &[json!(1)]).await;
    assert_eq!((fault.reason(), fault.retry_after()), ("BREAKER_OPEN", Some(Duration::from_secs(30))));
    assert_eq!(actor.calls().len(), 2, "it was left alone");
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(done(&pathway, &[json!(1)]).await[0].output, json!(1));
}

#[tokio::test(start_paused = true)]
async fn a_mistake_of_ours_opens_no_breaker() {
    let actor = Actor::new(|_, _| Err(Fault::new(Code::NotFound, "GONE", "for good")));
    let pathway = pathway(&actor, "breaker: { failures: 1, rest: 30s }");
    for _ in 0..3 {
        assert_eq!(done(&pathway, &[json!(1)]).await[0].failure.as_ref().unwrap().fault.reason(), "GONE");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fallback_answers_for_good_failures_and_after_the_last_attempt() {
    let actor = Actor::new(|_, items| {
        Ok(items
            .iter()
            .map(|item| match item.args["value"].as_i64() {
                Some(1) => Err(Fault::new(Code::NotFound, "GONE", "for good")),
                Some(2) => Err(away()),
                _ => Ok(json!("itself")),
            })
            .collect())
    });
    let pathway = pathway(
        &actor,
        "retry: { attempts: 2 }, on_error: fallback, fallback: { value: 'instead of ${input}' }",
    );
    let outcomes = done(&pathway, &[json!(1), json!(2), json!(3)]).await;
    let outputs: Vec<&Value> = outcomes.iter().map(|outcome| &outcome.output).collect();
    assert_eq!(outputs, [&json!("instead of 1"), &json!("instead of 2"), &json!("itself")]);
    let runs: Vec<(NodeStatus, Option<Code>)> =
        outcomes.iter().map(|outcome| (outcome.nodes[0].status, outcome.nodes[0].error)).collect();
    assert_eq!(runs[0], (NodeStatus::FellBack, Some(Code::NotFound)));
    assert_eq!(runs[1], (NodeStatus::FellBack, Some(Code::Unavailable)));
    assert_eq!(runs[2], (NodeStatus::Succeeded, None));
}

#[tokio::test(start_paused = true)]
async fn a_fallback_may_be_another_call_and_its_failure_is_the_events() {
    let actor = Actor::new(|_, items| {
        Ok(items
            .iter()
            .map(|item| match item.args["value"].as_str() {
                Some("second") => Ok(json!("second")),
                Some("bad") => Err(Fault::new(Code::OutOfRange, "TOO", "for good")),
                _ => Err(Fault::new(Code::NotFound, "GONE", "for good")),
            })
            .collect())
    });
    let rest = "on_error: fallback, fallback: { use: act, with: { value: '${input.then}' } }";
    let outcomes = done(&pathway(&actor, rest), &[json!({"then": "second"}), json!({"then": "bad"})]).await;
    assert_eq!(outcomes[0].output, json!("second"));
    assert_eq!(outcomes[1].failure.as_ref().unwrap().fault.reason(), "TOO");
}

#[tokio::test(start_paused = true)]
async fn one_that_spoils_a_call_is_found_and_the_others_succeed() {
    let actor = Actor::new(|_, items| {
        if items.iter().any(|item| item.args["value"] == json!(13)) {
            return Err(Fault::new(Code::InvalidArgument, "SPOILT", "one of them"));
        }
        echo(items)
    });
    let data: Vec<Value> = (0..64).map(|n| json!(n)).collect();
    let outcomes = done(&pathway(&actor, "timeout: 5s"), &data).await;
    let failed: Vec<usize> = outcomes
        .iter()
        .enumerate()
        .filter(|(_, outcome)| outcome.failure.is_some())
        .map(|(n, _)| n)
        .collect();
    assert_eq!(failed, [13]);
    assert_eq!(outcomes[12].output, json!(12));
    assert!(actor.calls().len() <= 13, "by halves: {:?}", actor.calls());
}

#[tokio::test(start_paused = true)]
async fn no_more_items_are_with_the_tool_than_the_node_allows() {
    let actor = Actor::new(|_, items| echo(items));
    let data: Vec<Value> = (0..10).map(|n| json!(n)).collect();
    let outcomes = done(&pathway(&actor, "max_parallel: 4"), &data).await;
    assert_eq!(actor.calls(), [4, 4, 2]);
    assert!(outcomes.iter().zip(&data).all(|(outcome, data)| outcome.output == *data));

    let actor = Actor::new(|_, items| echo(items));
    let each = pathway(&actor, "max_parallel: 4, for_each: '${input}'");
    let outcomes = done(&each, &[json!([1, 2, 3]), json!([]), json!([4, 5, 6, 7, 8])]).await;
    assert_eq!(actor.calls(), [3, 4, 1], "an event's items stay together where they can, and in their order");
    assert_eq!(outcomes[2].output.as_array().unwrap().len(), 5);
    assert_eq!(outcomes[1].nodes[0].status, NodeStatus::Skipped);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_parks_and_is_told_to_the_tool() {
    /// Waits for ever and remembers the deadline.
    struct Slow(Mutex<Option<Instant>>);
    impl Tool for Slow {
        fn name(&self) -> &'static str {
            "act"
        }
        fn args(&self) -> &'static [ArgSpec] {
            const { &[ArgSpec::optional("value", Kind::Any)] }
        }
        fn call<'a>(&'a self, context: &'a CallContext, _: Vec<ToolItem>) -> ToolFuture<'a> {
            *self.0.lock().unwrap() = context.deadline;
            Box::pin(std::future::pending())
        }
    }
    let slow = Arc::new(Slow(Mutex::default()));
    let yaml = "pathway: p\non: { topic: t, key: input.id }\nlimits: { deadline: 10s }\nnodes:\n  a: { use: act, timeout: 1m, retry: { attempts: 3 } }\n";
    let pathway =
        Pathway::new(parse(yaml).unwrap(), &Tools::default().with(Arc::clone(&slow) as Arc<dyn Tool>))
            .unwrap();
    let begun = Instant::now();
    let fault = parked(&pathway, &[json!(1)]).await;
    assert_eq!((fault.code(), begun.elapsed()), (Code::DeadlineExceeded, Duration::from_secs(10)));
    assert_eq!(slow.0.lock().unwrap().unwrap(), begun + Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn what_was_done_in_an_earlier_run_is_not_done_again() {
    let actor = Actor::new(|number, items| match number {
        1 => Err(Fault::new(Code::NotFound, "GONE", "for good")),
        _ => echo(items),
    });
    let yaml = "pathway: p\non: { topic: t, key: input.id }\nnodes:
  first: { use: act, with: { value: '${input}' } }
  second: { use: act, needs: [first], with: { value: '${nodes.first}' } }\noutput: '${nodes.second}'\n";
    let pathway =
        Pathway::new(parse(yaml).unwrap(), &Tools::default().with(Arc::clone(&actor) as Arc<dyn Tool>))
            .unwrap();
    let failed = done(&pathway, &[json!("x")]).await.remove(0);
    assert_eq!(failed.failure.unwrap().node, "second");
    assert_eq!(failed.answers, Map::from_iter([("first".to_owned(), json!("x"))]));

    let mut again = events(&[json!("x")]);
    again[0].done = failed.answers;
    let BatchOutcome::Done(mut outcomes) = pathway.run(again).await else {
        panic!("it has nothing to wait for")
    };
    let resumed = outcomes.remove(0);
    assert_eq!(resumed.output, json!("x"));
    let runs: Vec<(NodeStatus, u32)> = resumed.nodes.iter().map(|run| (run.status, run.attempts)).collect();
    assert_eq!(runs, [(NodeStatus::Reused, 0), (NodeStatus::Succeeded, 1)]);
    assert_eq!(actor.calls().len(), 3, "the first node ran once");
}

#[tokio::test(start_paused = true)]
async fn a_timeline_says_when_each_node_began() {
    let actor = Actor::new(|number, items| match number {
        0 => Err(away()),
        _ => echo(items),
    });
    let yaml = "pathway: p\non: { topic: t, key: input.id }\nnodes:
  first: { use: act, with: { value: 1 }, retry: { attempts: 2, first: 4s } }
  second: { use: act, needs: [first], with: { value: 2 } }\n";
    let pathway =
        Pathway::new(parse(yaml).unwrap(), &Tools::default().with(Arc::clone(&actor) as Arc<dyn Tool>))
            .unwrap();
    let nodes = done(&pathway, &[json!("x")]).await.remove(0).nodes;
    assert_eq!((nodes[0].started_after, nodes[0].attempts), (Duration::ZERO, 2));
    assert!(nodes[0].duration >= Duration::from_secs(2));
    assert_eq!(nodes[1].started_after, nodes[0].duration);
}

#[tokio::test(start_paused = true)]
async fn as_many_batches_run_side_by_side_as_the_definition_lets() {
    /// Remembers how many calls were under way at once.
    #[derive(Default)]
    struct Busy {
        now: AtomicUsize,
        most: AtomicUsize,
    }
    impl Tool for Busy {
        fn name(&self) -> &'static str {
            "act"
        }
        fn args(&self) -> &'static [ArgSpec] {
            &[]
        }
        fn call<'a>(&'a self, _: &'a CallContext, items: Vec<ToolItem>) -> ToolFuture<'a> {
            Box::pin(async move {
                let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
                self.most.fetch_max(now, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(1)).await;
                self.now.fetch_sub(1, Ordering::SeqCst);
                Ok(items.iter().map(|_| Ok(Value::Null)).collect())
            })
        }
    }
    for (limits, most) in [("", 5), ("limits: { batches: 2 }\n", 2)] {
        let busy = Arc::<Busy>::default();
        let yaml =
            format!("pathway: p\non: {{ topic: t, key: input.id }}\n{limits}nodes:\n  a: {{ use: act }}\n");
        let tools = Tools::default().with(Arc::clone(&busy) as Arc<dyn Tool>);
        let pathway = Pathway::new(parse(&yaml).unwrap(), &tools).unwrap();
        let runs = (0..5).map(|n| pathway.run(events(&[json!({"id": n})])));
        futures_util::future::join_all(runs).await;
        assert_eq!(busy.most.load(Ordering::SeqCst), most, "{limits}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_of_hours_is_not_sat_out_within_a_batch() {
    let actor = Actor::new(|_, _| Err(away().with_retry_after(Duration::from_secs(3_600))));
    let pathway = pathway(&actor, "retry: { attempts: 5 }");
    let begun = Instant::now();
    assert_eq!(parked(&pathway, &[json!({"id": 1})]).await.retry_after(), Some(Duration::from_secs(3_600)));
    assert_eq!((actor.calls().len(), begun.elapsed()), (1, Duration::ZERO));
}
