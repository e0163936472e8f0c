//! Calls whose effect must not be doubled.
//!
//! # Why a journal, and what it cannot do
//! Most tools know an item's key, so a batch that is run again is answered what was done. A webhook, a payment or a paid model does not: there a second call is a
//! second effect. So such a call is *reserved* on disk before it is made, and its answer is *finalised* on disk before anything is built on it. After a crash the
//! journal knows three states:
//!
//! | the journal has | then |
//! |---|---|
//! | nothing | the call was never made: it is made now |
//! | an answer | that is the answer; nothing is called |
//! | a reservation alone | nobody can know: the crash fell before the call, in it, or after it |
//!
//! No protocol closes the third case where the other side keeps no keys; whoever claims "exactly once" there has decided it silently. Here the definition decides, with
//! `on_unknown`: `ask` (a dead letter, for a person), `retry` (at least once) or `skip` (at most once).
//!
//! # Which failures leave it open
//! A tool that refuses has done nothing, and the reservation is taken back. Time that ran out, a connection that broke in the middle and a defect of the other
//! side's leave it open: [`DeadlineExceeded`](Code::DeadlineExceeded), [`Cancelled`](Code::Cancelled) and [`Internal`](Code::Internal). All other codes are
//! a tool's word that nothing was done.
//!
//! # Why such a call outlives its caller
//! A worker that is told to stop drops what it does. For an idempotent call that is the end of it; this one would become an unknown outcome with every planned restart. So it
//! goes on in a task of its own until its answer is on disk, and a process that ends waits for those tasks ([`Tools::settled`](crate::Tools::settled)).

mod memory;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use pathway_kernel::{Code, Fault};
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::{CallContext, Effect, Position, Tool, ToolItem, ToolResult};
pub use memory::MemoryJournal;

/// A call that is about to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// The item's idempotency key.
    pub key: String,
    /// Where the item's event is.
    pub position: Position,
}

/// How a call stood before it was reserved.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// It had never been made. It is reserved now.
    New,
    /// It was reserved, and its end is not known.
    Unknown,
    /// It was made, and this was the answer.
    Answered(Value),
}

/// What became of a reserved call.
#[derive(Debug, Clone, PartialEq)]
pub struct Finalised {
    /// Which.
    pub call: Reservation,
    /// The answer; none where the tool refused, so that nothing was done and the reservation is taken back.
    pub answer: Option<Value>,
}

/// A journal's work under way.
pub type JournalFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'a>>;

/// Remembers calls whose effect must not be doubled. Both operations take a batch and are on disk when they answer.
pub trait Journal: Send + Sync {
    /// Reserves calls; answers how each stood before, in order. They will have ended by `until`, where that is known.
    fn reserve(&self, calls: Vec<Reservation>, until: Option<Instant>) -> JournalFuture<'_, Vec<Standing>>;

    /// Keeps what became of them.
    fn finalise(&self, calls: Vec<Finalised>) -> JournalFuture<'_, ()>;
}

/// What a node says about an outcome that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum OnUnknown {
    /// The event fails and waits for a person.
    #[default]
    Ask,
    /// The call is made again.
    Retry,
    /// The item's answer is null.
    Skip,
}

/// The journal, and the calls under way that it waits for; cheap to clone.
#[derive(Clone)]
pub(crate) struct Ledger {
    journal: Arc<dyn Journal>,
    under_way: TaskTracker,
}

/// A call with what it needs to go on alone.
pub(crate) struct OnceCall {
    pub(crate) tool: Arc<dyn Tool>,
    /// With the deadline of the batch.
    pub(crate) context: CallContext,
    /// How long a piece may take.
    pub(crate) timeout: Option<Duration>,
    pub(crate) items: Vec<ToolItem>,
    pub(crate) on_unknown: OnUnknown,
}

/// The most items that are reserved at once: so many outcomes are unknown after a crash at the worst.
const PIECE: usize = 32;
/// The reason of a fault whose outcome nobody knows.
const OUTCOME_UNKNOWN: &str = "OUTCOME_UNKNOWN";

// === impl Ledger ===

impl Ledger {
    pub(crate) fn new(journal: Arc<dyn Journal>) -> Self {
        Self { journal, under_way: TaskTracker::new() }
    }

    /// Makes a call at most as often as its policy says, piece by piece. A piece that has begun goes on where the caller does not.
    pub(crate) async fn call(&self, mut call: OnceCall) -> ToolResult {
        let mut results = Vec::with_capacity(call.items.len());
        loop {
            let rest = call.items.split_off(call.items.len().min(PIECE));
            let next =
                OnceCall { items: rest, tool: Arc::clone(&call.tool), context: call.context.clone(), ..call };
            let own = call.timeout.map(|timeout| Instant::now() + timeout);
            call.context.deadline = [own, next.context.deadline].into_iter().flatten().min();
            let journal = Arc::clone(&self.journal);
            let task =
                self.under_way.spawn(async move { call.run(journal.as_ref()).await }.in_current_span());
            // It panicked, or the runtime ends.
            results.extend(task.await.unwrap_or_else(|gone| Err(Fault::internal(gone)))?);
            if next.items.is_empty() {
                return Ok(results);
            }
            call = next;
        }
    }

    /// Waits until no call is under way.
    pub(crate) async fn settled(&self) {
        self.under_way.close();
        self.under_way.wait().await;
    }
}

