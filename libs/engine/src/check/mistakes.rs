//! Collecting mistakes: a check goes on after one, so that all are told at once.

use serde_json::{Map, Value};

use crate::definition::DefinitionError;
use crate::expression::Expression;
use crate::format::{Field, Form, names};

/// What is wrong with a definition so far.
#[derive(Debug, Default)]
pub(crate) struct Mistakes(pub(crate) Vec<DefinitionError>);

// === impl Mistakes ===

impl Mistakes {
    /// Notes a mistake and what would mend it.
    pub(crate) fn add(
        &mut self,
        code: &'static str,
        path: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.0.push(DefinitionError { code, path: path.into(), message: message.into(), hint: hint.into() });
    }

    /// Checks a mapping against its table: no unknown field, none missing, each of its form. What lies deeper is checked where it is read.
    pub(crate) fn fields(&mut self, object: &Map<String, Value>, fields: &[Field], path: &str) {
        for key in object.keys().filter(|key| fields.iter().all(|field| field.name != key.as_str())) {
            let known = names(fields);
            let hint = did_you_mean(key, known.iter().copied())
                .unwrap_or_else(|| format!("known here are {}", known.join(", ")));
            self.add("UNKNOWN_FIELD", join(path, key), "is not known here", hint);
        }
        for field in fields {
            match object.get(field.name) {
                Some(value) => self.form(value, &field.form, &join(path, field.name)),
                None if field.required => {
                    self.add("MISSING_FIELD", join(path, field.name), "is missing", form_hint(&field.form));
                }
                None => {}
            }
        }
    }

    fn form(&mut self, value: &Value, form: &Form, path: &str) {
        let is_text = value.as_str().is_some_and(|text| !text.trim().is_empty());
        let (right, code) = match form {
            Form::Text | Form::Key => (is_text, "WRONG_TYPE"),
            Form::Expression => (is_text || value.is_boolean(), "WRONG_TYPE"),
            Form::Arguments => (value.is_object(), "WRONG_TYPE"),
            Form::Names => {
                (value.as_array().is_some_and(|all| all.iter().all(Value::is_string)), "WRONG_TYPE")
            }
            Form::Schema => (value.is_object() || value.is_boolean(), "WRONG_TYPE"),
            Form::Nodes => (value.as_object().is_some_and(|nodes| !nodes.is_empty()), "MISSING_FIELD"),
            Form::Template => (true, ""),
            Form::Name if !is_text => (false, "WRONG_TYPE"),
            Form::Name => (value.as_str().is_some_and(is_pathway_name), "INVALID_NAME"),
            Form::Duration => (duration(value).is_some(), "INVALID_DURATION"),
            Form::Count(most) => {
                (value.as_u64().is_some_and(|n| (1..=u64::from(*most)).contains(&n)), "OUT_OF_RANGE")
            }
            Form::OneOf(words) => (value.as_str().is_some_and(|word| words.contains(&word)), "INVALID_VALUE"),
            Form::Fields(fields) => match value.as_object() {
                Some(object) => return self.fields(object, fields, path),
                None => (false, "WRONG_TYPE"),
            },
        };
        if !right {
            self.add(code, path, "is not what belongs here", form_hint(form));
        }
    }

    /// Whether what was found leaves open what a node answers: a list or one answer, its own or that of its fallback.
    pub(crate) fn leave_open(&self, node: &str) -> bool {
        let decides = |field: &str| ["for_each", "on_error", "fallback"].contains(&field);
        self.0.iter().any(|mistake| {
            let field = mistake.path.strip_prefix("nodes.").and_then(|path| path.strip_prefix(node));
            field.and_then(|field| field.strip_prefix('.')).is_some_and(decides)
        })
    }

