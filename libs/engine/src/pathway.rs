//! A definition with its tools.

use std::sync::Arc;

use pathway_kernel::Violation;
use serde_json::Value;

use crate::expression::Scope;
use crate::{Definition, DefinitionError, Tool, Tools};

/// A definition whose tools exist and take what it gives them.
pub struct Pathway {
    pub(crate) definition: Definition,
    /// One for each node, in the same order.
    pub(crate) tools: Vec<Arc<dyn Tool>>,
}

// === impl Pathway ===

impl Pathway {
    /// Joins a definition with the tools that it names.
    ///
    /// # Errors
    /// Every unknown tool, and every argument that a tool does not take or lacks.
    pub fn new(definition: Definition, tools: &Tools) -> Result<Self, Vec<DefinitionError>> {
        let mut mistakes = Vec::new();
        let mut found = Vec::with_capacity(definition.nodes.len());
        for node in &definition.nodes {
            match tools.get(&node.tool) {
                Some(tool) => {
                    mistakes.extend(arguments(node, tool.as_ref()));
                    found.push(Arc::clone(tool));
                }
                None => mistakes.push(DefinitionError {
                    code: "UNKNOWN_TOOL",
                    path: format!("nodes.{}.use", node.name),
                    message: format!(
                        "there is no tool `{}`; known are {}",
                        node.tool,
                        tools.names().collect::<Vec<_>>().join(", ")
                    ),
                }),
            }
        }
        if mistakes.is_empty() { Ok(Self { definition, tools: found }) } else { Err(mistakes) }
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
        for (node, tool) in self.definition.nodes.iter().zip(&self.tools) {
            let mut expressions = Vec::new();
            node.with.expressions(&mut expressions);
            let known = node.when.is_none()
                && node.for_each.is_none()
                && expressions.iter().all(|expression| expression.roots().iter().all(|root| root == "input"));
            if known && let Ok(args) = node.with.render(scope) {
                // What the schema says about a field is enough about it.
                let named: Vec<String> = violations.iter().map(|violation| violation.field.clone()).collect();
                violations
                    .extend(tool.check(&args).into_iter().filter(|found| !named.contains(&found.field)));
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

fn arguments(node: &crate::Node, tool: &dyn Tool) -> Vec<DefinitionError> {
    let crate::template::Template::Object(given) = &node.with else { return Vec::new() };
    let mistake = |code, name: &str, message: String| DefinitionError {
        code,
        path: format!("nodes.{}.with.{name}", node.name),
        message,
    };
    let unknown =
        given.iter().filter(|(name, _)| tool.args().iter().all(|spec| spec.name != name)).map(|(name, _)| {
            mistake("UNKNOWN_ARGUMENT", name, format!("`{}` takes no such argument", tool.name()))
        });
    let missing = tool
        .args()
        .iter()
        .filter(|spec| spec.required && given.iter().all(|(name, _)| name != spec.name))
        .map(|spec| mistake("MISSING_ARGUMENT", spec.name, format!("`{}` needs it", tool.name())));
    unknown.chain(missing).collect()
}
