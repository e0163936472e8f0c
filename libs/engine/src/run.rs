//! Running a batch.
//!
//! Nodes run level by level; those of one level have nothing to do with each other and run side by side. Each is one call of its tool, with an item for
//! every event whose gate is open, and for every element where it has a `for_each`.

use std::time::Duration;

use futures_util::future::join_all;
use pathway_kernel::{Code, Fault};
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::definition::OnError;
use crate::expression::Scope;
use crate::{CallContext, Node, Pathway, Position, Tool, ToolItem};

/// An event to be run.
#[derive(Debug, Clone)]
pub struct Input {
    /// Its id.
    pub event_id: String,
    /// Where it is in its log.
    pub position: Position,
    /// Its data.
    pub data: Value,
}

/// What became of a batch.
#[derive(Debug)]
pub enum BatchOutcome {
    /// Every event has ended, well or not; one outcome for each, in order.
    Done(Vec<EventOutcome>),
    /// Something that may pass stopped the batch: run it again later.
    Park(Fault),
}

/// What became of an event.
#[derive(Debug)]
pub struct EventOutcome {
    /// The nodes that it reached, in the order in which they ran.
    pub nodes: Vec<NodeRun>,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
}

/// What a node did for an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRun {
    /// The node's name.
    pub node: String,
    /// How it ended.
    pub status: NodeStatus,
    /// How long the batch's call took.
    pub duration: Duration,
    /// The failure's code.
    pub error: Option<Code>,
}

/// How a node ended for an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeStatus {
    /// It did its work.
    Succeeded,
    /// It failed for good.
    Failed,
    /// Its gate was closed, or there was nothing to do.
    Skipped,
}

/// Why an event failed for good.
#[derive(Debug)]
pub struct Failure {
    /// The node; empty where the input was wrong.
    pub node: String,
    /// Why.
    pub fault: Fault,
}

/// An event on its way through the nodes.
struct Progress {
    input: Input,
    nodes: Value,
    runs: Vec<NodeRun>,
    failure: Option<Failure>,
}

/// What one node made of the batch.
struct Ran {
    /// For each event that was still going: its index and what the node answered.
    answers: Vec<(usize, Answer)>,
    duration: Duration,
}

enum Answer {
    Skipped,
    Value(Value),
    Failed(Fault),
}

impl Pathway {
    /// Runs a batch. An event that fails for good does not touch the others; a failure that may pass parks them all.
    pub async fn run(&self, batch: Vec<Input>) -> BatchOutcome {
        let mut events: Vec<Progress> = batch.into_iter().map(|input| self.begin(input)).collect();
        let nodes = &self.definition.nodes;
        let mut first = 0;
        while first < nodes.len() {
            let level = nodes[first].level;
            let next = nodes[first..]
                .iter()
                .position(|node| node.level != level)
                .map_or(nodes.len(), |at| first + at);
            let calls = (first..next).map(|at| self.run_node(&nodes[at], self.tools[at].as_ref(), &events));
            for (ran, node) in join_all(calls).await.into_iter().zip(&nodes[first..next]) {
                match ran {
                    Ok(ran) => settle(node, ran, &mut events),
                    Err(fault) => return BatchOutcome::Park(fault),
                }
            }
            first = next;
        }
        let outcome = |event: Progress| EventOutcome { nodes: event.runs, failure: event.failure };
        BatchOutcome::Done(events.into_iter().map(outcome).collect())
    }

    fn begin(&self, input: Input) -> Progress {
        // It was checked when it was published, by the version of then.
        let violations = self.definition.check_input(&input.data);
        let failure = (!violations.is_empty())
            .then(|| Failure { node: String::new(), fault: Fault::invalid(violations) });
        Progress { input, nodes: Value::Object(Map::new()), runs: Vec::new(), failure }
    }

    async fn run_node(&self, node: &Node, tool: &dyn Tool, events: &[Progress]) -> Result<Ran, Fault> {
        let mut answers = Vec::new();
        let (mut items, mut owners): (Vec<ToolItem>, Vec<usize>) = (Vec::new(), Vec::new());
        for (index, event) in events.iter().enumerate().filter(|(_, event)| event.failure.is_none()) {
            match prepare(node, event) {
                Ok(prepared) if prepared.is_empty() => answers.push((index, Answer::Skipped)),
                Ok(prepared) => {
                    owners.extend(prepared.iter().map(|_| index));
                    items.extend(prepared);
                }
                Err(fault) => answers.push((index, Answer::Failed(fault))),
            }
        }
        let begun = Instant::now();
        if !items.is_empty() {
            let count = items.len();
            let context = CallContext {
                pathway: self.definition.name.as_str().into(),
                node: node.name.as_str().into(),
            };
            let call = tool.call(&context, items);
            let results = match node.timeout {
                Some(timeout) => tokio::time::timeout(timeout, call).await.map_err(|_| {
                    Fault::new(
                        Code::DeadlineExceeded,
                        "NODE_TIMEOUT",
                        format!("the node `{}` took too long", node.name),
                    )
                })?,
                None => call.await,
            };
            match results {
                Ok(results) if results.len() == count => gather(node, &owners, results, &mut answers)?,
                Ok(results) => {
                    let what =
                        format!("{} answered {} results for {count} items", tool.name(), results.len());
                    fail_all(&owners, &what, &mut answers);
                }
                Err(fault) if fault.is_transient() => return Err(fault),
                // The whole call was refused for good. Alone, each event would be refused too, or one of them spoils it for all; either way the
                // dead letters say which call it was.
                Err(fault) => fail_all_with(&owners, &fault, &mut answers),
            }
        }
        Ok(Ran { answers, duration: begun.elapsed() })
    }
}

