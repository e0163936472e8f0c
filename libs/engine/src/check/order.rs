//! Which node comes after which, and whether each can ever run.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::mistakes::{Mistakes, did_you_mean};
use crate::definition::Node;

/// For each node all those that run before it.
pub(super) type Ancestors = BTreeMap<String, BTreeSet<String>>;

/// Sorts the nodes so that each comes after those that it needs, gives each its level, and answers all ancestors of each.
pub(super) fn order(nodes: &mut [Node], mistakes: &mut Mistakes) -> Ancestors {
    let names: BTreeSet<String> = nodes.iter().map(|node| node.name.clone()).collect();
    unknown_needs(nodes, &names, mistakes);
    let (mut ancestors, mut levels) = (Ancestors::new(), BTreeMap::<String, usize>::new());
    loop {
        let ready = nodes.iter().filter(|node| !levels.contains_key(&node.name)).find(|node| {
            node.needs.iter().filter(|need| names.contains(*need)).all(|need| levels.contains_key(need))
        });
        let Some(node) = ready else { break };
        let known: Vec<&String> = node.needs.iter().filter(|need| names.contains(*need)).collect();
        let level = known.iter().filter_map(|need| levels.get(*need)).max().map_or(0, |level| level + 1);
        let mut above: BTreeSet<String> = known.iter().map(|need| (*need).clone()).collect();
        for need in &known {
            above.extend(ancestors.get(*need).into_iter().flatten().cloned());
        }
        ancestors.insert(node.name.clone(), above);
        levels.insert(node.name.clone(), level);
    }
    for node in nodes.iter_mut() {
        match levels.get(&node.name) {
            Some(level) => node.level = *level,
            None => {
                let (path, message) = (format!("nodes.{}.needs", node.name), "needs itself by way of others");
                mistakes.add("CYCLE", path, message, "remove one of the needs");
            }
        }
    }
    nodes.sort_by_key(|node| node.level);
    ancestors
}

fn unknown_needs(nodes: &[Node], names: &BTreeSet<String>, mistakes: &mut Mistakes) {
    for node in nodes {
        for need in node.needs.iter().filter(|need| !names.contains(*need)) {
            let hint = did_you_mean(need, names.iter().map(String::as_str)).unwrap_or_else(|| {
                format!("there are {}", names.iter().cloned().collect::<Vec<_>>().join(", "))
            });
            let path = format!("nodes.{}.needs", node.name);
            mistakes.add("UNKNOWN_NODE", path, format!("there is no node `{need}`"), hint);
        }
    }
}

/// A gate that is never open, or a list that is always empty, is a mistake: whoever wrote it wanted the node to run.
pub(super) fn reachable(nodes: &[Node], mistakes: &mut Mistakes) {
    for node in nodes {
        let when = node.when.as_ref().and_then(crate::expression::Expression::literal);
        if when.is_some_and(|when| when != Value::Bool(true)) {
            let path = format!("nodes.{}.when", node.name);
            mistakes.add(
                "UNREACHABLE",
                path,
                "is never true, so the node never runs",
                "remove the node, or mend the gate",
            );
        }
        match node.for_each.as_ref().and_then(crate::expression::Expression::literal) {
            Some(Value::Array(items)) if !items.is_empty() => {}
            None => {}
            Some(Value::Array(_)) => {
                let path = format!("nodes.{}.for_each", node.name);
                mistakes.add(
                    "UNREACHABLE",
                    path,
                    "is always empty, so the node never runs",
                    "give a list that is not",
                );
            }
            Some(_) => {
                let path = format!("nodes.{}.for_each", node.name);
                mistakes.add("ILL_TYPED", path, "is no list", "give an expression that is a list");
            }
        }
    }
}
