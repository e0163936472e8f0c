//! What would happen to an event, as far as that is known before anything has run.

use pathway_kernel::{Fault, Violation};
use serde_json::Value;

use crate::expression::{Expression, Scope};
use crate::{Node, Pathway, Tool};

/// What a pathway would do for an event.
#[derive(Debug)]
pub struct Plan {
    /// Everything that is wrong with the input.
    pub violations: Vec<Violation>,
    /// The nodes in the order in which they would run.
    pub nodes: Vec<PlannedNode>,
}

/// What a node would do.
#[derive(Debug)]
pub struct PlannedNode {
    /// Its name.
    pub node: String,
    /// The tool that it uses.
    pub tool: String,
    /// What it would do.
    pub action: Action,
}

/// What a node would do.
#[derive(Debug)]
pub enum Action {
    /// It would run with these arguments, one object for each item; none where they depend on other nodes' answers.
    Run(Vec<Value>),
    /// Its gate is closed, or its list is empty.
    Skip,
    /// Whether it runs depends on other nodes' answers.
    Unknown,
    /// It would fail.
    Fail(Fault),
}

impl Pathway {
    /// What would happen to an event of this data. No tool is called.
    #[must_use]
    pub fn plan(&self, input: &Value) -> Plan {
        let node = |(node, step): (&Node, &crate::pathway::Step)| PlannedNode {
            node: node.name.clone(),
            tool: node.call.tool.clone(),
            action: action(node, step.tool.as_ref(), input).unwrap_or_else(Action::Fail),
        };
        let nodes = self.definition.nodes.iter().zip(&self.steps).map(node).collect();
        Plan { violations: self.check_input(input), nodes }
    }
}

fn action(node: &Node, tool: &dyn Tool, input: &Value) -> Result<Action, Fault> {
    let scope = Scope { input, nodes: &Value::Null, item: None };
    let is_known =
        |expression: &Expression| expression.roots().iter().all(|root| root == "input" || root == "item");
    let gates = [&node.when, &node.for_each];
    if gates.into_iter().flatten().any(|gate| !is_known(gate)) {
        return Ok(Action::Unknown);
    }
    if let Some(when) = &node.when
        && *when.evaluate(scope)?.as_ref() != Value::Bool(true)
    {
        return Ok(Action::Skip);
    }
    let elements = match &node.for_each {
        None => vec![Value::Null],
        Some(list) => match list.evaluate(scope)?.into_owned() {
            Value::Array(elements) => elements,
            _ => Vec::new(),
        },
    };
    if elements.is_empty() {
        return Ok(Action::Skip);
    }
    let mut expressions = Vec::new();
    node.call.with.expressions("", &mut expressions);
    if expressions.iter().any(|(_, expression)| !is_known(expression)) {
        return Ok(Action::Run(Vec::new()));
    }
    let arguments: Vec<Value> = elements
        .iter()
        .map(|element| node.call.with.render(Scope { item: Some(element), ..scope }))
        .collect::<Result<_, _>>()?;
    let violations: Vec<Violation> = arguments.iter().flat_map(|arguments| tool.check(arguments)).collect();
    Ok(if violations.is_empty() { Action::Run(arguments) } else { Action::Fail(Fault::invalid(violations)) })
}
