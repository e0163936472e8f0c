//! A run that is dropped, as by a shutdown or a partition that moves: what its tools answer afterwards is used by nobody, and the next run comes to what the first would
//! have come to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use pathway_engine::{ArgSpec, CallContext, EventOutcome, Kind, Pathway, Tool, ToolFuture, ToolItem, Tools};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::tools::{done, parse};

const NODES: &str = "pathway: p
on: { topic: t, key: input.id }
nodes:
  first: { use: peer, with: { value: '${input.id}' } }
  second: { use: peer, needs: [first], with: { value: '${nodes.first}' } }
output: { first: '${nodes.first}', second: '${nodes.second}' }
";

/// A call that has reached the peer: `let_go` makes it work and answer; the handle ends when it has, and says whether anybody took the answer.
struct Arrived {
    let_go: oneshot::Sender<()>,
    handled: JoinHandle<bool>,
}

/// A peer apart from the engine: it works on whether its caller waits or not, does each key once, and answers with the number of the work.
struct Peer {
    works: Arc<Mutex<BTreeMap<String, Value>>>,
    arrivals: mpsc::UnboundedSender<Arrived>,
}

// === impl Peer ===

impl Peer {
    fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<Arrived>) {
        let (arrivals, arrived) = mpsc::unbounded_channel();
        (Arc::new(Self { works: Arc::default(), arrivals }), arrived)
    }

    fn works(&self) -> Vec<(String, Value)> {
        self.works.lock().unwrap().clone().into_iter().collect()
    }
}

impl Tool for Peer {
    fn name(&self) -> &'static str {
        "peer"
    }

    fn args(&self) -> &'static [ArgSpec] {
        const { &[ArgSpec::required("value", Kind::Any)] }
    }

    fn call<'a>(&'a self, _: &'a CallContext, items: Vec<ToolItem>) -> ToolFuture<'a> {
        let (works, arrivals) = (Arc::clone(&self.works), self.arrivals.clone());
        Box::pin(async move {
            let ((let_go, gate), (answer, answered)) = (oneshot::channel(), oneshot::channel());
            let handled = tokio::spawn(async move {
                let _ = gate.await;
                let mut works = works.lock().unwrap();
                let mut work = |item: ToolItem| {
                    let number = works.len();
                    works
                        .entry(item.key)
                        .or_insert_with(|| json!({"work": number, "of": item.args["value"]}))
                        .clone()
                };
                answer.send(Ok(items.into_iter().map(|item| Ok(work(item))).collect())).is_ok()
            });
            arrivals.send(Arrived { let_go, handled }).unwrap();
            answered.await.unwrap()
        })
    }
}

fn pathway(peer: &Arc<Peer>) -> Arc<Pathway> {
    let tools = Tools::default().with(Arc::clone(peer) as Arc<dyn Tool>);
    Arc::new(Pathway::new(parse(NODES).unwrap(), &tools).unwrap())
}

fn run(pathway: &Arc<Pathway>, data: &[Value]) -> JoinHandle<Vec<EventOutcome>> {
    let (pathway, data) = (Arc::clone(pathway), data.to_vec());
    tokio::spawn(async move { done(&pathway, &data).await })
}

fn outputs(outcomes: &[EventOutcome]) -> Vec<Value> {
    outcomes.iter().map(|outcome| outcome.output.clone()).collect()
}

/// A run that nobody disturbs.
async fn undisturbed(data: &[Value]) -> (Vec<Value>, Vec<(String, Value)>) {
    let (peer, mut arrived) = Peer::new();
    let running = run(&pathway(&peer), data);
    for _ in 0..2 {
        arrived.recv().await.unwrap().let_go.send(()).unwrap();
    }
    (outputs(&running.await.unwrap()), peer.works())
}

#[tokio::test]
async fn a_dropped_runs_late_result_is_used_by_nobody() {
    let data = [json!({"id": "a"}), json!({"id": "b"})];
    let expected = undisturbed(&data).await;
    // The run is dropped while the first node's call is under way, or the second's.
    for node in 0..2 {
        for late_comes_first in [true, false] {
            let (peer, mut arrived) = Peer::new();
            let pathway = pathway(&peer);
            let dropped = run(&pathway, &data);
            for _ in 0..node {
                arrived.recv().await.unwrap().let_go.send(()).unwrap();
            }
            let late = arrived.recv().await.unwrap();
            dropped.abort();
            assert!(dropped.await.unwrap_err().is_cancelled());
            let again = run(&pathway, &data);
            let mut next = arrived.recv().await.unwrap();
            if late_comes_first {
                late.let_go.send(()).unwrap();
                assert!(!late.handled.await.unwrap(), "nobody takes it");
                assert!(
                    !again.is_finished() && arrived.try_recv().is_err(),
                    "and nothing goes on because of it"
                );
                next.let_go.send(()).unwrap();
                assert!(next.handled.await.unwrap());
            } else {
                for _ in 0..node {
                    next.let_go.send(()).unwrap();
                    next = arrived.recv().await.unwrap();
                }
                next.let_go.send(()).unwrap();
                assert!(next.handled.await.unwrap());
                late.let_go.send(()).unwrap();
                assert!(!late.handled.await.unwrap(), "nobody takes it");
            }
            if node == 0 || late_comes_first {
                arrived.recv().await.unwrap().let_go.send(()).unwrap();
            }
            let outcomes = again.await.unwrap();
            assert_eq!(
                (outputs(&outcomes), peer.works()),
                expected,
                "dropped at node {node}, {late_comes_first}"
            );
            assert!(outcomes.iter().all(|outcome| outcome.nodes.iter().all(|run| run.attempts == 1)));
            assert!(arrived.try_recv().is_err(), "no further call");
        }
    }
}
