//! Whether what a node gives is what its tool takes, and whether what it names can be there.
//!
//! # How much can be known
//! An event's fields are known from the input's JSON Schema, a node's answer from its tool. Where either leaves something open (a schema of
//! alternatives, a tool that answers anything), nothing is assumed and nothing refused: a check that guessed would refuse what works. A field that the
//! schema does not list is refused although JSON Schema lets further fields pass, because it is nearly always a slip of the pen, and whoever means
//! it can list it.

use serde_json::Value;

use super::mistakes::{Mistakes, did_you_mean};
use super::references::expressions;
use crate::definition::{Call, Fallback, Node, OnError};
use crate::expression::Expression;
use crate::template::Template;
use crate::{Answer, Kind, Tool, Tools};

/// What a definition says, as far as it could be read.
#[derive(Clone, Copy)]
pub(crate) struct Parts<'a> {
    pub(crate) key: Option<&'a Expression>,
    pub(crate) schema: Option<&'a Value>,
    pub(crate) nodes: &'a [Node],
    pub(crate) output: Option<&'a Template>,
}

/// Finds all that is wrong between a definition and its tools, beside what has been found already.
pub(crate) fn check(parts: Parts<'_>, tools: &Tools, mistakes: &mut Mistakes) {
    let uncertain = parts.nodes.iter().filter(|node| mistakes.leave_open(&node.name));
    let known = Known { parts, tools, uncertain: uncertain.map(|node| node.name.as_str()).collect() };
    if let Some(key) = parts.key {
        known.names(key, "on.key", mistakes);
    }
    for node in parts.nodes {
        let path = format!("nodes.{}", node.name);
        known.call(&node.call, &path, mistakes);
        if let OnError::Fallback(fallback) = &node.on_error
            && let Fallback::Call(call) = fallback.as_ref()
        {
            known.call(call, &format!("{path}.fallback"), mistakes);
        }
        for (path, expression, _) in expressions(node) {
            known.names(expression, &path, mistakes);
        }
        if let Some(kind) = node.for_each.as_ref().and_then(|list| known.kind(list))
            && kind != Kind::List
        {
            let message = format!("is {}, not a list", word(kind));
            let hint = "give an expression that is a list";
            mistakes.add("ILL_TYPED", format!("{path}.for_each"), message, hint);
        }
    }
    let mut found = Vec::new();
    if let Some(output) = parts.output {
        output.expressions("output", &mut found);
    }
    for (path, expression) in found {
        known.names(expression, &path, mistakes);
    }
}

/// What is known before anything has run.
struct Known<'a> {
    parts: Parts<'a>,
    tools: &'a Tools,
    /// The nodes of which nobody can say what they answer before they are mended.
    uncertain: Vec<&'a str>,
}

/// What is known of a path.
enum Found {
    /// It is of this kind.
    Kind(Kind),
    /// It cannot be there: which field, where it would be, and what it may have meant.
    Absent { field: String, place: String, hint: Option<String> },
}

// === impl Known ===

