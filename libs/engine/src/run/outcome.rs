//! What became of a batch, for whoever ran it.

use std::time::Duration;

use pathway_kernel::{Code, Fault};
use serde_json::{Map, Value};

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
    /// What the pathway answers; null where it failed or answers nothing.
    pub output: Value,
    /// What the nodes that succeeded have answered, by name: what a later run need not do again.
    pub answers: Map<String, Value>,
}

/// What a node did for an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRun {
    /// The node's name.
    pub node: String,
    /// How it ended.
    pub status: NodeStatus,
    /// How often it was tried in this run.
    pub attempts: u32,
    /// When it began, counted from the beginning of the batch.
    pub started_after: Duration,
    /// How long the batch's calls took, waits between attempts included.
    pub duration: Duration,
    /// The failure's code; also where something else answered in the node's place.
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
    /// It failed and its fallback answered, or it was passed over because nobody knows whether it was done.
    FellBack,
    /// It had done its work in an earlier run.
    Reused,
}

/// Why an event failed for good.
#[derive(Debug)]
pub struct Failure {
    /// The node; empty where the input was wrong, `output` where the pathway's answer was.
    pub node: String,
    /// Why.
    pub fault: Fault,
}
