//! Running a batch.
//!
//! Nodes run level by level; those of one level have nothing to do with each other and run side by side. Each is one call of its tool, with an item for
//! every event whose gate is open, and for every element where it has a `for_each`.
//!
//! # What a failure does
//! | it is | the node says | then |
//! |---|---|---|
//! | for good | `fail` | the event has failed; its neighbours go on |
//! | for good | `continue` | the node has answered null; the event goes on |
//! | for good | `fallback` | something else answers; the event goes on |
//! | what may pass | `retry` | those events are tried again, the others wait for them |
//! | what may pass, after every attempt | `fallback` | something else answers |
//! | what may pass, after every attempt | else | the batch is parked: nothing is lost because a peer was away |
//!
//! A call that is refused as a whole may be refused because of one of its items. It is taken apart, by halves, until the guilty one stands alone.

mod call;
mod fallback;
mod outcome;
mod trace;
mod within;

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::iter;
use pathway_kernel::Fault;
use serde_json::{Map, Value};
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use crate::definition::OnError;
use crate::expression::Scope;
use crate::{CallContext, Node, Pathway, Position, ToolItem};
use call::Attempt;
pub use outcome::{BatchOutcome, EventOutcome, Failure, NodeRun, NodeStatus};
use within::Within;

/// The longest wait of somebody else's choice that a batch sits out. Beyond it the batch is parked, for whoever runs it to decide.
const LONGEST_HINT: Duration = Duration::from_secs(30);

/// An event to be run.
#[derive(Debug, Clone)]
pub struct Input {
    /// Its id.
    pub event_id: String,
    /// Where it is in its log.
    pub position: Position,
    /// Its data.
    pub data: Value,
    /// What nodes answered in an earlier run that failed further on. They are not run again.
    pub done: Map<String, Value>,
}

/// An event on its way through the nodes.
struct Progress {
    input: Input,
    /// What the keys of its calls begin with.
    key: String,
    /// What the nodes have answered, an object.
    nodes: Value,
    runs: Vec<NodeRun>,
    failure: Option<Failure>,
}

/// What one node made of the batch.
struct Ran {
    /// For each event that was still going: its index and what became of it.
    ends: Vec<(usize, End)>,
    attempts: u32,
    started_after: Duration,
    duration: Duration,
}

/// What a node made of an event.
enum End {
    Skipped,
    Reused(Value),
    Value(Value),
    FellBack(Value, Fault),
    Failed(Fault),
}

/// What a call made of an event.
enum Told {
    Skipped,
    Value(Value),
    /// With null for each item of which nobody knows whether it was done.
    PassedOver(Value, Fault),
    /// For good or not, as the fault says.
    Failed(Fault),
}

// === impl Pathway ===

impl Pathway {
    /// Runs a batch. An event that fails for good does not touch the others; a failure that may pass parks them all.
    ///
    /// Dropped before it has ended, it converges all the same: nothing that a tool answers afterwards is used, and a later run of the batch is answered what has
    /// been done. It waits for its turn where as many batches run as the definition lets.
    pub async fn run(&self, batch: Vec<Input>) -> BatchOutcome {
        // Nobody closes it. A step of another pathway takes no turn: one that waited for its own caller would wait for ever.
        let _turn = self.turns.acquire().await;
        let within = Within { begun: Instant::now(), until: self.deadline(), depth: 0 };
        let keyed = |input: Input| {
            let Position { epoch, partition, offset } = &input.position;
            (format!("{epoch}/{partition}/{offset}"), input)
        };
        self.run_keyed(batch.into_iter().map(keyed).collect(), within).await
    }

    /// Runs it as a step of another pathway: each item's argument `input` is the data of an event, and its key what the keys of the calls begin with.
    pub async fn run_as_step(&self, context: &CallContext, items: Vec<ToolItem>) -> BatchOutcome {
        let until = [self.deadline(), context.deadline].into_iter().flatten().min();
        let within = Within { begun: Instant::now(), until, depth: context.depth + 1 };
        let keyed = |mut item: ToolItem| {
            let data = item.args.get_mut("input").map(Value::take).unwrap_or_default();
            let input = Input { event_id: item.key.clone(), position: item.position, data, done: Map::new() };
            (item.key, input)
        };
        self.run_keyed(items.into_iter().map(keyed).collect(), within).await
    }

    fn deadline(&self) -> Option<Instant> {
        self.definition.limits.deadline.map(|deadline| Instant::now() + deadline)
    }

    async fn run_keyed(&self, batch: Vec<(String, Input)>, within: Within) -> BatchOutcome {
        let mut events: Vec<Progress> =
            batch.into_iter().map(|(key, input)| self.begin(key, input)).collect();
        let nodes = &self.definition.nodes;
        let mut first = 0;
        while first < nodes.len() {
            let level = nodes[first].level;
            let next = nodes[first..]
                .iter()
                .position(|node| node.level != level)
                .map_or(nodes.len(), |at| first + at);
            let calls = (first..next).map(|at| self.run_node(at, &events, within));
            let side_by_side = iter(calls).buffered(self.definition.limits.max_parallel.max(1));
            let all: Vec<Result<Ran, Fault>> = side_by_side.collect().await;
            for (ran, node) in all.into_iter().zip(&nodes[first..next]) {
                match ran {
                    Ok(ran) => settle(node, ran, &mut events),
                    Err(fault) => return BatchOutcome::Park(fault),
                }
            }
            first = next;
        }
        BatchOutcome::Done(events.into_iter().map(|event| self.end(event)).collect())
    }

