//! A test kit: run a pathway without what it calls.
//!
//! A definition is code, so it wants tests; and what it calls, peers and paid services, is not there in one. A [`Rehearsal`] is a pathway whose tools have
//! the names and the arguments of the real ones, so that a definition is checked as it will be, and whose answers come from the test: from a closure for each tool, or
//! from a [`Recording`] of what the real ones answered once.
//!
//! Time is tokio's. Under `#[tokio::test(start_paused = true)]` waits, timeouts and breakers' rests take no time at all, and a month of daily events runs in
//! milliseconds.
//!
//! ```
//! use pathway_engine::{Definition, Rehearsal, Tools, Transform};
//! use serde_json::json;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
//! let yaml = "
//! pathway: greeting
//! on: { topic: greetings, key: input.name }
//! nodes:
//!   text: { use: transform, with: { value: 'Hello ${input.name}' } }
//! output: '${nodes.text.value}'
//! ";
//! let definition = Definition::parse(yaml, &|_| None).map_err(|mistakes| mistakes[0].clone())?;
//! let tools = Tools::default().with(std::sync::Arc::new(Transform));
//! let rehearsal = Rehearsal::new(definition, &tools).map_err(|mistakes| mistakes[0].clone())?;
//! rehearsal.stub("transform", |arguments| Ok(json!({"value": arguments["value"]})));
//!
//! let outcome = rehearsal.run(json!({"name": "Asha"})).await?;
//! assert_eq!(outcome.output, json!("Hello Asha"));
//! assert_eq!(rehearsal.calls()[0].arguments["value"], "Hello Asha");
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # }).map_err(|error| error.to_string())?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod stand_ins;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pathway_kernel::{Code, Fault, Violation};
use serde_json::{Map, Value, json};

use crate::{
    BatchOutcome, CallContext, Definition, DefinitionError, EventOutcome, Input, Pathway, Position, ToolItem,
    Tools,
};
use stand_ins::{Recorder, Understudy};

/// A pathway whose tools answer what a test says.
#[derive(Debug)]
pub struct Rehearsal {
    pathway: Pathway,
    stage: Arc<Stage>,
}

/// A call that a pathway made.
#[derive(Debug, Clone, PartialEq)]
pub struct Called {
    /// The tool.
    pub tool: String,
    /// The node.
    pub node: String,
    /// The idempotency key.
    pub key: String,
    /// The arguments, an object.
    pub arguments: Value,
}

/// What tools answered, to be played again: a list of `{tool, arguments, answer}`, or with `error` in place of the answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Recording(Vec<Recorded>);

#[derive(Debug, Clone, PartialEq)]
struct Recorded {
    tool: String,
    arguments: Value,
    answer: Result<Value, (Code, String)>,
}

type Stub = dyn Fn(&Value) -> Result<Value, Fault> + Send + Sync;

/// What the stubs share.
#[derive(Default)]
struct Stage {
    stubs: Mutex<HashMap<String, Arc<Stub>>>,
    calls: Mutex<Vec<Called>>,
    recorded: Mutex<Vec<Recorded>>,
    /// How many events have been run, which places the next.
    events: Mutex<i64>,
}

// === impl Rehearsal ===

impl Rehearsal {
    /// A pathway with understudies for its tools. A tool without a stub fails for good and says so.
    ///
    /// # Errors
    /// Every mistake of the definition, as [`Pathway::new`].
    pub fn new(definition: Definition, tools: &Tools) -> Result<Self, Vec<DefinitionError>> {
        let stage = Arc::<Stage>::default();
        let understudies = tools.map(|original| Arc::new(Understudy { original, stage: Arc::clone(&stage) }));
        Ok(Self { pathway: Pathway::new(definition, &understudies)?, stage })
    }

    /// A pathway with its real tools, whose answers are written down for [`recording`](Self::recording).
    ///
    /// # Errors
    /// Every mistake of the definition, as [`Pathway::new`].
    pub fn recording_of(definition: Definition, tools: &Tools) -> Result<Self, Vec<DefinitionError>> {
        let stage = Arc::<Stage>::default();
        let recorders = tools.map(|original| Arc::new(Recorder { original, stage: Arc::clone(&stage) }));
        Ok(Self { pathway: Pathway::new(definition, &recorders)?, stage })
    }

    /// Lets a tool answer what `stub` makes of its arguments; a later one takes the place of an earlier.
    pub fn stub(&self, tool: &str, stub: impl Fn(&Value) -> Result<Value, Fault> + Send + Sync + 'static) {
        lock(&self.stage.stubs).insert(tool.to_owned(), Arc::new(stub));
    }

