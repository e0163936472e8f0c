//! A definition with its tools.

use std::sync::Arc;

use pathway_kernel::{Rng, Violation};
use pathway_resilience::Breaker;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::check::{Mistakes, types};
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
    /// Whether it always runs and its arguments follow from the input alone, so that they can be checked before anything has run.
    pub(crate) by_input: bool,
    pub(crate) tool: Arc<dyn Tool>,
    pub(crate) fallback: Option<Arc<dyn Tool>>,
    pub(crate) breaker: Option<Breaker>,
}

// === impl Pathway ===

impl Pathway {
    /// Reads and checks a YAML file together with the tools that it names. `schemas` answers the JSON Schema that a `$ref` names.
    ///
    /// # Errors
    /// Every mistake in the file and between it and the tools, with its code, path and hint.
    pub fn parse(
        yaml: &str,
        schemas: &dyn Fn(&str) -> Option<Value>,
        tools: &Tools,
    ) -> Result<Self, Vec<DefinitionError>> {
        Self::join(Definition::read(yaml, schemas, Some(tools))?, tools, Mistakes::default())
    }

    /// Joins a definition with the tools that it names.
    ///
    /// # Errors
    /// Every mistake between the two: a tool that is not there, an argument that it lacks, does not take or takes of another kind, a reference to what
    /// cannot be there.
    pub fn new(definition: Definition, tools: &Tools) -> Result<Self, Vec<DefinitionError>> {
        let mut mistakes = Mistakes::default();
        types::check(definition.parts(), tools, &mut mistakes);
        Self::join(definition, tools, mistakes)
    }

    fn join(definition: Definition, tools: &Tools, mistakes: Mistakes) -> Result<Self, Vec<DefinitionError>> {
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
        for (node, step) in self.definition.nodes.iter().zip(&self.steps).filter(|(_, step)| step.by_input) {
            if let Ok(args) = node.call.with.render(scope) {
                // What the schema says about a field is enough about it.
                let is_new = |found: &Violation| violations.iter().all(|known| known.field != found.field);
                let found: Vec<Violation> = step.tool.check(&args).into_iter().filter(is_new).collect();
                violations.extend(found);
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
    Some(Step { by_input: by_input(node), tool: Arc::clone(tools.get(&node.call.tool)?), fallback, breaker })
}

fn by_input(node: &Node) -> bool {
    let mut expressions = Vec::new();
    node.call.with.expressions("", &mut expressions);
    let of_input = |expression: &Expression| expression.roots().iter().all(|root| root == "input");
    node.when.is_none()
        && node.for_each.is_none()
        && expressions.iter().all(|(_, expression)| of_input(expression))
}
