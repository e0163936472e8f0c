//! Tools that stand in for others.

use std::sync::Arc;

use pathway_kernel::{Code, Fault, Violation};
use serde_json::Value;

use super::{Recorded, Stage, lock};
use crate::{Answer, ArgSpec, CallContext, Effect, Tool, ToolFuture, ToolItem};

/// A tool with another's name and arguments, and a test's answers.
pub(super) struct Understudy {
    pub(super) original: Arc<dyn Tool>,
    pub(super) stage: Arc<Stage>,
}

/// A tool that answers what another does, and writes it down.
pub(super) struct Recorder {
    pub(super) original: Arc<dyn Tool>,
    pub(super) stage: Arc<Stage>,
}

// === impl Understudy ===

impl Tool for Understudy {
    fn name(&self) -> &'static str {
        self.original.name()
    }

    fn effect(&self, args: &Value) -> Effect {
        self.original.effect(args)
    }

    fn answer(&self) -> Answer {
        self.original.answer()
    }

    fn args(&self) -> &'static [ArgSpec] {
        self.original.args()
    }

    fn check(&self, args: &Value) -> Vec<Violation> {
        self.original.check(args)
    }

    fn call<'a>(&'a self, context: &'a CallContext, items: Vec<ToolItem>) -> ToolFuture<'a> {
        let stub = lock(&self.stage.stubs).get(self.name()).cloned();
        self.stage.note(self.name(), context, &items);
        Box::pin(async move {
            let Some(stub) = stub else {
                let message = format!("the rehearsal has no stub for `{}`", self.name());
                return Err(Fault::new(Code::FailedPrecondition, "NO_STUB", message));
            };
            Ok(items.iter().map(|item| stub(&item.args)).collect())
        })
    }
}

// === impl Recorder ===

impl Tool for Recorder {
    fn name(&self) -> &'static str {
        self.original.name()
    }

    fn effect(&self, args: &Value) -> Effect {
        self.original.effect(args)
    }

    fn answer(&self) -> Answer {
        self.original.answer()
    }

    fn args(&self) -> &'static [ArgSpec] {
        self.original.args()
    }

    fn check(&self, args: &Value) -> Vec<Violation> {
        self.original.check(args)
    }

    fn call<'a>(&'a self, context: &'a CallContext, items: Vec<ToolItem>) -> ToolFuture<'a> {
        self.stage.note(self.name(), context, &items);
        Box::pin(async move {
            let arguments: Vec<Value> = items.iter().map(|item| item.args.clone()).collect();
            let results = self.original.call(context, items).await?;
            let record = |(arguments, result): (Value, &Result<Value, Fault>)| Recorded {
                tool: self.name().to_owned(),
                arguments,
                answer: result.as_ref().cloned().map_err(|fault| (fault.code(), fault.message().to_owned())),
            };
            lock(&self.stage.recorded).extend(arguments.into_iter().zip(&results).map(record));
            Ok(results)
        })
    }
}