/// The items of one event for one node; none where there is nothing to do.
fn prepare(node: &Node, event: &Progress) -> Result<Vec<ToolItem>, Fault> {
    let scope = Scope { input: &event.input.data, nodes: &event.nodes, item: None };
    if let Some(when) = &node.when
        && *when.evaluate(scope)?.as_ref() != Value::Bool(true)
    {
        return Ok(Vec::new());
    }
    let item = |key: String, args: Value| ToolItem { key, position: event.input.position.clone(), args };
    let Position { epoch, partition, offset } = &event.input.position;
    let key = format!("{epoch}/{partition}/{offset}/{}", node.name);
    let Some(for_each) = &node.for_each else { return Ok(vec![item(key, node.with.render(scope)?)]) };
    let list = for_each.evaluate(scope)?;
    let elements = match list.as_ref() {
        Value::Array(elements) => elements.as_slice(),
        Value::Null => &[],
        _ => {
            let message = format!("`for_each` of the node `{}` is no list", node.name);
            return Err(Fault::new(Code::InvalidArgument, "NOT_A_LIST", message));
        }
    };
    let render = |(index, element): (usize, &Value)| {
        let args = node.with.render(Scope { item: Some(element), ..scope })?;
        Ok(item(format!("{key}/{index}"), args))
    };
    elements.iter().enumerate().map(render).collect()
}

/// Brings the results back to their events. A transient one stops the batch.
fn gather(
    node: &Node,
    owners: &[usize],
    results: Vec<Result<Value, Fault>>,
    answers: &mut Vec<(usize, Answer)>,
) -> Result<(), Fault> {
    let mut results = owners.iter().copied().zip(results).peekable();
    while let Some((owner, first)) = results.next() {
        let mut values = Vec::new();
        let mut failure = None;
        let mut take = |result: Result<Value, Fault>| match result {
            Ok(value) => values.push(value),
            Err(fault) => failure = failure.take().or(Some(fault)),
        };
        take(first);
        while let Some((_, result)) = results.next_if(|(next, _)| *next == owner) {
            take(result);
        }
        let answer = match failure {
            Some(fault) if fault.is_transient() => return Err(fault),
            Some(fault) => Answer::Failed(fault),
            None if node.for_each.is_some() => Answer::Value(Value::Array(values)),
            None => Answer::Value(values.pop().unwrap_or_default()),
        };
        answers.push((owner, answer));
    }
    Ok(())
}

fn fail_all(owners: &[usize], what: &str, answers: &mut Vec<(usize, Answer)>) {
    let mut owners = owners.to_vec();
    owners.dedup();
    answers.extend(owners.into_iter().map(|owner| (owner, Answer::Failed(Fault::internal(what)))));
}

fn fail_all_with(owners: &[usize], fault: &Fault, answers: &mut Vec<(usize, Answer)>) {
    let mut owners = owners.to_vec();
    owners.dedup();
    let copy = || {
        Fault::new(fault.code(), fault.reason().to_owned(), fault.message().to_owned())
            .with_violations(fault.violations().to_vec())
    };
    answers.extend(owners.into_iter().map(|owner| (owner, Answer::Failed(copy()))));
}

fn settle(node: &Node, ran: Ran, events: &mut [Progress]) {
    for (index, answer) in ran.answers {
        let event = &mut events[index];
        let (status, value, fault) = match answer {
            Answer::Skipped => (NodeStatus::Skipped, Value::Null, None),
            Answer::Value(value) => (NodeStatus::Succeeded, value, None),
            Answer::Failed(fault) => (NodeStatus::Failed, Value::Null, Some(fault)),
        };
        let error = fault.as_ref().map(Fault::code);
        event.runs.push(NodeRun { node: node.name.clone(), status, duration: ran.duration, error });
        if let Some(nodes) = event.nodes.as_object_mut() {
            nodes.insert(node.name.clone(), value);
        }
        if let Some(fault) = fault
            && node.on_error == OnError::Fail
            && event.failure.is_none()
        {
            event.failure = Some(Failure { node: node.name.clone(), fault });
        }
    }
}
