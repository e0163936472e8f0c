//! What becomes of an event whose node has failed.

use std::collections::HashMap;

use pathway_kernel::Fault;
use serde_json::Value;

use super::call::Attempt;
use super::{End, Progress, Told, Within};
use crate::Pathway;
use crate::definition::{Fallback, OnError};

// === impl Pathway ===

impl Pathway {
    /// What becomes of events whose node has failed.
    pub(super) async fn fall_back(
        &self,
        at: usize,
        failed: Vec<(usize, Fault)>,
        events: &[Progress],
        within: Within,
    ) -> Result<Vec<(usize, End)>, Fault> {
        let (node, step) = (&self.definition.nodes[at], &self.steps[at]);
        let OnError::Fallback(fallback) = &node.on_error else {
            let end = |(index, fault): (usize, Fault)| {
                if fault.is_transient() { Err(fault) } else { Ok((index, End::Failed(fault))) }
            };
            return failed.into_iter().map(end).collect();
        };
        if failed.is_empty() {
            return Ok(Vec::new());
        }
        let indices: Vec<usize> = failed.iter().map(|(index, _)| *index).collect();
        let answers = match (fallback.as_ref(), &step.fallback) {
            (Fallback::Value(value), _) => {
                let answer = |index: &usize| match value.render(events[*index].scope()) {
                    Ok(value) => (*index, Told::Value(value)),
                    Err(fault) => (*index, Told::Failed(fault)),
                };
                indices.iter().map(answer).collect()
            }
            (Fallback::Call(call), Some(tool)) => {
                // No node's name has a dot.
                let work = format!("{}.fallback", node.name);
                let attempt = Attempt {
                    pathway: self,
                    node,
                    call,
                    tool,
                    breaker: None,
                    work: &work,
                    within,
                    attempt: 1,
                };
                attempt.run(&indices, events).await
            }
            // A pathway is not built without the tools that it names.
            (Fallback::Call(_), None) => return Err(Fault::internal("a fallback without its tool")),
        };
        let mut causes: HashMap<usize, Fault> = failed.into_iter().collect();
        let mut ends = Vec::with_capacity(indices.len());
        for (index, answer) in answers {
            let Some(cause) = causes.remove(&index) else { continue };
            ends.push(match answer {
                Told::Value(value) | Told::PassedOver(value, _) => (index, End::FellBack(value, cause)),
                Told::Skipped => (index, End::FellBack(Value::Null, cause)),
                Told::Failed(fault) if fault.is_transient() => return Err(fault),
                Told::Failed(fault) => (index, End::Failed(fault)),
            });
        }
        // Whatever the fallback says nothing about has failed as it had.
        ends.extend(causes.into_iter().map(|(index, cause)| (index, End::Failed(cause))));
        Ok(ends)
    }
}
