//! A parsed and checked pathway file.

mod canonical;

use std::time::Duration;

use jsonschema::error::ValidationErrorKind;
use pathway_kernel::{Backoff, Code, Fault, Violation};
use pathway_resilience::BreakerConfig;
use serde_json::Value;

use crate::Tools;
use crate::check::{self, types::Parts};
use crate::expression::{Expression, Scope};
use crate::journal::OnUnknown;
use crate::template::Template;
pub(crate) use canonical::{canonical, version};

/// A mistake in a definition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}; {hint} ({code})")]
pub struct DefinitionError {
    /// What kind of mistake, stable: `UNKNOWN_FIELD`, `CYCLE`, ...
    pub code: &'static str,
    /// The field, such as `nodes.notify.with.notice`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub hint: String,
}

/// A pathway: what triggers it, what it takes, what it does.
#[derive(Debug)]
pub struct Definition {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) canonical: String,
    pub(crate) topic: String,
    pub(crate) key: Expression,
    pub(crate) input: Option<jsonschema::Validator>,
    /// The schema that the validator was made of.
    pub(crate) schema: Option<Value>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) output: Option<Template>,
    pub(crate) limits: Limits,
}

/// How much of a pathway is done at once, and how long it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most events of one batch.
    pub batch: usize,
    /// The most events of one key in a batch.
    pub per_key: usize,
    /// How long a batch may take.
    pub deadline: Option<Duration>,
    /// The most nodes that run side by side.
    pub max_parallel: usize,
    /// The most batches that run side by side.
    pub batches: usize,
}

/// A step of a pathway.
#[derive(Debug)]
pub struct Node {
    pub(crate) name: String,
    pub(crate) call: Call,
    pub(crate) needs: Vec<String>,
    /// How many nodes come before it, on the longest way.
    pub(crate) level: usize,
    pub(crate) when: Option<Expression>,
    pub(crate) for_each: Option<Expression>,
    /// The most items that the tool has at once.
    pub(crate) max_parallel: usize,
    pub(crate) retry: Retry,
    pub(crate) timeout: Option<Duration>,
    pub(crate) breaker: Option<BreakerConfig>,
    pub(crate) on_error: OnError,
    pub(crate) on_unknown: OnUnknown,
}

/// A tool and what it is given.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) tool: String,
    pub(crate) with: Template,
}

/// How often what may pass is tried before the batch is parked.
#[derive(Debug)]
pub(crate) struct Retry {
    /// In all; at least 1.
    pub(crate) attempts: u32,
    pub(crate) backoff: Backoff,
}

/// What a node's failure means for its event.
#[derive(Debug)]
pub(crate) enum OnError {
    /// The event fails.
    Fail,
    /// The event goes on; the node has answered null.
    Continue,
    /// Something else answers in the node's place, also where the failure might have passed and every attempt was made.
    Fallback(Box<Fallback>),
}

/// What answers in a node's place.
#[derive(Debug)]
pub(crate) enum Fallback {
    Value(Template),
    Call(Call),
}

/// The longest definition, in bytes.
const LONGEST: usize = 256 * 1024;

// === impl Definition ===

impl Definition {
    /// Reads and checks a YAML file. `schemas` answers the JSON Schema that a `$ref` names.
    ///
    /// # Errors
    /// Every mistake that can be found without the tools, with its code, path and hint. [`Pathway::parse`](crate::Pathway::parse) finds them all.
    pub fn parse(yaml: &str, schemas: &dyn Fn(&str) -> Option<Value>) -> Result<Self, Vec<DefinitionError>> {
        Self::read(yaml, schemas, None)
    }

    pub(crate) fn read(
        yaml: &str,
        schemas: &dyn Fn(&str) -> Option<Value>,
        tools: Option<&Tools>,
    ) -> Result<Self, Vec<DefinitionError>> {
        let whole = |code, message, hint: &str| {
            vec![DefinitionError { code, path: String::new(), message, hint: hint.to_owned() }]
        };
        if yaml.len() > LONGEST {
            let message = format!("has {} bytes; {LONGEST} is the limit", yaml.len());
            return Err(whole("TOO_LARGE", message, "make a part of it a pathway of its own"));
        }
        // The reader bounds depth and aliases, and refuses a key that is there twice.
        let value: Value = serde_saphyr::from_str(yaml)
            .map_err(|error| whole("INVALID_YAML", error.to_string(), "mend the YAML"))?;
        check::definition(&value, schemas, tools)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The hash of its [canonical form](Self::canonical): equal for equal content, whatever the file's layout. The first 16 bytes of the SHA-256,
    /// in hexadecimal.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The form of which the version is the hash: JSON in which every object's keys are sorted by their bytes and nothing stands between the tokens, with the
    /// schema of the input in the place of a reference to its file. It says what the definition says and needs no file beside it: parsed, it gives
    /// the same version and the same canonical form again.
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.canonical
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

    /// How much of it is done at once.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// What its tools are checked against.
    pub(crate) fn parts(&self) -> Parts<'_> {
        Parts {
            key: Some(&self.key),
            schema: self.schema.as_ref(),
            nodes: &self.nodes,
            output: self.output.as_ref(),
        }
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
        &self.call.tool
    }

    /// The nodes that it waits for.
    #[must_use]
    pub fn needs(&self) -> &[String] {
        &self.needs
    }
}

// === impl Retry ===

impl Default for Retry {
    /// Once: the partition that is parked tries again anyway, with everything behind it in order.
    fn default() -> Self {
        Self { attempts: 1, backoff: Backoff::default() }
    }
}

fn violation(error: &jsonschema::ValidationError<'_>) -> Violation {
    let mut field = error.instance_path().to_string().trim_start_matches('/').replace('/', ".");
    // Without the value: it may be long, and it is the user's.
    let mut description = error.masked().to_string();
    match error.kind() {
        // A missing field is told at the object; the caller looks for it under its own name.
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            field = if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") };
            "is missing".clone_into(&mut description);
        }
        // The validator names two of them and counts the others.
        ValidationErrorKind::Enum { options } => {
            let options: Vec<String> =
                options.as_array().into_iter().flatten().map(ToString::to_string).collect();
            description = format!("must be one of {}", options.join(", "));
        }
        _ => {}
    }
    if field.is_empty() {
        "data".clone_into(&mut field);
    }
    Violation::new(field, description)
}
