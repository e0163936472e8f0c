//! What holds of every definition, whoever wrote it and however.

mod expressions;
mod layout;

use pathway_engine::{Definition, DefinitionError};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value, json};

/// Every field of the format, with something in it.
const WHOLE: &str = "pathway: receipts
on: { topic: receipts, key: input.user_id }
input: { type: object, properties: { user_id: { type: string }, lines: { type: array }, n: { type: number } } }
limits: { batch: 64, per_key: 1, deadline: 30s, max_parallel: 2 }
nodes:
  read:
    use: reader
    with: { text: '${input.user_id} has ${size(input.lines)}', page: 1.50, deep: [[{ a: null }], true] }
    retry: { attempts: 3, first: 100ms, longest: 2s }
    timeout: 5s
    breaker: { failures: 5, rest: 30s }
    on_error: fallback
    fallback: { value: { lines: [] } }
  tell:
    use: echo
    needs: [read]
    when: input.n > 2
    for_each: '${nodes.read.lines}'
    max_parallel: 10
    on_error: fallback
    fallback: { use: echo, with: { value: '${item}' } }
output: { lines: '${nodes.tell}' }
";

/// What may stand where a definition has something: what is right somewhere, and what is right nowhere.
const WORDS: [&str; 40] = [
    "pathway",
    "on",
    "topic",
    "key",
    "input",
    "$ref",
    "nodes",
    "read",
    "tell",
    "use",
    "with",
    "needs",
    "when",
    "for_each",
    "retry",
    "attempts",
    "first",
    "longest",
    "timeout",
    "breaker",
    "failures",
    "rest",
    "on_error",
    "fallback",
    "value",
    "output",
    "limits",
    "batch",
    "max_parallel",
    "continue",
    "5s",
    "0ms",
    "input.user_id",
    "${nodes.read}",
    "${",
    "${1 +}",
    "item",
    "type",
    "<<",
    "é\u{2028}\u{7f}\"",
];

/// What means something in YAML, to be put anywhere in a text.
const TOKENS: [&str; 24] = [
    ":",
    "- ",
    "? ",
    "|",
    ">-",
    "&a ",
    "*a",
    "!!int ",
    "!!binary ",
    "!x ",
    "<<: ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "'",
    "\"",
    "#",
    "---\n",
    "%YAML 1.1\n",
    "\t",
    "\0",
    "\n",
];

/// The mistakes, which must say something, or the definition, which must be the same again in its canonical form.
fn judged(yaml: &str) -> Result<Definition, Vec<DefinitionError>> {
    let judged = Definition::parse(yaml, &|name| (name == "known").then(|| json!({"type": "object"})));
    match &judged {
        Err(mistakes) => {
            assert!(!mistakes.is_empty(), "refused for nothing");
            for mistake in mistakes {
                assert!(mistake.code != "UNEXPLAINED", "no check says why");
                assert!(!mistake.message.is_empty() && !mistake.hint.is_empty(), "{mistake:?}");
            }
        }
        Ok(definition) => {
            let again = Definition::parse(definition.canonical(), &|_| None);
            let again = again.unwrap_or_else(|mistakes| panic!("{mistakes:?} in {}", definition.canonical()));
            assert_eq!(again.canonical(), definition.canonical());
            assert_eq!(again.version(), definition.version());
        }
    }
    judged
}

/// A value as JSON that is YAML as well: what YAML may not have as it is, is escaped.
fn json_text(value: &Value) -> String {
    let escaped = |c: char| match c {
        '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
            format!("\\u{:04x}", u32::from(c))
        }
        other => other.to_string(),
    };
    value.to_string().chars().map(escaped).collect()
}

fn any_scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => (-2..12_i64).prop_map(Value::from),
        1 => any::<String>().prop_map(Value::from),
        4 => prop::sample::select(&WORDS[..]).prop_map(Value::from),
    ]
}

/// Any JSON, made of a definition's words among others.
pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    any_scalar().prop_recursive(4, 40, 6, |inner| {
        let key =
            prop_oneof![3 => prop::sample::select(&WORDS[..]).prop_map(str::to_owned), 1 => any::<String>()];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Something done to one place of a definition.
#[derive(Debug, Clone)]
enum Edit {
    Replace(Value),
    Remove,
    Add(String, Value),
}

fn any_edit() -> impl Strategy<Value = (Index, Edit)> {
    let word = || prop::sample::select(&WORDS[..]).prop_map(str::to_owned);
    let edit = prop_oneof![
        any_value().prop_map(Edit::Replace),
        Just(Edit::Remove),
        (word(), any_value()).prop_map(|(word, value)| Edit::Add(word, value)),
    ];
    (any::<Index>(), edit)
}

/// How many places a value has, itself among them.
fn places(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(places).sum(),
        Value::Object(fields) => fields.values().map(places).sum(),
        _ => 0,
    }
}

/// Does an edit at the place of this number, counted depth first; answers what is there afterwards.
fn edited(value: &Value, place: &mut usize, edit: &Edit) -> Option<Value> {
    if *place == 0 {
        *place = usize::MAX;
        return match edit {
            Edit::Replace(with) => Some(with.clone()),
            Edit::Remove => None,
            Edit::Add(key, with) => match value {
                Value::Object(fields) => {
                    let mut fields = fields.clone();
                    fields.insert(key.clone(), with.clone());
                    Some(Value::Object(fields))
                }
                Value::Array(items) => Some(items.iter().chain([with]).cloned().collect()),
                _ => Some(json!({ key: with })),
            },
        };
    }
    *place -= 1;
    Some(match value {
        Value::Array(items) => items.iter().filter_map(|item| edited(item, place, edit)).collect(),
        Value::Object(fields) => {
            let fields =
                fields.iter().filter_map(|(key, item)| Some((key.clone(), edited(item, place, edit)?)));
            Value::Object(fields.collect())
        }
        other => other.clone(),
    })
}

/// The whole definition with a few edits.
pub(crate) fn any_definition() -> impl Strategy<Value = Value> {
    let whole: Value = serde_saphyr::from_str(WHOLE).unwrap();
    prop::collection::vec(any_edit(), 0..4).prop_map(move |edits| {
        edits.into_iter().fold(whole.clone(), |value, (index, edit)| {
            let mut place = index.index(places(&value));
            edited(&value, &mut place, &edit).unwrap_or(Value::Null)
        })
    })
}

proptest! {
    #[test]
    fn any_text_is_a_definition_or_has_a_mistake(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = judged(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_structure_is_a_definition_or_has_a_mistake(value in any_value()) {
        let _ = judged(&json_text(&value));
    }

    #[test]
    fn a_definition_with_anything_in_it_is_one_or_has_a_mistake(value in any_definition()) {
        let _ = judged(&json_text(&value));
    }

    #[test]
    fn a_text_with_yaml_anywhere_in_it_is_a_definition_or_has_a_mistake(
        tokens in prop::collection::vec((any::<Index>(), prop::sample::select(&TOKENS[..])), 1..4),
    ) {
        let mut text = WHOLE.to_owned();
        for (at, token) in tokens {
            text.insert_str(at.index(text.len()), token);
        }
        let _ = judged(&text);
    }
}

#[test]
fn the_whole_is_a_definition() {
    assert!(judged(WHOLE).is_ok());
}
