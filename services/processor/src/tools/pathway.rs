//! `pathway`: another pathway as a step.
//!
//! It runs with the arguments' `input` as its event, and its `output` is the answer. Its nodes' keys begin with this step's, so what it does is done once for
//! each step. A failure for good is the step's; what may pass parks the caller.

use std::collections::BTreeMap;
use std::sync::Arc;

use pathway_engine::{
    ArgSpec, BatchOutcome, CallContext, EventOutcome, Kind, Pathway, Tool, ToolFuture, ToolItem, ToolResult,
};
use pathway_kernel::{Code, Fault};
use serde_json::Value;

use super::{Home, text};

/// Runs pathways.
#[derive(Debug)]
pub(crate) struct SubPathway(pub(crate) Home);

/// How many pathways may wait for each other: enough to take a large one apart, and an end for those that call themselves.
const DEEPEST: u32 = 8;

// === impl SubPathway ===

impl SubPathway {
    async fn run(&self, context: &CallContext, items: Vec<ToolItem>) -> ToolResult {
        let count = items.len();
        if context.depth >= DEEPEST {
            let message = format!("more than {DEEPEST} pathways wait for each other: does one call itself?");
            return Err(Fault::new(Code::FailedPrecondition, "TOO_DEEP", message));
        }
        // Those of one pathway run as one batch.
        let mut batches: BTreeMap<(String, String), (Vec<usize>, Vec<ToolItem>)> = BTreeMap::new();
        for (at, item) in items.into_iter().enumerate() {
            let wanted = (text(&item.args, "pathway"), text(&item.args, "version"));
            let batch = batches.entry(wanted).or_default();
            batch.0.push(at);
            batch.1.push(item);
        }
        let mut results: Vec<Option<Result<Value, Fault>>> = (0..count).map(|_| None).collect();
        for ((name, version), (places, items)) in batches {
            let pathway = match self.find(&name, &version).await {
                Ok(pathway) => pathway,
                Err(fault) if fault.is_transient() => return Err(fault),
                Err(fault) => {
                    for at in places {
                        let same =
                            Fault::new(fault.code(), fault.reason().to_owned(), fault.message().to_owned());
                        results[at] = Some(Err(same.with_violations(fault.violations().to_vec())));
                    }
                    continue;
                }
            };
            match pathway.run_as_step(context, items).await {
                BatchOutcome::Park(fault) => return Err(fault),
                BatchOutcome::Done(outcomes) => {
                    for (at, outcome) in places.into_iter().zip(outcomes) {
                        results[at] = Some(answer(&name, outcome));
                    }
                }
            }
        }
        let missing = || Err(Fault::internal("an item that no pathway ran for"));
        Ok(results.into_iter().map(|result| result.unwrap_or_else(missing)).collect())
    }

    /// The version that was asked for, or the one that is active.
    async fn find(&self, name: &str, version: &str) -> Result<Arc<Pathway>, Fault> {
        let processing = self.0.get()?;
        if version.is_empty() {
            let current = processing.registry.current().await?;
            let active = current.line(name).and_then(|line| line.active().map(Arc::clone));
            let message =
                format!("no version of the pathway `{name}` is active: activate one, then redrive the event");
            return active.ok_or_else(|| Fault::new(Code::FailedPrecondition, "NOT_ACTIVE", message));
        }
        Ok(processing.pinned(name, version).await?)
    }
}

impl Tool for SubPathway {
    fn name(&self) -> &'static str {
        "pathway"
    }

    fn args(&self) -> &'static [ArgSpec] {
        const {
            &[
                ArgSpec::required("pathway", Kind::Text),
                ArgSpec::optional("version", Kind::Text),
                ArgSpec::required("input", Kind::Object),
            ]
        }
    }

    fn call<'a>(&'a self, context: &'a CallContext, items: Vec<ToolItem>) -> ToolFuture<'a> {
        Box::pin(self.run(context, items))
    }
}

fn answer(name: &str, outcome: EventOutcome) -> Result<Value, Fault> {
    let Some(failure) = outcome.failure else { return Ok(outcome.output) };
    let fault = failure.fault;
    let place = if failure.node.is_empty() { name.to_owned() } else { format!("{name}/{}", failure.node) };
    let message = format!("{place}: {}", fault.message());
    Err(Fault::new(fault.code(), fault.reason().to_owned(), message)
        .with_violations(fault.violations().to_vec()))
}
