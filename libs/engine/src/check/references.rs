//! Whether what expressions name exists and has run by then.

use std::collections::BTreeSet;

use super::mistakes::{Mistakes, did_you_mean};
use super::order::Ancestors;
use crate::definition::{Fallback, Node, OnError};
use crate::expression::Expression;
use crate::template::Template;

/// What an expression may name.
const ROOTS: [&str; 3] = ["input", "nodes", "item"];

/// Where an expression stands, and what is known there.
struct Place<'a> {
    path: String,
    names: &'a BTreeSet<&'a str>,
    /// The nodes that have run.
    before: &'a BTreeSet<String>,
    /// Whether there is an `item`.
    has_item: bool,
}

pub(super) fn nodes(nodes: &[Node], ancestors: &Ancestors, mistakes: &mut Mistakes) {
    let names: BTreeSet<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    let none = BTreeSet::new();
    for node in nodes {
        let before = ancestors.get(&node.name).unwrap_or(&none);
        for (path, expression, in_item) in expressions(node) {
            let has_item = in_item && node.for_each.is_some();
            check(expression, &Place { path, names: &names, before, has_item }, mistakes);
        }
    }
}

pub(super) fn output(output: &Template, nodes: &[Node], mistakes: &mut Mistakes) {
    let names: BTreeSet<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    let before: BTreeSet<String> = nodes.iter().map(|node| node.name.clone()).collect();
    let mut found = Vec::new();
    output.expressions("output", &mut found);
    for (path, expression) in found {
        check(expression, &Place { path, names: &names, before: &before, has_item: false }, mistakes);
    }
}

/// All expressions of a node, each with its path and whether it stands where an item may be known.
pub(super) fn expressions(node: &Node) -> Vec<(String, &Expression, bool)> {
    let path = |key: &str| format!("nodes.{}.{key}", node.name);
    let mut found: Vec<(String, &Expression, bool)> = Vec::new();
    found.extend(node.when.iter().map(|when| (path("when"), when, false)));
    found.extend(node.for_each.iter().map(|list| (path("for_each"), list, false)));
    let mut templates = vec![(path("with"), &node.call.with, true)];
    if let OnError::Fallback(fallback) = &node.on_error {
        templates.push(match fallback.as_ref() {
            // It takes the place of the whole answer, so it stands outside of the items.
            Fallback::Value(value) => (path("fallback.value"), value, false),
            Fallback::Call(call) => (path("fallback.with"), &call.with, true),
        });
    }
    for (path, template, in_item) in templates {
        let mut inside = Vec::new();
        template.expressions(&path, &mut inside);
        found.extend(inside.into_iter().map(|(path, expression)| (path, expression, in_item)));
    }
    found
}

/// Every function of an expression that there is not.
pub(super) fn functions(expression: &Expression, path: &str, mistakes: &mut Mistakes) {
    for function in expression.names().unknown_functions() {
        let message = format!("CEL has no function `{function}`");
        mistakes.add("UNKNOWN_FUNCTION", path, message, "docs/pathways.md names some");
    }
}

fn check(expression: &Expression, place: &Place<'_>, mistakes: &mut Mistakes) {
    functions(expression, &place.path, mistakes);
    let names = expression.names();
    let mut told = BTreeSet::new();
    for path in &names.paths {
        let [root, rest @ ..] = path.as_slice() else { continue };
        if !told.insert(path.iter().take(2).collect::<Vec<_>>()) {
            continue;
        }
        match (root.as_str(), rest.first()) {
            ("input", _) => {}
            ("item", _) if place.has_item => {}
            ("item", _) => {
                let hint = "it is known in `with`, beside a `for_each`";
                mistakes.add("UNKNOWN_REFERENCE", &place.path, "there is no `item` here", hint);
            }
            ("nodes", Some(node)) => check_node(node, place, mistakes),
            ("nodes", None) => {
                let message = "names all nodes at once";
                mistakes.add("UNKNOWN_REFERENCE", &place.path, message, "name one: `nodes.NAME`");
            }
            (other, _) => {
                let hint =
                    did_you_mean(other, ROOTS).unwrap_or_else(|| format!("known are {}", ROOTS.join(", ")));
                mistakes.add("UNKNOWN_REFERENCE", &place.path, format!("`{other}` is not known"), hint);
            }
        }
    }
}

fn check_node(node: &str, place: &Place<'_>, mistakes: &mut Mistakes) {
    if !place.names.contains(node) {
        let hint = did_you_mean(node, place.names.iter().copied())
            .unwrap_or_else(|| "name one that is there".to_owned());
        mistakes.add("UNKNOWN_REFERENCE", &place.path, format!("there is no node `{node}`"), hint);
    } else if !place.before.contains(node) {
        let message = format!("names the node `{node}`, which it does not wait for");
        mistakes.add("FORWARD_REFERENCE", &place.path, message, format!("add `{node}` to `needs`"));
    }
}
