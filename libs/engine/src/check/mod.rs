//! Reading a definition and finding everything that is wrong with it.
//!
//! Two passes. This one needs the definition alone: its fields, its expressions, the order of its nodes. [`types`] needs the tools as well: whether they
//! exist, take what they are given, and answer what is asked of them. Where the tools are known, the second pass follows whatever the first has found, for whoever
//! mends a file wants to mend it once.

mod mistakes;
mod node;
mod order;
mod references;
pub(crate) mod types;

use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use crate::Tools;
use crate::definition::{Definition, DefinitionError, Limits, canonical, version};
use crate::expression::Expression;
use crate::format::{DEFINITION, MOST_EVENTS};
use crate::template::Template;
pub(crate) use mistakes::Mistakes;
use mistakes::{EXPRESSION_HINT, KEY_HINT, duration};
use types::Parts;

/// The most nodes of a pathway.
const MOST_NODES: usize = 100;
/// The most nodes that run side by side unless the definition says otherwise.
const SIDE_BY_SIDE: usize = 16;

pub(crate) fn definition(
    value: &Value,
    schemas: &dyn Fn(&str) -> Option<Value>,
    tools: Option<&Tools>,
) -> Result<Definition, Vec<DefinitionError>> {
    let mut mistakes = Mistakes::default();
    let Some(top) = value.as_object() else {
        let hint = "a definition is a mapping with pathway, on and nodes";
        mistakes.add("WRONG_TYPE", "", "is no mapping", hint);
        return mistakes.verdict(None);
    };
    mistakes.fields(top, DEFINITION, "");
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let key = key(top, &mut mistakes);
    let (input, schema) = input(top, schemas, &mut mistakes);
    let nodes = nodes(top, &mut mistakes);
    let output = top.get("output").map(|output| template(output, "output", &mut mistakes));
    if let Some(output) = &output {
        references::output(output, &nodes, &mut mistakes);
    }
    if let Some(tools) = tools {
        let parts =
            Parts { key: key.as_ref(), schema: schema.as_ref(), nodes: &nodes, output: output.as_ref() };
        types::check(parts, tools, &mut mistakes);
    }
    let mut whole = value.clone();
    // The schema that a reference names is part of what the pathway means, so it is part of the version.
    if let (Some(schema), Some(object)) = (&schema, whole.as_object_mut()) {
        object.insert("input".to_owned(), schema.clone());
    }
    let canonical = canonical(&whole);
    let read = key.map(|key| Definition {
        name: text(top.get("pathway")),
        version: version(&canonical),
        canonical,
        topic: text(top.get("on").and_then(|on| on.get("topic"))),
        key,
        input,
        schema,
        nodes,
        output,
        limits: limits(top.get("limits")),
    });
    mistakes.verdict(read)
}

fn key(top: &Map<String, Value>, mistakes: &mut Mistakes) -> Option<Expression> {
    let key = top.get("on")?.get("key").filter(|key| key.is_string())?;
    let key = mistakes.expression(key, "on.key")?;
    // Every event would be refused for its want of a key.
    if key.literal().is_some_and(|literal| !is_key(&literal)) {
        mistakes.add("ILL_TYPED", "on.key", "is neither text nor a number", KEY_HINT);
    }
    if let Some(root) = key.roots().into_iter().find(|root| root != "input") {
        let hint = "a key is made of `input` alone";
        mistakes.add("UNKNOWN_REFERENCE", "on.key", format!("names `{root}`"), hint);
    }
    references::functions(&key, "on.key", mistakes);
    Some(key)
}

/// Whether a value can be an event's key.
fn is_key(value: &Value) -> bool {
    value.is_number() || value.as_str().is_some_and(|text| !text.is_empty())
}

fn input(
    top: &Map<String, Value>,
    schemas: &dyn Fn(&str) -> Option<Value>,
    mistakes: &mut Mistakes,
) -> (Option<jsonschema::Validator>, Option<Value>) {
    let Some(input) = top.get("input").filter(|input| input.is_object() || input.is_boolean()) else {
        return (None, None);
    };
    // What names a place in the schema itself, or a schema that everybody knows, is no file.
    let is_file = |name: &&str| !name.starts_with('#') && !name.contains("://");
    let schema = match input.get("$ref").and_then(Value::as_str).filter(is_file) {
        None => Some(input.clone()),
        Some(name) => schemas(name).or_else(|| {
            let message = format!("there is no schema `{name}` beside the definition, or it is no JSON");
            mistakes.add("UNKNOWN_SCHEMA", "input.$ref", message, "put the file into the same directory");
            None
        }),
    };
    let validator = schema.as_ref().and_then(|schema| {
        let built = jsonschema::options().should_validate_formats(true).build(schema);
        let wrong = |error: jsonschema::ValidationError<'_>| {
            mistakes.add("INVALID_SCHEMA", "input", error.to_string(), "give a JSON Schema");
        };
        built.map_err(wrong).ok()
    });
    (validator, schema)
}

fn nodes(top: &Map<String, Value>, mistakes: &mut Mistakes) -> Vec<crate::Node> {
    let Some(entries) = top.get("nodes").and_then(Value::as_object) else { return Vec::new() };
    if entries.len() > MOST_NODES {
        let message = format!("has {} nodes; {MOST_NODES} is the limit", entries.len());
        mistakes.add("TOO_LARGE", "nodes", message, "make a part of it a pathway of its own");
        return Vec::new();
    }
    let mut nodes = Vec::with_capacity(entries.len());
    for (name, entry) in entries {
        let path = format!("nodes.{name}");
        match entry.as_object() {
            Some(entry) => nodes.push(node::node(name, entry, &path, mistakes)),
            None => {
                mistakes.add("WRONG_TYPE", path, "is no mapping", "a node is a mapping with at least `use`");
            }
        }
    }
    let ancestors = order::order(&mut nodes, mistakes);
    references::nodes(&nodes, &ancestors, mistakes);
    order::reachable(&nodes, mistakes);
    nodes
}

fn limits(limits: Option<&Value>) -> Limits {
    let count = |name: &str, usual: usize| {
        let given = limits.and_then(|limits| limits.get(name)).and_then(Value::as_u64);
        given.and_then(|count| usize::try_from(count).ok()).unwrap_or(usual)
    };
    let most = MOST_EVENTS as usize;
    Limits {
        batch: count("batch", most),
        per_key: count("per_key", most),
        deadline: limits.and_then(|limits| limits.get("deadline")).and_then(duration),
        max_parallel: count("max_parallel", SIDE_BY_SIDE),
        batches: count("batches", Semaphore::MAX_PERMITS),
    }
}

fn template(value: &Value, path: &str, mistakes: &mut Mistakes) -> Template {
    Template::parse(value, path, &mut |path, message| {
        mistakes.add("INVALID_EXPRESSION", path, message, EXPRESSION_HINT);
    })
}
