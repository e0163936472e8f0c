//! The layout of a file says nothing: the same content is the same version.

use proptest::prelude::*;
use serde_json::Value;

use super::{any_definition, json_text, judged};

/// How a file is laid out: a choice for each place where there is one, over and over.
struct Layout {
    choices: Vec<u8>,
    next: usize,
}

// === impl Layout ===

impl Layout {
    fn choose(&mut self, most: u8) -> u8 {
        self.next += 1;
        self.choices[self.next % self.choices.len()] % most
    }

    /// White space and comments where a line may end.
    fn line_end(&mut self) -> &'static str {
        ["\n", "\n\n", " # a note\n", "\n# a note: { of: [its own\n", "   \n"][usize::from(self.choose(5))]
    }

    /// The fields in some order.
    fn shuffled<'a>(&mut self, fields: &'a serde_json::Map<String, Value>) -> Vec<(&'a String, &'a Value)> {
        let mut left: Vec<_> = fields.iter().collect();
        let mut shuffled = Vec::with_capacity(left.len());
        while !left.is_empty() {
            let most = u8::try_from(left.len()).unwrap_or(u8::MAX);
            shuffled.push(left.remove(usize::from(self.choose(most))));
        }
        shuffled
    }

    /// Text, plain or in either quotes where it may be.
    fn text(&mut self, text: &str) -> String {
        let is_word = text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._".contains(&b))
            && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text);
        let is_simple = text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
        match self.choose(3) {
            0 if is_word => text.to_owned(),
            1 if is_simple => format!("'{}'", text.replace('\'', "''")),
            _ => json_text(&Value::from(text)),
        }
    }

    fn write(&mut self, value: &Value, indent: usize, yaml: &mut String) {
        let is_block = self.choose(4) > 0;
        match value {
            Value::Object(fields) if is_block && !fields.is_empty() => {
                let step = indent + 1 + usize::from(self.choose(4));
                for (key, item) in self.shuffled(fields) {
                    yaml.push_str(self.line_end());
                    yaml.push_str(&" ".repeat(step));
                    yaml.push_str(&self.text(key));
                    yaml.push_str([": ", ":   "][usize::from(self.choose(2))]);
                    self.write(item, step, yaml);
                }
            }
            Value::Array(items) if is_block && !items.is_empty() => {
                let step = indent + 1 + usize::from(self.choose(4));
                for item in items {
                    yaml.push_str(self.line_end());
                    yaml.push_str(&" ".repeat(step));
                    yaml.push_str("- ");
                    // One that begins on the dash's own line would have to be aligned with it.
                    self.write(item, step + 1, yaml);
                }
            }
            Value::Object(fields) => {
                let fields = self.shuffled(fields);
                let fields = fields.into_iter().map(|(key, item)| {
                    format!("{}: {}", json_text(&Value::from(key.as_str())), self.flow(item))
                });
                let fields: Vec<String> = fields.collect();
                yaml.push_str(&format!("{{ {} }}", fields.join(" , ")));
            }
            other => yaml.push_str(&self.flow(other)),
        }
    }

    fn flow(&mut self, value: &Value) -> String {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(|item| self.flow(item)).collect();
                format!("[{}]", items.join([",", ", ", " ,\t"][usize::from(self.choose(3))]))
            }
            Value::Object(_) => {
                let mut text = String::new();
                let was = std::mem::replace(&mut self.choices, vec![0]);
                self.write(value, 0, &mut text);
                self.choices = was;
                text
            }
            other => other.to_string(),
        }
    }
}

/// A value as YAML of this layout.
fn laid_out(value: &Value, choices: Vec<u8>) -> String {
    let mut yaml = String::from("# a definition\n");
    // A document of its own in braces is a layout, too.
    Layout { choices, next: 0 }.write(value, 0, &mut yaml);
    yaml.push('\n');
    yaml
}

proptest! {
    #[test]
    fn neither_order_nor_white_space_changes_a_version(
        value in any_definition(),
        choices in prop::collection::vec(any::<u8>(), 1..60),
    ) {
        let plain = judged(&json_text(&value));
        let yaml = laid_out(&value, choices);
        let read: Result<Value, _> = serde_saphyr::from_str(&yaml);
        let again: Value = serde_saphyr::from_str(&json_text(&value)).unwrap_or_default();
        prop_assert_eq!(read.ok(), Some(again), "the layout says the same:\n{}", &yaml);
        let shown = |judged: &Result<pathway_engine::Definition, Vec<pathway_engine::DefinitionError>>| match judged {
            Ok(definition) => vec![definition.version().to_owned()],
            Err(mistakes) => {
                let mut all: Vec<String> = mistakes.iter().map(|mistake| format!("{} {}", mistake.code, mistake.path)).collect();
                all.sort();
                all
            }
        };
        prop_assert_eq!(shown(&judged(&yaml)), shown(&plain), "{}", &yaml);
    }
}