    fn begin(&self, key: String, input: Input) -> Progress {
        // It was checked when it was published, by the version of then.
        let violations = self.definition.check_input(&input.data);
        let failure = (!violations.is_empty())
            .then(|| Failure { node: String::new(), fault: Fault::invalid(violations) });
        Progress { input, key, nodes: Value::Object(Map::new()), runs: Vec::new(), failure }
    }

    fn end(&self, mut event: Progress) -> EventOutcome {
        let mut output = Value::Null;
        if let (Some(template), None) = (&self.definition.output, &event.failure) {
            match template.render(event.scope()) {
                Ok(rendered) => output = rendered,
                Err(fault) => event.failure = Some(Failure { node: "output".to_owned(), fault }),
            }
        }
        let succeeded =
            |status| matches!(status, NodeStatus::Succeeded | NodeStatus::Reused | NodeStatus::FellBack);
        let mut answers = match event.nodes {
            Value::Object(answers) => answers,
            _ => Map::new(),
        };
        answers.retain(|name, _| event.runs.iter().any(|run| run.node == *name && succeeded(run.status)));
        EventOutcome { nodes: event.runs, failure: event.failure, output, answers }
    }

    async fn run_node(&self, at: usize, events: &[Progress], within: Within) -> Result<Ran, Fault> {
        let span = trace::node(&self.definition, &self.definition.nodes[at]);
        let ran = self.run_node_in(&span, at, events, within).instrument(span.clone()).await;
        if let Err(fault) = &ran {
            trace::parked(&span, fault);
        }
        ran
    }

    async fn run_node_in(
        &self,
        span: &Span,
        at: usize,
        events: &[Progress],
        within: Within,
    ) -> Result<Ran, Fault> {
        let (node, step) = (&self.definition.nodes[at], &self.steps[at]);
        let started = Instant::now();
        let attempt = |attempt: u32| Attempt {
            pathway: self,
            node,
            call: &node.call,
            tool: &step.tool,
            breaker: step.breaker.as_ref(),
            work: &node.name,
            within,
            attempt,
        };
        let mut ends = Vec::with_capacity(events.len());
        let mut open = Vec::with_capacity(events.len());
        for (index, event) in events.iter().enumerate().filter(|(_, event)| event.failure.is_none()) {
            match event.input.done.get(&node.name) {
                Some(answer) => ends.push((index, End::Reused(answer.clone()))),
                None => open.push(index),
            }
        }
        let (mut attempts, mut failed) = (1, Vec::new());
        loop {
            let mut passing = Vec::new();
            for (index, answer) in attempt(attempts).run(&open, events).await {
                match answer {
                    Told::Skipped => ends.push((index, End::Skipped)),
                    Told::Value(value) => ends.push((index, End::Value(value))),
                    Told::PassedOver(value, fault) => ends.push((index, End::FellBack(value, fault))),
                    Told::Failed(fault) if fault.is_transient() => passing.push((index, fault)),
                    Told::Failed(fault) => failed.push((index, fault)),
                }
            }
            let Some((_, first)) = passing.first() else { break };
            let hint = first.retry_after().unwrap_or_default();
            let wait = node.retry.backoff.delay(attempts - 1, &self.rng).max(hint);
            if attempts >= node.retry.attempts || hint > LONGEST_HINT || !within.leaves(wait) {
                failed.append(&mut passing);
                break;
            }
            trace::retried(span, attempts, first);
            tokio::time::sleep(wait).await;
            open = passing.into_iter().map(|(index, _)| index).collect();
            attempts += 1;
        }
        span.record("pathway.node.attempts", attempts);
        ends.extend(self.fall_back(at, failed, events, within).await?);
        let (started_after, duration) = (started - within.begun, started.elapsed());
        Ok(Ran { ends, attempts, started_after, duration })
    }
}

// === impl Progress ===

impl Progress {
    fn scope(&self) -> Scope<'_> {
        Scope { input: &self.input.data, nodes: &self.nodes, item: None }
    }
}

fn settle(node: &Node, ran: Ran, events: &mut [Progress]) {
    for (index, end) in ran.ends {
        let event = &mut events[index];
        let (status, value, error, failure) = match end {
            End::Skipped => (NodeStatus::Skipped, Value::Null, None, None),
            End::Reused(value) => (NodeStatus::Reused, value, None, None),
            End::Value(value) => (NodeStatus::Succeeded, value, None, None),
            End::FellBack(value, cause) => (NodeStatus::FellBack, value, Some(cause.code()), None),
            End::Failed(fault) => (NodeStatus::Failed, Value::Null, Some(fault.code()), Some(fault)),
        };
        let attempts = match status {
            NodeStatus::Skipped | NodeStatus::Reused => 0,
            NodeStatus::Succeeded | NodeStatus::Failed | NodeStatus::FellBack => ran.attempts,
        };
        event.runs.push(NodeRun {
            node: node.name.clone(),
            status,
            attempts,
            started_after: ran.started_after,
            duration: ran.duration,
            error,
        });
        if let Some(nodes) = event.nodes.as_object_mut() {
            nodes.insert(node.name.clone(), value);
        }
        if let Some(fault) = failure
            && !matches!(node.on_error, OnError::Continue)
            && event.failure.is_none()
        {
            event.failure = Some(Failure { node: node.name.clone(), fault });
        }
    }
}