    /// Lets the tools of a recording answer as they did then: to equal arguments, in the order of then. Other arguments fail for good.
    pub fn replay(&self, recording: &Recording) {
        let left = Arc::new(Mutex::new(recording.0.clone()));
        for tool in recording.0.iter().map(|recorded| recorded.tool.clone()) {
            let (left, name) = (Arc::clone(&left), tool.clone());
            self.stub(&tool, move |arguments| {
                let mut left = lock(&left);
                let found = left.iter().position(|known| known.tool == name && known.arguments == *arguments);
                let missing = || {
                    let message =
                        format!("the recording has no further answer of `{name}` to these arguments");
                    Fault::new(Code::FailedPrecondition, "NOT_RECORDED", message)
                };
                let recorded = left.remove(found.ok_or_else(missing)?);
                recorded.answer.map_err(|(code, message)| Fault::new(code, "RECORDED", message))
            });
        }
    }

    /// What the real tools have answered so far.
    #[must_use]
    pub fn recording(&self) -> Recording {
        Recording(lock(&self.stage.recorded).clone())
    }

    /// Runs one event of this data.
    ///
    /// # Errors
    /// The failure that may pass, where it would park the partition: run the event again to see what comes of it.
    pub async fn run(&self, data: Value) -> Result<EventOutcome, Fault> {
        let mut outcomes = self.run_all(vec![data]).await?;
        outcomes.pop().ok_or_else(|| Fault::internal("an event without an outcome"))
    }

    /// Runs events of this data as one batch.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_all(&self, data: Vec<Value>) -> Result<Vec<EventOutcome>, Fault> {
        let first = *lock(&self.stage.events);
        let input = |(offset, data): (i64, Value)| Input {
            event_id: offset.to_string(),
            position: Position { epoch: "rehearsal".into(), partition: 0, offset },
            data,
            done: Map::new(),
        };
        let batch: Vec<Input> = (first..).zip(data).map(input).collect();
        let count = i64::try_from(batch.len()).unwrap_or(i64::MAX);
        match self.pathway.run(batch).await {
            BatchOutcome::Park(fault) => Err(fault),
            BatchOutcome::Done(outcomes) => {
                // One that was parked keeps its place, and with it its keys.
                *lock(&self.stage.events) += count;
                Ok(outcomes)
            }
        }
    }

    /// The calls so far, in their order.
    #[must_use]
    pub fn calls(&self) -> Vec<Called> {
        lock(&self.stage.calls).clone()
    }
}

// === impl Recording ===

impl Recording {
    /// As JSON, to be kept in a file beside the test.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let all = self.0.iter().map(|recorded| match &recorded.answer {
            Ok(answer) => json!({"tool": recorded.tool, "arguments": recorded.arguments, "answer": answer}),
            Err((code, message)) => json!({
                "tool": recorded.tool, "arguments": recorded.arguments,
                "error": {"code": code.name(), "message": message},
            }),
        });
        Value::Array(all.collect())
    }

    /// What [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn from_json(value: &Value) -> Result<Self, Fault> {
        let read = |entry: &Value| {
            let answer = match entry.get("error") {
                None => Ok(entry.get("answer")?.clone()),
                Some(error) => {
                    let code = error["code"].as_str()?;
                    let code = Code::ALL.into_iter().find(|known| known.name() == code)?;
                    Err((code, error["message"].as_str()?.to_owned()))
                }
            };
            let tool = entry["tool"].as_str()?.to_owned();
            Some(Recorded { tool, arguments: entry.get("arguments")?.clone(), answer })
        };
        let all = value.as_array().and_then(|entries| entries.iter().map(read).collect::<Option<_>>());
        let wrong = || {
            Fault::invalid(vec![Violation::new("recording", "is none: a list of {tool, arguments, answer}")])
        };
        all.map(Self).ok_or_else(wrong)
    }
}

// === impl Stage ===

impl Stage {
    fn note(&self, tool: &str, context: &CallContext, items: &[ToolItem]) {
        let called = |item: &ToolItem| Called {
            tool: tool.to_owned(),
            node: context.node.to_string(),
            key: item.key.clone(),
            arguments: item.args.clone(),
        };
        lock(&self.calls).extend(items.iter().map(called));
    }
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage").field("calls", &lock(&self.calls).len()).finish_non_exhaustive()
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
