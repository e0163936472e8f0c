//! A definition with its tools.

use std::sync::Arc;

use pathway_kernel::{Rng, Violation};
use pathway_resilience::Breaker;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::check::types;
use crate::definition::{Fallback, OnError};
use crate::expression::{Expression, Scope};
use crate::journal::Ledger;
use crate::{Definition, DefinitionError, Node, Tool, Tools};

/// A definition whose tools exist and take what it gives them.
pub struct Pathway {
    pub(crate) definition: Definition,
    /// One for each node, in the same order.
    pub(crate) steps: Vec<Step>,
    /// The jitter between attempts.
    pub(crate) rng: Rng,
    /// What must not be done twice.
    pub(crate) ledger: Ledger,
    /// For each batch that may run.
    pub(crate) turns: Semaphore,
}

/// What a node is run with.
pub(crate) struct Step {
    pub(crate) tool: Arc<dyn Tool>,
    pub(crate) fallback: Option<Arc<dyn Tool>>,
    pub(crate) breaker: Option<Breaker>,
}

// === impl Pathway ===

impl Pathway {
    /// Joins a definition with the tools that it names.
    ///
    /// # Errors
    /// Every mistake between the two: a tool that is not there, an argument that it lacks, does not take or takes of another kind, a reference to what
    /// cannot be there.
    pub fn new(definition: Definition, tools: &Tools) -> Result<Self, Vec<DefinitionError>> {
        let mistakes = types::check(&definition, tools);
        let steps: Option<Vec<Step>> =
            definition.nodes.iter().map(|node| step(&definition.name, node, tools)).collect();
        let (rng, ledger) = (tools.rng().clone(), tools.ledger().clone());
        let turns = Semaphore::new(definition.limits.batches);
        mistakes.verdict(steps.map(|steps| Self { definition, steps, rng, ledger, turns }))
    }

    /// The definition.
    #[must_use]
    pub const fn definition(&self) -> &Definition {
        &self.definition
    }

    /// The definition alone.
    #[must_use]
    pub fn into_definition(self) -> Definition {
        self.definition
    }

    /// Everything that is wrong with an input: by the schema, and by the tools whose arguments
    /// follow from the input alone.
    #[must_use]
    pub fn check_input(&self, input: &Value) -> Vec<Violation> {
        let mut violations = self.definition.check_input(input);
        let scope = Scope { input, nodes: &Value::Null, item: None };
        for (node, step) in self.definition.nodes.iter().zip(&self.steps) {
            let mut expressions = Vec::new();
            node.call.with.expressions("", &mut expressions);
            let of_input = |expression: &Expression| expression.roots().iter().all(|root| root == "input");
            let known = node.when.is_none()
                && node.for_each.is_none()
                && expressions.iter().all(|(_, expression)| of_input(expression));
            if known && let Ok(args) = node.call.with.render(scope) {
                // What the schema says about a field is enough about it.
                let named: Vec<String> = violations.iter().map(|violation| violation.field.clone()).collect();
                violations
                    .extend(step.tool.check(&args).into_iter().filter(|found| !named.contains(&found.field)));
            }
        }
        violations
    }
}

impl std::fmt::Debug for Pathway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pathway").field("definition", &self.definition).finish_non_exhaustive()
    }
}

/// None where a tool is missing, which the check has told.
fn step(pathway: &str, node: &Node, tools: &Tools) -> Option<Step> {
    let fallback = match &node.on_error {
        OnError::Fallback(fallback) => match fallback.as_ref() {
            Fallback::Call(call) => Some(Arc::clone(tools.get(&call.tool)?)),
            Fallback::Value(_) => None,
        },
        OnError::Fail | OnError::Continue => None,
    };
    let target = format!("{pathway}/{}", node.name);
    let breaker = node.breaker.map(|config| tools.breakers().breaker(&target, config));
    Some(Step { tool: Arc::clone(tools.get(&node.call.tool)?), fallback, breaker })
}