    /// What was read, where nothing is wrong with it; else everything that is wrong, which is never nothing.
    ///
    /// A check that reads nothing has to say why. One that forgets to is a defect of ours, and whoever wrote the definition must not be left with a refusal that
    /// names no reason: so there is a mistake for that, too.
    pub(crate) fn verdict<T>(mut self, read: Option<T>) -> Result<T, Vec<DefinitionError>> {
        match read {
            Some(read) if self.0.is_empty() => return Ok(read),
            None if self.0.is_empty() => {
                let message = "cannot be used, and no check says why: that is a defect of Pathway's";
                self.add("UNEXPLAINED", "", message, "report it, with the definition");
            }
            Some(_) | None => {}
        }
        Err(self.0)
    }

    /// Reads an expression that is a field's whole value.
    pub(crate) fn expression(&mut self, value: &Value, path: &str) -> Option<Expression> {
        let text = match value {
            Value::String(text) => text.trim().to_owned(),
            other => other.to_string(),
        };
        let body = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).unwrap_or(&text);
        let parsed = Expression::parse(body);
        parsed.map_err(|message| self.add("INVALID_EXPRESSION", path, message, EXPRESSION_HINT)).ok()
    }
}

/// How an expression is written.
pub(crate) const EXPRESSION_HINT: &str = "an expression is a path such as `input.id`, or CEL";

/// What an event's key is.
pub(crate) const KEY_HINT: &str =
    "give an expression over `input` that is text or a number, such as `input.user_id`";

fn form_hint(form: &Form) -> String {
    match form {
        Form::Name => "a name has 1 to 100 of a-z, 0-9, _ and -, and starts with a letter".to_owned(),
        Form::Text => "give a text".to_owned(),
        Form::Expression => EXPRESSION_HINT.to_owned(),
        Form::Key => KEY_HINT.to_owned(),
        Form::Template => "give a value".to_owned(),
        Form::Arguments => "give a mapping of arguments".to_owned(),
        Form::Duration => "give a duration such as 500ms, 10s or 2m, at most 24 hours".to_owned(),
        Form::Count(most) => format!("give a whole number from 1 to {most}"),
        Form::Names => "give a list of nodes' names".to_owned(),
        Form::OneOf(words) => format!("give one of {}", words.join(", ")),
        Form::Schema => "give a JSON Schema, or { $ref: FILE }".to_owned(),
        Form::Fields(fields) => format!("give a mapping of {}", names(fields).join(", ")),
        Form::Nodes => "a pathway has at least one node: give `NAME: { use: TOOL }`".to_owned(),
    }
}

/// The one of `known` that somebody may have meant.
pub(crate) fn did_you_mean<'a, I: IntoIterator<Item = &'a str>>(word: &str, known: I) -> Option<String> {
    let near = known.into_iter().map(|known| (strsim::osa_distance(word, known), known));
    // A third of the word may be wrong; more is another word.
    let best = near.filter(|(distance, known)| *distance <= known.len().max(word.len()) / 3 + 1).min()?;
    (best.0 <= 3).then(|| format!("did you mean `{}`?", best.1))
}

pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The longest duration.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

pub(crate) fn duration(value: &Value) -> Option<std::time::Duration> {
    use std::time::Duration;
    let text = value.as_str()?;
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let count: u64 = text[..digits].parse().ok().filter(|count| *count > 0)?;
    let duration = match &text[digits..] {
        "ms" => Duration::from_millis(count),
        "s" => Duration::from_secs(count),
        "m" => Duration::from_secs(count.checked_mul(60)?),
        _ => return None,
    };
    Some(duration).filter(|duration| *duration <= LONGEST)
}

fn is_pathway_name(name: &str) -> bool {
    (1..=100).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_refused_without_a_mistake() {
        let refused = Mistakes::default().verdict::<()>(None).unwrap_err();
        assert_eq!(refused[0].code, "UNEXPLAINED");
        let mut mistakes = Mistakes::default();
        mistakes.add("WRONG_TYPE", "on", "is no mapping", "give one");
        assert_eq!(mistakes.verdict(Some(())).unwrap_err().len(), 1, "whatever was read");
        assert_eq!(Mistakes::default().verdict(Some(7)), Ok(7));
    }
}
