//! A parsed and checked pathway file.

use std::fmt::Write as _;
use std::time::Duration;

use pathway_kernel::{Code, Fault, Violation};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::check;
use crate::expression::{Expression, Scope};
use crate::template::Template;

/// A mistake in a definition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message} ({code})")]
pub struct DefinitionError {
    /// What kind of mistake, stable: `UNKNOWN_FIELD`, `CYCLE`, ...
    pub code: &'static str,
    /// The field, such as `nodes.notify.with.notice`.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// A pathway: what triggers it, what it takes, what it does.
#[derive(Debug)]
pub struct Definition {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) topic: String,
    pub(crate) key: Expression,
    pub(crate) input: Option<jsonschema::Validator>,
    pub(crate) nodes: Vec<Node>,
}

/// A step of a pathway.
#[derive(Debug)]
pub struct Node {
    pub(crate) name: String,
    pub(crate) tool: String,
    pub(crate) needs: Vec<String>,
    pub(crate) level: usize,
    pub(crate) when: Option<Expression>,
    pub(crate) for_each: Option<Expression>,
    pub(crate) with: Template,
    pub(crate) timeout: Option<Duration>,
    pub(crate) on_error: OnError,
}

/// What a node's permanent failure means for its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// The event fails.
    #[default]
    Fail,
    /// The event goes on; the node has answered null.
    Continue,
}

// === impl Definition ===

impl Definition {
    /// Reads and checks a YAML file. `schemas` answers the JSON Schema that a `$ref` names.
    ///
    /// # Errors
    /// Every mistake, with its code, path and hint.
    pub fn parse(yaml: &str, schemas: &dyn Fn(&str) -> Option<Value>) -> Result<Self, Vec<DefinitionError>> {
        let value: Value = serde_saphyr::from_str(yaml).map_err(|error| {
            vec![DefinitionError { code: "INVALID_YAML", path: String::new(), message: error.to_string() }]
        })?;
        check::definition(&value, schemas)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The hash of its canonical form: equal for equal content, whatever the file's layout.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The topic that triggers it.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Its nodes, each after those that it needs.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The key that keeps an event in order with others.
    ///
    /// # Errors
    /// Where the input has none.
    pub fn key(&self, input: &Value) -> Result<String, Fault> {
        let scope = Scope { input, nodes: &Value::Null, item: None };
        match self.key.evaluate(scope)?.as_ref() {
            Value::String(key) if !key.is_empty() => Ok(key.clone()),
            Value::Number(key) => Ok(key.to_string()),
            _ => Err(Fault::new(Code::InvalidArgument, "NO_KEY", "the event has no partition key")),
        }
    }

    /// Everything that is wrong with an input by its schema.
    #[must_use]
    pub fn check_input(&self, input: &Value) -> Vec<Violation> {
        let Some(schema) = &self.input else { return Vec::new() };
        schema.iter_errors(input).map(|error| violation(&error)).collect()
    }
}

// === impl Node ===

impl Node {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tool that it uses.
    #[must_use]
    pub fn tool(&self) -> &str {
        &self.tool
    }

    /// The nodes that it waits for.
    #[must_use]
    pub fn needs(&self) -> &[String] {
        &self.needs
    }
}

fn violation(error: &jsonschema::ValidationError<'_>) -> Violation {
    let mut field = error.instance_path().to_string().trim_start_matches('/').replace('/', ".");
    // Without the value: it may be long, and it is the user's.
    let mut description = error.masked().to_string();
    // A missing field is told at the object; the caller looks for it under its own name.
    if let jsonschema::error::ValidationErrorKind::Required { property } = error.kind() {
        let name = property.as_str().unwrap_or_default();
        field = if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") };
        "is missing".clone_into(&mut description);
    }
    if field.is_empty() {
        "data".clone_into(&mut field);
    }
    Violation::new(field, description)
}

/// SHA-256 of the canonical form (sorted keys, no white space), its first 16 bytes in hexadecimal.
pub(crate) fn version(value: &Value) -> String {
    let mut text = String::new();
    canonical(value, &mut text);
    let mut hex = String::with_capacity(32);
    for byte in &Sha256::digest(text)[..16] {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => {
            text.push('[');
            for item in items {
                canonical(item, text);
                text.push(',');
            }
            text.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            text.push('{');
            for (key, item) in fields {
                let _ = write!(text, "{}:", Value::String(key.clone()));
                canonical(item, text);
                text.push(',');
            }
            text.push('}');
        }
        other => text.push_str(&other.to_string()),
    }
}
