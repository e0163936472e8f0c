//! Reading a definition and finding everything that is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value};

use crate::definition::{Definition, DefinitionError, Node, OnError, version};
use crate::expression::Expression;
use crate::template::Template;

const TOP: [&str; 4] = ["pathway", "on", "input", "nodes"];
const NODE: [&str; 7] = ["use", "needs", "when", "for_each", "with", "timeout", "on_error"];
/// What an expression may name.
const ROOTS: [&str; 3] = ["input", "nodes", "item"];

/// Collects mistakes.
#[derive(Default)]
struct Mistakes(Vec<DefinitionError>);

impl Mistakes {
    fn add(&mut self, code: &'static str, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(DefinitionError { code, path: path.into(), message: message.into() });
    }

    fn unknown_fields(&mut self, object: &Map<String, Value>, known: &[&str], path: &str) {
        for key in object.keys().filter(|key| !known.contains(&key.as_str())) {
            self.add(
                "UNKNOWN_FIELD",
                join(path, key),
                format!("is not known here; known are {}", known.join(", ")),
            );
        }
    }

    fn text(&mut self, object: &Map<String, Value>, key: &str, path: &str) -> String {
        match object.get(key) {
            Some(Value::String(text)) if !text.trim().is_empty() => return text.clone(),
            Some(_) => self.add("WRONG_TYPE", join(path, key), "must be text"),
            None => self.add("MISSING_FIELD", join(path, key), "is missing"),
        }
        String::new()
    }

    fn expression(&mut self, text: &str, path: &str) -> Option<Expression> {
        let body = text.trim().strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
        Expression::parse(body).map_err(|message| self.add("INVALID_EXPRESSION", path, message)).ok()
    }
}

pub(crate) fn definition(
    value: &Value,
    schemas: &dyn Fn(&str) -> Option<Value>,
) -> Result<Definition, Vec<DefinitionError>> {
    let mut mistakes = Mistakes::default();
    let Some(top) = value.as_object() else {
        mistakes.add("WRONG_TYPE", "", "a definition is a mapping with pathway, on and nodes");
        return Err(mistakes.0);
    };
    mistakes.unknown_fields(top, &TOP, "");
    let name = mistakes.text(top, "pathway", "");
    let (topic, key) = trigger(top, &mut mistakes);
    let (input, schema) = input(top, schemas, &mut mistakes);
    let nodes = nodes(top, &mut mistakes);
    let mut canonical = value.clone();
    // The schema that a reference names is part of what the pathway means, so it is part of the version.
    if let (Some(schema), Some(object)) = (schema, canonical.as_object_mut()) {
        object.insert("input".to_owned(), schema);
    }
    match (key, mistakes.0.is_empty()) {
        (Some(key), true) => Ok(Definition { name, version: version(&canonical), topic, key, input, nodes }),
        _ => Err(mistakes.0),
    }
}

fn trigger(top: &Map<String, Value>, mistakes: &mut Mistakes) -> (String, Option<Expression>) {
    let Some(on) = top.get("on").and_then(Value::as_object) else {
        mistakes.add("MISSING_FIELD", "on", "is missing; give { topic: ..., key: input.user_id }");
        return (String::new(), None);
    };
    mistakes.unknown_fields(on, &["topic", "key"], "on");
    let topic = mistakes.text(on, "topic", "on");
    let key = mistakes.text(on, "key", "on");
    if key.is_empty() {
        return (topic, None);
    }
    let key = mistakes.expression(&key, "on.key");
    if let Some(root) = key.iter().flat_map(Expression::roots).find(|root| root != "input") {
        mistakes.add(
            "UNKNOWN_REFERENCE",
            "on.key",
            format!("names `{root}`; a key is made of `input` alone"),
        );
    }
    (topic, key)
}

fn input(
    top: &Map<String, Value>,
    schemas: &dyn Fn(&str) -> Option<Value>,
    mistakes: &mut Mistakes,
) -> (Option<jsonschema::Validator>, Option<Value>) {
    let Some(input) = top.get("input") else { return (None, None) };
    let schema = match input.get("$ref").and_then(Value::as_str) {
        None => Some(input.clone()),
        Some(name) => schemas(name).or_else(|| {
            mistakes.add(
                "UNKNOWN_SCHEMA",
                "input.$ref",
                format!("there is no schema `{name}` beside the definition"),
            );
            None
        }),
    };
    let validator = schema.as_ref().and_then(|schema| {
        let built = jsonschema::options().should_validate_formats(true).build(schema);
        built.map_err(|error| mistakes.add("INVALID_SCHEMA", "input", error.to_string())).ok()
    });
    (validator, schema)
}

fn nodes(top: &Map<String, Value>, mistakes: &mut Mistakes) -> Vec<Node> {
    let Some(entries) = top.get("nodes").and_then(Value::as_object).filter(|entries| !entries.is_empty())
    else {
        mistakes.add("MISSING_FIELD", "nodes", "is missing; a pathway has at least one node");
        return Vec::new();
    };
    let mut nodes: Vec<Node> = Vec::with_capacity(entries.len());
    for (name, entry) in entries {
        let path = format!("nodes.{name}");
        match entry.as_object() {
            Some(entry) => nodes.push(node(name, entry, &path, mistakes)),
            None => mistakes.add("WRONG_TYPE", path, "a node is a mapping with at least `use`"),
        }
    }
    let names: BTreeSet<String> = nodes.iter().map(|node| node.name.clone()).collect();
    for node in &nodes {
        for need in node.needs.iter().filter(|need| !names.contains(*need)) {
            mistakes.add(
                "UNKNOWN_NODE",
                format!("nodes.{}.needs", node.name),
                format!("there is no node `{need}`"),
            );
        }
    }
    let ancestors = order(&mut nodes, mistakes);
    for node in &nodes {
        references(node, &names, &ancestors, mistakes);
    }
    nodes
}

