//! Templates: JSON in which text may hold expressions.

use pathway_kernel::Fault;
use serde_json::{Map, Value};

use crate::expression::{Expression, Scope};

/// A value with expressions in it. Text that is one `${...}` becomes the expression's value; in longer text it becomes part of the text.
#[derive(Debug)]
pub(crate) enum Template {
    Literal(Value),
    Value(Expression),
    Text(Vec<Part>),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

#[derive(Debug)]
pub(crate) enum Part {
    Text(String),
    Value(Expression),
}

// === impl Template ===

impl Template {
    /// Reads a template; what is wrong is told with its path.
    pub(crate) fn parse(value: &Value, path: &str, wrong: &mut dyn FnMut(&str, String)) -> Self {
        match value {
            Value::String(text) => Self::parse_text(text).unwrap_or_else(|message| {
                wrong(path, message);
                Self::Literal(Value::Null)
            }),
            Value::Array(items) => Self::List(
                items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| Self::parse(item, &format!("{path}[{index}]"), wrong))
                    .collect(),
            ),
            Value::Object(fields) => Self::Object(
                fields
                    .iter()
                    .map(|(key, item)| (key.clone(), Self::parse(item, &format!("{path}.{key}"), wrong)))
                    .collect(),
            ),
            other => Self::Literal(other.clone()),
        }
    }

    fn parse_text(text: &str) -> Result<Self, String> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some(start) = rest.find("${") {
            if start > 0 {
                parts.push(Part::Text(rest[..start].to_owned()));
            }
            let body = &rest[start + 2..];
            let end = closing_brace(body).ok_or_else(|| "a `${` has no `}`".to_owned())?;
            parts.push(Part::Value(Expression::parse(&body[..end])?));
            rest = &body[end + 1..];
        }
        if parts.is_empty() {
            return Ok(Self::Literal(Value::String(text.to_owned())));
        }
        if rest.is_empty() && matches!(parts.as_slice(), [Part::Value(_)]) {
            let Some(Part::Value(expression)) = parts.pop() else { return Err("unreachable".to_owned()) };
            return Ok(Self::Value(expression));
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self::Text(parts))
    }

    /// Every expression in it, with its path.
    pub(crate) fn expressions<'a>(&'a self, path: &str, found: &mut Vec<(String, &'a Expression)>) {
        match self {
            Self::Literal(_) => {}
            Self::Value(expression) => found.push((path.to_owned(), expression)),
            Self::Text(parts) => found.extend(parts.iter().filter_map(|part| match part {
                Part::Value(expression) => Some((path.to_owned(), expression)),
                Part::Text(_) => None,
            })),
            Self::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    item.expressions(&format!("{path}[{index}]"), found);
                }
            }
            Self::Object(fields) => {
                for (key, item) in fields {
                    item.expressions(&format!("{path}.{key}"), found);
                }
            }
        }
    }

    /// Its value for one event.
    pub(crate) fn render(&self, scope: Scope<'_>) -> Result<Value, Fault> {
        Ok(match self {
            Self::Literal(value) => value.clone(),
            Self::Value(expression) => expression.evaluate(scope)?.into_owned(),
            Self::Text(parts) => {
                let mut text = String::new();
                for part in parts {
                    match part {
                        Part::Text(part) => text.push_str(part),
                        Part::Value(expression) => match expression.evaluate(scope)?.as_ref() {
                            Value::String(value) => text.push_str(value),
                            Value::Null => {}
                            other => text.push_str(&other.to_string()),
                        },
                    }
                }
                Value::String(text)
            }
            Self::List(items) => {
                Value::Array(items.iter().map(|item| item.render(scope)).collect::<Result<_, _>>()?)
            }
            Self::Object(fields) => {
                let mut object = Map::with_capacity(fields.len());
                for (key, item) in fields {
                    object.insert(key.clone(), item.render(scope)?);
                }
                Value::Object(object)
            }
        })
    }
}

/// Where the expression ends: the first `}` that closes no brace of its own and stands in no text.
fn closing_brace(body: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0_u32, None);
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '{') => depth += 1,
            (None, '}') if depth == 0 => return Some(at),
            (None, '}') => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn render(template: &Value) -> Value {
        let (input, nodes) = (json!({"name": "Asha", "n": 2}), json!({}));
        let mut errors = Vec::new();
        let template =
            Template::parse(template, "with", &mut |path, what| errors.push(format!("{path}: {what}")));
        assert_eq!(errors, Vec::<String>::new());
        template.render(Scope { input: &input, nodes: &nodes, item: None }).unwrap()
    }

    #[test]
    fn text_that_is_one_expression_becomes_its_value() {
        assert_eq!(
            render(&json!({"all": "${input}", "list": ["${ input.n }"]})),
            json!({"all": {"name": "Asha", "n": 2}, "list": [2]})
        );
    }

    #[test]
    fn longer_text_is_filled_in() {
        assert_eq!(
            render(&json!("Dear ${input.name}, ${input.n} new${input.none}")),
            json!("Dear Asha, 2 new")
        );
        assert_eq!(render(&json!("${'}' + input.name}")), json!("}Asha"));
    }

    #[test]
    fn mistakes_are_told_with_their_path() {
        let mut errors = Vec::new();
        Template::parse(&json!({"a": ["${1 +}", "${open"]}), "with", &mut |path, _| {
            errors.push(path.to_owned());
        });
        assert_eq!(errors, ["with.a[0]", "with.a[1]"]);
    }
}
