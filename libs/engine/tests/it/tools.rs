//! Tools that do as their arguments say, and remember what they were asked.

use std::sync::{Arc, Mutex};

use pathway_engine::{
    ArgSpec, BatchOutcome, CallContext, Definition, DefinitionError, EventOutcome, Input, Kind, Pathway,
    Position, Tool, ToolFuture, ToolItem, Tools,
};
use pathway_kernel::{Code, Fault, Violation};
use serde_json::Value;

/// Answers its `value`. An object with `fail` or `away` fails for good or for a while; `silent` never answers.
#[derive(Debug, Default)]
pub(crate) struct Echo {
    calls: Mutex<Vec<Vec<ToolItem>>>,
}

// === impl Echo ===

impl Echo {
    /// The calls so far, each with its items.
    pub(crate) fn calls(&self) -> Vec<Vec<ToolItem>> {
        self.calls.lock().unwrap().clone()
    }

    fn answer(item: &ToolItem) -> Result<Value, Fault> {
        let value = &item.args["value"];
        if value.get("fail").is_some() {
            return Err(Fault::new(Code::OutOfRange, "FAILED", "for good"));
        }
        if value.get("away").is_some() {
            return Err(Fault::new(Code::Unavailable, "AWAY", "for a while"));
        }
        Ok(value.clone())
    }
}

impl Tool for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn args(&self) -> &'static [ArgSpec] {
        const { &[ArgSpec::required("value", Kind::Any), ArgSpec::optional("note", Kind::Any)] }
    }

    fn check(&self, args: &Value) -> Vec<Violation> {
        let is_bad = args["value"].get("bad").is_some();
        is_bad.then(|| Violation::new("bad", "is refused by the tool")).into_iter().collect()
    }

    fn call<'a>(&'a self, _: &'a CallContext, items: Vec<ToolItem>) -> ToolFuture<'a> {
        self.calls.lock().unwrap().push(items.clone());
        Box::pin(async move {
            if items.iter().any(|item| item.args["value"].get("silent").is_some()) {
                std::future::pending::<()>().await;
            }
            Ok(items.iter().map(Self::answer).collect())
        })
    }
}

/// A definition without a schema beside it.
pub(crate) fn parse(yaml: &str) -> Result<Definition, Vec<DefinitionError>> {
    Definition::parse(yaml, &|_| None)
}

/// A pathway over `nodes` (YAML, indented by two), with the tool that it uses.
pub(crate) fn pathway(nodes: &str) -> (Pathway, Arc<Echo>) {
    build(&format!("pathway: p\non: {{ topic: t, key: input.id }}\nnodes:\n{nodes}"))
}

/// A pathway with the tool that it uses.
pub(crate) fn build(yaml: &str) -> (Pathway, Arc<Echo>) {
    let echo = Arc::new(Echo::default());
    let tools = Tools::default().with(Arc::clone(&echo) as Arc<dyn Tool>);
    (Pathway::new(parse(yaml).unwrap(), &tools).unwrap(), echo)
}

/// Events of this data, at offsets from 0.
pub(crate) fn events(data: &[Value]) -> Vec<Input> {
    let input = |(offset, data): (i64, &Value)| Input {
        event_id: offset.to_string(),
        position: Position { epoch: "log".into(), partition: 3, offset },
        data: data.clone(),
        done: serde_json::Map::new(),
    };
    (0..).zip(data).map(input).collect()
}

/// The outcomes of a batch that ended.
pub(crate) async fn done(pathway: &Pathway, data: &[Value]) -> Vec<EventOutcome> {
    match pathway.run(events(data)).await {
        BatchOutcome::Done(outcomes) => outcomes,
        BatchOutcome::Park(fault) => panic!("parked: {fault}"),
    }
}