fn node(name: &str, entry: &Map<String, Value>, path: &str, mistakes: &mut Mistakes) -> Node {
    let identifier = name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
        && name.starts_with(|c: char| c.is_ascii_alphabetic());
    if !identifier {
        mistakes.add(
            "INVALID_NAME",
            path,
            "a node's name has letters, digits and _ and starts with a letter",
        );
    }
    mistakes.unknown_fields(entry, &NODE, path);
    let needs = match entry.get("needs") {
        None => Vec::new(),
        Some(Value::Array(needs)) if needs.iter().all(Value::is_string) => {
            needs.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        Some(_) => {
            mistakes.add("WRONG_TYPE", join(path, "needs"), "must be a list of nodes' names");
            Vec::new()
        }
    };
    let mut gate = |key: &str| {
        let text = match entry.get(key)? {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        mistakes.expression(&text, &join(path, key))
    };
    let (when, for_each) = (gate("when"), gate("for_each"));
    let with = entry.get("with").cloned().unwrap_or_else(|| Value::Object(Map::new()));
    if !with.is_object() {
        mistakes.add("WRONG_TYPE", join(path, "with"), "must be a mapping of arguments");
    }
    let with = Template::parse(&with, &join(path, "with"), &mut |path, message| {
        mistakes.add("INVALID_EXPRESSION", path, message);
    });
    let timeout = entry.get("timeout").and_then(|value| {
        let parsed = value.as_str().and_then(duration);
        if parsed.is_none() {
            mistakes.add("INVALID_DURATION", join(path, "timeout"), "must be like 500ms, 10s or 2m");
        }
        parsed
    });
    let on_error = match entry.get("on_error").map(Value::as_str) {
        None | Some(Some("fail")) => OnError::Fail,
        Some(Some("continue")) => OnError::Continue,
        Some(_) => {
            mistakes.add("INVALID_VALUE", join(path, "on_error"), "must be fail or continue");
            OnError::Fail
        }
    };
    let tool = mistakes.text(entry, "use", path);
    Node { name: name.to_owned(), tool, needs, level: 0, when, for_each, with, timeout, on_error }
}

/// Sorts the nodes so that each comes after those that it needs, gives each its level, and answers all ancestors of each.
fn order(nodes: &mut [Node], mistakes: &mut Mistakes) -> BTreeMap<String, BTreeSet<String>> {
    let mut ancestors: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut levels: BTreeMap<String, usize> = BTreeMap::new();
    let names: BTreeSet<String> = nodes.iter().map(|node| node.name.clone()).collect();
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
            None => mistakes.add(
                "CYCLE",
                format!("nodes.{}.needs", node.name),
                "needs itself by way of others: remove one of the needs",
            ),
        }
    }
    nodes.sort_by_key(|node| node.level);
    ancestors
}

fn references(
    node: &Node,
    names: &BTreeSet<String>,
    ancestors: &BTreeMap<String, BTreeSet<String>>,
    mistakes: &mut Mistakes,
) {
    let none = BTreeSet::new();
    let above = ancestors.get(&node.name).unwrap_or(&none);
    let mut with = Vec::new();
    node.with.expressions(&mut with);
    let gates = [("when", &node.when), ("for_each", &node.for_each)];
    let gates = gates.into_iter().filter_map(|(key, gate)| gate.as_ref().map(|gate| (key, gate)));
    for (key, expression) in gates.chain(with.into_iter().map(|expression| ("with", expression))) {
        let path = format!("nodes.{}.{key}", node.name);
        for name in expression.nodes() {
            if !names.contains(name) {
                mistakes.add("UNKNOWN_REFERENCE", &path, format!("there is no node `{name}`"));
            } else if !above.contains(name) {
                let message =
                    format!("names the node `{name}`, which it does not wait for: add it to `needs`");
                mistakes.add("FORWARD_REFERENCE", &path, message);
            }
        }
        for root in expression.roots() {
            if !ROOTS.contains(&root.as_str()) {
                mistakes.add(
                    "UNKNOWN_REFERENCE",
                    &path,
                    format!("`{root}` is not known; known are input, nodes and item"),
                );
            } else if root == "item" && (node.for_each.is_none() || key == "for_each" || key == "when") {
                mistakes.add(
                    "UNKNOWN_REFERENCE",
                    &path,
                    "`item` is known only in `with`, beside a `for_each`",
                );
            }
        }
    }
}

fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let count: u64 = text[..digits].parse().ok().filter(|count| *count > 0)?;
    match &text[digits..] {
        "ms" => Some(Duration::from_millis(count)),
        "s" => Some(Duration::from_secs(count)),
        "m" => count.checked_mul(60).map(Duration::from_secs),
        _ => None,
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