impl Known<'_> {
    fn call(&self, call: &Call, path: &str, mistakes: &mut Mistakes) {
        let Some(tool) = self.tools.get(&call.tool) else {
            let known: Vec<&str> = self.tools.names().collect();
            let hint = did_you_mean(&call.tool, known.iter().copied())
                .unwrap_or_else(|| format!("known are {}", known.join(", ")));
            let message = format!("there is no tool `{}`", call.tool);
            // A missing `use` has been told already.
            if !call.tool.is_empty() {
                mistakes.add("UNKNOWN_TOOL", format!("{path}.use"), message, hint);
            }
            return;
        };
        let Template::Object(given) = &call.with else { return };
        for (name, value) in given {
            match tool.args().iter().find(|spec| spec.name == name) {
                Some(spec) => self.argument(value, spec.kind, &format!("{path}.with.{name}"), mistakes),
                None => unknown_argument(tool.as_ref(), name, path, mistakes),
            }
        }
        for spec in tool.args().iter().filter(|spec| spec.required) {
            if given.iter().all(|(name, _)| name != spec.name) {
                let message = format!("`{}` needs it", tool.name());
                let hint = format!("give {}", word(spec.kind));
                mistakes.add("MISSING_ARGUMENT", format!("{path}.with.{}", spec.name), message, hint);
            }
        }
    }

    fn argument(&self, value: &Template, wanted: Kind, path: &str, mistakes: &mut Mistakes) {
        let given = match value {
            Template::Literal(literal) => Some(kind_of(literal)),
            Template::Value(expression) => match expression.literal() {
                Some(literal) => Some(kind_of(&literal)),
                None => self.kind(expression),
            },
            Template::Text(_) => Some(Kind::Text),
            Template::List(_) => Some(Kind::List),
            Template::Object(_) => Some(Kind::Object),
        };
        if let Some(given) = given
            && given != Kind::Any
            && wanted != Kind::Any
            && given != wanted
        {
            let hint = format!("give {}", word(wanted));
            mistakes.add("ILL_TYPED", path, format!("is {}", word(given)), hint);
        }
    }

    /// Every path of an expression that cannot be there.
    fn names(&self, expression: &Expression, path: &str, mistakes: &mut Mistakes) {
        for named in expression.names().paths {
            if let Found::Absent { field, place, hint } = self.find(&named) {
                let hint = hint.unwrap_or_else(|| format!("name what {place} has"));
                mistakes.add("UNKNOWN_REFERENCE", path, format!("{place} has no `{field}`"), hint);
            }
        }
    }

    /// What an expression is, where it is no more than a path.
    fn kind(&self, expression: &Expression) -> Option<Kind> {
        match self.find(expression.as_path()?) {
            Found::Kind(kind) => Some(kind).filter(|kind| *kind != Kind::Any),
            Found::Absent { .. } => None,
        }
    }

    fn find(&self, path: &[String]) -> Found {
        match path {
            [root, rest @ ..] if root == "input" => match self.parts.schema {
                Some(schema) => in_schema(schema, rest, "input"),
                None => Found::Kind(Kind::Any),
            },
            [root, node, rest @ ..] if root == "nodes" => {
                let node = self.parts.nodes.iter().find(|known| known.name == *node);
                node.map_or(Found::Kind(Kind::Any), |node| self.in_answer(node, rest))
            }
            _ => Found::Kind(Kind::Any),
        }
    }

    fn in_answer(&self, node: &Node, rest: &[String]) -> Found {
        if self.uncertain.contains(&node.name.as_str()) {
            return Found::Kind(Kind::Any);
        }
        // A fallback answers something else.
        let is_certain = !matches!(node.on_error, OnError::Fallback(_));
        let answer = self.tools.get(&node.call.tool).map_or(Answer::Any, |tool| tool.answer());
        let place = format!("the answer of `{}`", node.name);
        match (rest, answer) {
            ([], _) if node.for_each.is_some() => Found::Kind(Kind::List),
            ([field, ..], _) if node.for_each.is_some() => {
                let hint = "it is a list, with an answer for each element".to_owned();
                Found::Absent { field: field.clone(), place, hint: Some(hint) }
            }
            ([field, rest @ ..], Answer::Object(fields)) if is_certain => {
                match fields.iter().find(|(name, _)| name == field) {
                    Some((_, kind)) if rest.is_empty() => Found::Kind(*kind),
                    Some(_) => Found::Kind(Kind::Any),
                    None => {
                        let hint = did_you_mean(field, fields.iter().map(|(name, _)| *name));
                        Found::Absent { field: field.clone(), place, hint }
                    }
                }
            }
            ([], Answer::Object(_)) if is_certain => Found::Kind(Kind::Object),
            _ => Found::Kind(Kind::Any),
        }
    }
}

fn unknown_argument(tool: &dyn Tool, name: &str, path: &str, mistakes: &mut Mistakes) {
    let known: Vec<&str> = tool.args().iter().map(|spec| spec.name).collect();
    let hint = did_you_mean(name, known.iter().copied()).unwrap_or_else(|| match known.as_slice() {
        [] => "it takes none".to_owned(),
        known => format!("it takes {}", known.join(", ")),
    });
    let message = format!("`{}` takes no such argument", tool.name());
    mistakes.add("UNKNOWN_ARGUMENT", format!("{path}.with.{name}"), message, hint);
}

/// Keywords that make what a schema lists less than what it allows.
const ALTERNATIVES: [&str; 6] = ["$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "patternProperties"];

fn in_schema(schema: &Value, path: &[String], place: &str) -> Found {
    let is_open = ALTERNATIVES.iter().any(|keyword| schema.get(keyword).is_some());
    let [field, rest @ ..] = path else {
        return Found::Kind(if is_open { Kind::Any } else { schema_kind(schema) });
    };
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return Found::Kind(Kind::Any);
    };
    match properties.get(field) {
        Some(inner) => in_schema(inner, rest, &format!("{place}.{field}")),
        None if is_open
            || schema.get("additionalProperties").is_some_and(|more| *more != Value::Bool(false)) =>
        {
            Found::Kind(Kind::Any)
        }
        None => {
            let hint = did_you_mean(field, properties.keys().map(String::as_str))
                .unwrap_or_else(|| "list it in the schema's `properties`".to_owned());
            Found::Absent { field: field.clone(), place: format!("`{place}`"), hint: Some(hint) }
        }
    }
}

fn schema_kind(schema: &Value) -> Kind {
    match schema.get("type").and_then(Value::as_str) {
        Some("string") => Kind::Text,
        Some("number" | "integer") => Kind::Number,
        Some("boolean") => Kind::Boolean,
        Some("array") => Kind::List,
        Some("object") => Kind::Object,
        _ => Kind::Any,
    }
}

const fn kind_of(value: &Value) -> Kind {
    match value {
        Value::Null => Kind::Any,
        Value::Bool(_) => Kind::Boolean,
        Value::Number(_) => Kind::Number,
        Value::String(_) => Kind::Text,
        Value::Array(_) => Kind::List,
        Value::Object(_) => Kind::Object,
    }
}

const fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Any => "a value",
        Kind::Text => "text",
        Kind::Number => "a number",
        Kind::Boolean => "true or false",
        Kind::List => "a list",
        Kind::Object => "an object",
    }
}
