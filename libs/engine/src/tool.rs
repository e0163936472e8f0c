//! What a node uses.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use pathway_kernel::{Clock, Fault, Rng, Violation};
use pathway_resilience::Breakers;
use serde_json::Value;
use tokio::time::Instant;

use crate::journal::{Journal, Ledger, MemoryJournal};

/// An argument that a tool takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArgSpec {
    /// Its name under `with`.
    pub name: &'static str,
    /// Whether a node must give it.
    pub required: bool,
    /// What it is, as far as it is known before anything has run.
    pub kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Anything, null included.
    Any,
    /// Text.
    Text,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// A list.
    List,
    /// An object.
    Object,
}

/// What a tool's answer is, so that a reference to it can be checked before anything has run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Anything.
    Any,
    /// An object of these fields and no others.
    Object(&'static [(&'static str, Kind)]),
}

/// What doing an item twice would mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Effect {
    /// Nothing: whoever does the work knows the item's key, or the work has no effect.
    #[default]
    Idempotent,
    /// A second effect. The engine notes such a call in its [journal](crate::Journal) before and after.
    Once,
}

/// Where an event is in its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The log's own identity.
    pub epoch: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset within the partition.
    pub offset: i64,
}

/// Which node of which pathway calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallContext {
    /// The pathway's name.
    pub pathway: Arc<str>,
    /// The node's name.
    pub node: Arc<str>,
    /// Which attempt of this run it is, from 1.
    pub attempt: u32,
    /// How many pathways wait for this one, each a step of the one before.
    pub depth: u32,
    /// When the caller stops waiting. A tool passes it on, so that nobody works for a caller that has gone.
    pub deadline: Option<Instant>,
}

/// One item of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolItem {
    /// The idempotency key: the same when the event is delivered again, and different for every node and item of an event.
    pub key: String,
    /// Where the event is.
    pub position: Position,
    /// The arguments, an object.
    pub args: Value,
}

/// One result for each item; or why the call as a whole failed.
pub type ToolResult = Result<Vec<Result<Value, Fault>>, Fault>;
/// A call under way.
pub type ToolFuture<'a> = Pin<Box<dyn Future<Output = ToolResult> + Send + 'a>>;

/// What a node uses. A call takes many items and answers one result for each, in order; it must be idempotent by each item's key.
pub trait Tool: Send + Sync {
    /// Its name, as in `use:`.
    fn name(&self) -> &'static str;

    /// What doing an item of these arguments twice would mean. A tool for which that is [`Effect::Once`] says with the code of a failure whether nothing was done.
    fn effect(&self, _args: &Value) -> Effect {
        Effect::Idempotent
    }

    /// What it answers.
    fn answer(&self) -> Answer {
        Answer::Any
    }

    /// The arguments that it takes.
    fn args(&self) -> &'static [ArgSpec];

    /// What is wrong with arguments that are known before anything has run. Called for every event that is published.
    fn check(&self, _args: &Value) -> Vec<Violation> {
        Vec::new()
    }

    /// Does the work.
    fn call<'a>(&'a self, context: &'a CallContext, items: Vec<ToolItem>) -> ToolFuture<'a>;
}

/// The tools that pathways may use, by name.
#[derive(Clone)]
pub struct Tools {
    by_name: BTreeMap<&'static str, Arc<dyn Tool>>,
    rng: Rng,
    ledger: Ledger,
    breakers: Breakers,
}

// === impl ArgSpec ===

impl ArgSpec {
    /// An argument that a node must give.
    #[must_use]
    pub const fn required(name: &'static str, kind: Kind) -> Self {
        Self { name, required: true, kind }
    }

    /// An argument that a node may give.
    #[must_use]
    pub const fn optional(name: &'static str, kind: Kind) -> Self {
        Self { name, required: false, kind }
    }
}

// === impl Tools ===

impl Tools {
    /// The same with a tool more; one of the same name is replaced.
    #[must_use]
    pub fn with(mut self, tool: Arc<dyn Tool>) -> Self {
        self.by_name.insert(tool.name(), tool);
        self
    }

    /// The same with another source of the jitter between attempts.
    #[must_use]
    pub fn with_rng(mut self, rng: Rng) -> Self {
        self.rng = rng;
        self
    }

    /// The same with a journal that survives a crash.
    #[must_use]
    pub fn with_journal(mut self, journal: Arc<dyn Journal>) -> Self {
        self.ledger = Ledger::new(journal);
        self
    }

    /// Waits until the answers of calls that must not be made twice are in the journal. To be called when nothing runs any more.
    pub async fn settled(&self) {
        self.ledger.settled().await;
    }

    /// The same with a registry in which an operator sees the nodes' breakers.
    #[must_use]
    pub fn with_breakers(mut self, breakers: Breakers) -> Self {
        self.breakers = breakers;
        self
    }

    /// The same tools, each in another's hands; their breakers are their own.
    pub(crate) fn map<T: Tool + 'static>(&self, with: impl Fn(Arc<dyn Tool>) -> Arc<T>) -> Self {
        let wrap =
            |(name, tool): (&&'static str, &Arc<dyn Tool>)| (*name, with(Arc::clone(tool)) as Arc<dyn Tool>);
        Self {
            by_name: self.by_name.iter().map(wrap).collect(),
            rng: self.rng.clone(),
            ledger: self.ledger.clone(),
            breakers: Breakers::new(Clock::system()),
        }
    }

    /// The breakers of the nodes that have one, and of the process that runs them.
    #[must_use]
    pub const fn breakers(&self) -> &Breakers {
        &self.breakers
    }

    pub(crate) const fn rng(&self) -> &Rng {
        &self.rng
    }

    pub(crate) const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<dyn Tool>> {
        self.by_name.get(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().copied()
    }
}

impl Default for Tools {
    /// None, with jitter that is the same each time and a journal in memory.
    fn default() -> Self {
        let ledger = Ledger::new(Arc::<MemoryJournal>::default());
        let breakers = Breakers::new(Clock::system());
        Self { by_name: BTreeMap::new(), rng: Rng::seeded(0), ledger, breakers }
    }
}

impl fmt::Debug for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}