// === impl OnceCall ===

impl OnceCall {
    /// One result for each item. It fails as a whole only where the journal does.
    async fn run(mut self, journal: &dyn Journal) -> ToolResult {
        let count = self.items.len();
        let once: Vec<usize> =
            (0..count).filter(|&at| self.tool.effect(&self.items[at].args) == Effect::Once).collect();
        let reservations = once.iter().map(|&at| Reservation::of(&self.items[at])).collect();
        let standings = journal.reserve(reservations, self.context.deadline).await?;
        let mut results: Vec<Option<Result<Value, Fault>>> = (0..count).map(|_| None).collect();
        for (&at, standing) in once.iter().zip(standings) {
            results[at] = match (standing, self.on_unknown) {
                (Standing::New, _) | (Standing::Unknown, OnUnknown::Retry) => None,
                (Standing::Unknown, OnUnknown::Ask | OnUnknown::Skip) => {
                    Some(Err(self.unknown("it was begun, and no answer of it was kept")))
                }
                (Standing::Answered(answer), _) => Some(Ok(answer)),
            };
        }
        let open: Vec<usize> = (0..count).filter(|&at| results[at].is_none()).collect();
        let mut items: Vec<Option<ToolItem>> =
            std::mem::take(&mut self.items).into_iter().map(Some).collect();
        let calls: Vec<ToolItem> = open.iter().filter_map(|&at| items[at].take()).collect();
        let made = calls.iter().map(Reservation::of).collect::<Vec<_>>();
        let answers = self.call(calls).await;
        let mut finalised = Vec::new();
        for ((at, answer), call) in open.into_iter().zip(answers).zip(made) {
            let is_once = once.binary_search(&at).is_ok();
            results[at] = Some(if is_once { self.judge(call, answer, &mut finalised) } else { answer });
        }
        if !finalised.is_empty() {
            journal.finalise(finalised).await?;
        }
        Ok(results.into_iter().map(|result| result.unwrap_or_else(|| Err(unanswered()))).collect())
    }

    /// What the tool answers, one for each item, in the time that there is.
    async fn call(&self, items: Vec<ToolItem>) -> Vec<Result<Value, Fault>> {
        let count = items.len();
        if count == 0 {
            return Vec::new();
        }
        if self.context.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            // A call that has no time left is not begun, for then nobody would know.
            let late =
                || Fault::new(Code::Unavailable, "NOT_BEGUN", "there was no time left to call the tool");
            return (0..count).map(|_| Err(late())).collect();
        }
        let result = in_time(self.tool.as_ref(), &self.context, items).await;
        match result {
            Ok(results) if results.len() == count => results,
            Ok(_) => (0..count).map(|_| Err(unanswered())).collect(),
            Err(fault) => (0..count).map(|_| Err(copy(&fault))).collect(),
        }
    }

    /// What the journal keeps of an answer, and what the event learns of it.
    fn judge(
        &self,
        call: Reservation,
        answer: Result<Value, Fault>,
        finalised: &mut Vec<Finalised>,
    ) -> Result<Value, Fault> {
        match answer {
            Ok(answer) => {
                finalised.push(Finalised { call, answer: Some(answer.clone()) });
                Ok(answer)
            }
            Err(fault) if !leaves_open(fault.code()) => {
                finalised.push(Finalised { call, answer: None });
                Err(fault)
            }
            Err(fault) if self.on_unknown == OnUnknown::Retry => Err(fault),
            Err(fault) => {
                let why = fault.message().to_owned();
                Err(self.unknown(&why).with_source(fault))
            }
        }
    }

    fn unknown(&self, why: &str) -> Fault {
        let message = format!(
            "whether `{}` did its work is not known ({why}): look at the other side, then redrive the event to call it again, or discard it",
            self.context.node
        );
        Fault::new(Code::FailedPrecondition, OUTCOME_UNKNOWN, message)
    }
}

// === impl Reservation ===

impl Reservation {
    fn of(item: &ToolItem) -> Self {
        Self { key: item.key.clone(), position: item.position.clone() }
    }
}

/// Calls a tool until its deadline.
pub(crate) async fn in_time(tool: &dyn Tool, context: &CallContext, items: Vec<ToolItem>) -> ToolResult {
    let called = tool.call(context, items);
    let Some(deadline) = context.deadline else { return called.await };
    let message = || format!("the node `{}` took too long", context.node);
    let late = |_| Err(Fault::new(Code::DeadlineExceeded, "NODE_TIMEOUT", message()));
    tokio::time::timeout_at(deadline, called).await.unwrap_or_else(late)
}

/// Whether a fault says that nobody knows.
pub(crate) fn is_unknown(fault: &Fault) -> bool {
    fault.reason() == OUTCOME_UNKNOWN
}

/// The same fault for another event. The cause stays with the first.
pub(crate) fn copy(fault: &Fault) -> Fault {
    let copy = Fault::new(fault.code(), fault.reason().to_owned(), fault.message().to_owned())
        .with_violations(fault.violations().to_vec());
    match fault.retry_after() {
        Some(wait) => copy.with_retry_after(wait),
        None => copy,
    }
}

const fn leaves_open(code: Code) -> bool {
    matches!(code, Code::DeadlineExceeded | Code::Cancelled | Code::Internal)
}

fn unanswered() -> Fault {
    Fault::internal("a tool left an item without an answer")
}
