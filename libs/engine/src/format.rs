//! The format of a definition, as one table.
//!
//! The parser reads these tables to refuse what it does not know, and the JSON Schema for editors is written from them. So neither can know a field
//! that the other does not.

use serde_json::{Map, Value, json};

/// A field of a mapping.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) required: bool,
    pub(crate) form: Form,
    /// What it means, for whoever writes one.
    about: &'static str,
}

/// What a field may hold.
pub(crate) enum Form {
    /// A name: letters, digits, `_` and `-`.
    Name,
    /// Text that is not empty.
    Text,
    /// An expression, with or without `${}`.
    Expression,
    /// An expression for an event's key: text alone, for `true` and `false` are nobody's key.
    Key,
    /// Any value, with expressions in its texts.
    Template,
    /// A mapping of any names, with expressions in its texts.
    Arguments,
    /// `500ms`, `10s`, `2m`.
    Duration,
    /// A whole number from 1 to the given one.
    Count(u32),
    /// A list of nodes' names.
    Names,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A JSON Schema, or a reference to a file that holds one.
    Schema,
    /// A mapping with these fields.
    Fields(&'static [Field]),
    /// A mapping from nodes' names to nodes.
    Nodes,
}

const fn required(name: &'static str, form: Form, about: &'static str) -> Field {
    Field { name, required: true, form, about }
}

const fn optional(name: &'static str, form: Form, about: &'static str) -> Field {
    Field { name, required: false, form, about }
}

/// The most events of a batch.
pub(crate) const MOST_EVENTS: u32 = 512;

/// A definition.
pub(crate) const DEFINITION: &[Field] = &[
    required("pathway", Form::Name, "The pathway's name."),
    required("on", Form::Fields(ON), "What triggers it."),
    optional("input", Form::Schema, "The JSON Schema of an event, or { $ref: FILE }."),
    required("nodes", Form::Nodes, "What it does, by name."),
    optional("output", Form::Template, "What it answers; `input` and `nodes` are known."),
    optional("limits", Form::Fields(LIMITS), "How much at once, and how long."),
];

const ON: &[Field] = &[
    required("topic", Form::Text, "The topic whose events it runs for."),
    required("key", Form::Key, "An expression over `input`: events of one key run in their order."),
];

const LIMITS: &[Field] = &[
    optional("batch", Form::Count(MOST_EVENTS), "The most events of one batch."),
    optional(
        "per_key",
        Form::Count(MOST_EVENTS),
        "The most events of one key in a batch; with 1 each runs to its end before the next begins.",
    ),
    optional("deadline", Form::Duration, "How long a batch may take; then it is run again later."),
    optional("max_parallel", Form::Count(64), "The most nodes that run side by side."),
    optional(
        "batches",
        Form::Count(1024),
        "The most batches that run side by side; one for each partition unless given.",
    ),
];

/// A node.
pub(crate) const NODE: &[Field] = &[
    required("use", Form::Text, "The tool."),
    optional("needs", Form::Names, "The nodes that run before."),
    optional("when", Form::Expression, "The node is skipped unless this is true."),
    optional(
        "for_each",
        Form::Expression,
        "A list: the tool gets an item for each element, known as `item`.",
    ),
    optional("max_parallel", Form::Count(4096), "The most items that the tool has at once."),
    optional("with", Form::Arguments, "The tool's arguments."),
    optional("retry", Form::Fields(RETRY), "How often what may pass is tried before the batch is parked."),
    optional("timeout", Form::Duration, "How long one call may take."),
    optional("breaker", Form::Fields(BREAKER), "When the tool is no longer asked."),
    optional("on_error", Form::OneOf(&["fail", "continue", "fallback"]), "What a failure for good means."),
    optional(
        "on_unknown",
        Form::OneOf(&["ask", "retry", "skip"]),
        "What an effect that may or may not have been means: a dead letter, another call, or null.",
    ),
    optional("fallback", Form::Fields(FALLBACK), "What takes the node's place with `on_error: fallback`."),
];

const RETRY: &[Field] = &[
    required("attempts", Form::Count(10), "How often in all."),
    optional("first", Form::Duration, "The wait before the second; 200ms unless given, then doubling."),
    optional("longest", Form::Duration, "The longest wait; 5s unless given."),
];

const BREAKER: &[Field] = &[
    required("failures", Form::Count(1000), "Failures in a row that open it."),
    required("rest", Form::Duration, "How long the tool is then left alone."),
];

const FALLBACK: &[Field] = &[
    optional("value", Form::Template, "The answer in place of the node's."),
    optional("use", Form::Text, "The tool in place of the node's."),
    optional("with", Form::Arguments, "Its arguments."),
];

/// The names of fields, for a message.
pub(crate) fn names(fields: &[Field]) -> Vec<&'static str> {
    fields.iter().map(|field| field.name).collect()
}

/// The JSON Schema (2020-12) of a definition, for editors.
#[must_use]
pub fn json_schema() -> Value {
    let mut schema = object(DEFINITION);
    let head = [
        ("$schema", json!("https://json-schema.org/draft/2020-12/schema")),
        ("title", json!("A pathway")),
        ("description", json!("What triggers it, what it takes, and the steps that it runs for each event.")),
    ];
    let mut document: Map<String, Value> =
        head.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    if let Value::Object(rest) = &mut schema {
        document.append(rest);
    }
    Value::Object(document)
}

fn object(fields: &[Field]) -> Value {
    let required: Vec<&str> = fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    let properties: Map<String, Value> = fields
        .iter()
        .map(|field| {
            let mut schema = of(&field.form);
            if let Value::Object(schema) = &mut schema {
                schema.insert("description".to_owned(), field.about.into());
            }
            (field.name.to_owned(), schema)
        })
        .collect();
    json!({"type": "object", "required": required, "properties": properties, "additionalProperties": false})
}

fn of(form: &Form) -> Value {
    match form {
        Form::Name => json!({"type": "string", "pattern": "^[a-z][a-z0-9_-]{0,99}$"}),
        Form::Text | Form::Key => json!({"type": "string", "minLength": 1}),
        Form::Expression => json!({"type": ["string", "boolean"]}),
        Form::Template => json!({}),
        Form::Arguments => json!({"type": "object"}),
        Form::Duration => json!({"type": "string", "pattern": "^[1-9][0-9]*(ms|s|m)$"}),
        Form::Count(most) => json!({"type": "integer", "minimum": 1, "maximum": most}),
        Form::Names => json!({"type": "array", "items": {"type": "string"}, "uniqueItems": true}),
        Form::OneOf(words) => json!({"enum": words}),
        Form::Schema => json!({"type": ["object", "boolean"]}),
        Form::Fields(fields) => object(fields),
        Form::Nodes => json!({
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"pattern": "^[A-Za-z][A-Za-z0-9_]{0,99}$"},
            "additionalProperties": object(NODE),
        }),
    }
}
