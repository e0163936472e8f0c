//! Every mistake at once, each with its code and path.

use std::sync::Arc;

use pathway_engine::{Definition, Pathway, Tools};
use serde_json::json;

use crate::tools::{Echo, parse};

const HEAD: &str = "pathway: p\non: { topic: t, key: input.id }\n";

/// `code path` of every mistake in a definition, sorted.
fn mistakes(yaml: &str) -> Vec<String> {
    let tools = Tools::default().with(Arc::new(Echo::default()));
    let found = Pathway::parse(yaml, &|_| None, &tools).err().unwrap_or_default();
    let mut found: Vec<String> =
        found.iter().map(|mistake| format!("{} {}", mistake.code, mistake.path)).collect();
    found.sort();
    found
}

#[test]
fn each_mistake_has_its_code_and_path() {
    let corpus: [(&str, &[&str]); 25] = [
        ("nodes: [", &["INVALID_YAML "]),
        ("- a", &["WRONG_TYPE "]),
        ("{}", &["MISSING_FIELD nodes", "MISSING_FIELD on", "MISSING_FIELD pathway"]),
        (
            "pathway: 7\non: {topic: t, key: input.id}\nnodes: {a: {use: echo, with: {value: 1}}}",
            &["WRONG_TYPE pathway"],
        ),
        (
            "pathway: p\non: {topic: t, key: input.id, every: 5m}\nnodes: {a: {use: echo, with: {value: 1}}}",
            &["UNKNOWN_FIELD on.every"],
        ),
        (
            "pathway: p\non: {topic: t, key: nodes.a}\nnodes: {a: {use: echo, with: {value: 1}}}",
            &["UNKNOWN_REFERENCE on.key"],
        ),
        (
            "pathway: p\non: {topic: t, key: 1 +}\nnodes: {a: {use: echo, with: {value: 1}}}",
            &["INVALID_EXPRESSION on.key"],
        ),
        (
            "+input: {$ref: gone.json}\nnodes: {a: {use: echo, with: {value: 1}}}",
            &["UNKNOWN_SCHEMA input.$ref"],
        ),
        ("+input: {type: 7}\nnodes: {a: {use: echo, with: {value: 1}}}", &["INVALID_SCHEMA input"]),
        ("+nodes: {}", &["MISSING_FIELD nodes"]),
        ("+nodes: {a: 7}", &["WRONG_TYPE nodes.a"]),
        ("+nodes: {a-b: {use: echo, with: {value: 1}}}", &["INVALID_NAME nodes.a-b"]),
        ("+nodes: {a: {use: echo, with: {value: 1}, retries: 5}}", &["UNKNOWN_FIELD nodes.a.retries"]),
        ("+nodes: {a: {use: echo, with: {value: 1}, needs: b}}", &["WRONG_TYPE nodes.a.needs"]),
        ("+nodes: {a: {use: echo, with: {value: 1}, needs: [b]}}", &["UNKNOWN_NODE nodes.a.needs"]),
        (
            "+nodes: {a: {use: echo, with: {value: 1}, needs: [b]}, b: {use: echo, with: {value: 1}, needs: [a]}}",
            &["CYCLE nodes.a.needs", "CYCLE nodes.b.needs"],
        ),
        (
            "+nodes: {a: {use: echo, with: {value: '${nodes.b}'}}, b: {use: echo, with: {value: '${nodes.c + size(nodes.b)}'}}}",
            &[
                "FORWARD_REFERENCE nodes.a.with.value",
                "FORWARD_REFERENCE nodes.b.with.value",
                "UNKNOWN_REFERENCE nodes.b.with.value",
            ],
        ),
        (
            "+nodes: {a: {use: echo, with: {value: '${item}', note: '${secrets.key}'}}}",
            &["UNKNOWN_REFERENCE nodes.a.with.note", "UNKNOWN_REFERENCE nodes.a.with.value"],
        ),
        ("+nodes: {a: {use: echo, with: {value: '${input.id'}}}", &["INVALID_EXPRESSION nodes.a.with.value"]),
        (
            "+nodes: {a: {use: echo, with: {value: 1}, timeout: soon, on_error: panic}}",
            &["INVALID_DURATION nodes.a.timeout", "INVALID_VALUE nodes.a.on_error"],
        ),
        ("+nodes: {a: {use: moon, with: {value: 1}}}", &["UNKNOWN_TOOL nodes.a.use"]),
        (
            "+nodes: {a: {use: echo, with: {volume: 11}}}",
            &["MISSING_ARGUMENT nodes.a.with.value", "UNKNOWN_ARGUMENT nodes.a.with.volume"],
        ),
        // What is wrong with the file hides nothing that is wrong with the tools.
        (
            "+input: {type: 7}\nnodes: {a: {use: moon, with: {value: 1}, retries: 5}, b: {use: echo, with: {volume: 11}}}",
            &[
                "INVALID_SCHEMA input",
                "MISSING_ARGUMENT nodes.b.with.value",
                "UNKNOWN_ARGUMENT nodes.b.with.volume",
                "UNKNOWN_FIELD nodes.a.retries",
                "UNKNOWN_TOOL nodes.a.use",
            ],
        ),
        (
            "pathway: p\nnodes: {a: {use: moon, with: {value: 1}}}",
            &["MISSING_FIELD on", "UNKNOWN_TOOL nodes.a.use"],
        ),
        // A list that cannot be read leaves open what the node answers.
        (
            "+nodes: {a: {use: echo, for_each: '${1 +}', with: {value: 1}}, b: {use: echo, needs: [a], for_each: '${nodes.a}', with: {value: '${item}'}}}",
            &["INVALID_EXPRESSION nodes.a.for_each"],
        ),
    ];
    for (yaml, expected) in corpus {
        let yaml = yaml.strip_prefix('+').map_or_else(|| yaml.to_owned(), |rest| format!("{HEAD}{rest}"));
        assert_eq!(mistakes(&yaml), expected, "{yaml}");
    }
}

#[test]
fn a_version_is_of_the_content_and_not_of_the_layout() {
    let version = |yaml: &str| parse(yaml).unwrap().version().to_owned();
    let one = version(&format!("{HEAD}nodes: {{a: {{use: echo, with: {{value: 1, note: x}}}}}}"));
    let same = version(
        "nodes:\n  a:\n    with: {note: x, value: 1}\n    use: echo\non: {key: input.id, topic: t}\npathway: p\n",
    );
    let other = version(&format!("{HEAD}nodes: {{a: {{use: echo, with: {{value: 2, note: x}}}}}}"));
    assert_eq!(one, same);
    assert_ne!(one, other);
    assert_eq!(one.len(), 32);
}

#[test]
fn a_canonical_form_says_the_same_and_needs_no_file() {
    let yaml = format!(
        "{HEAD}# a note\ninput: {{$ref: s.json}}\nnodes: {{b: {{with: {{value: \"a \\\"b\\\"\\n\"}}, use: echo}}, a: {{use: echo, with: {{value: 1.50}}}}}}"
    );
    let definition =
        Definition::parse(&yaml, &|_| Some(json!({"type": "object", "$comment": "kept"}))).unwrap();
    let expected = r#"{"input":{"$comment":"kept","type":"object"},"nodes":{"a":{"use":"echo","with":{"value":1.5}},"b":{"use":"echo","with":{"value":"a \"b\"\n"}}},"on":{"key":"input.id","topic":"t"},"pathway":"p"}"#;
    assert_eq!(definition.canonical(), expected);
    let again = parse(definition.canonical()).unwrap();
    assert_eq!((again.version(), again.canonical()), (definition.version(), expected));
    // Whoever has the canonical form can reckon the version: the beginning of what `sha256sum` says.
    assert_eq!(definition.version(), "1ebb5141d66adb33b2f7fb844ffc6e65");
}

#[test]
fn every_character_goes_through_the_canonical_form() {
    let all: Vec<char> = ('\0'..=char::MAX).collect();
    for chars in all.chunks(10_000) {
        // Escaped, as a file may have them; those beyond four digits need none.
        let escaped = |c: &char| match u32::from(*c) {
            code @ 0..=0xffff => format!("\\u{code:04x}"),
            _ => c.to_string(),
        };
        let text: String = chars.iter().map(escaped).collect();
        let definition =
            parse(&format!("{HEAD}nodes: {{a: {{use: echo, with: {{value: \"{text}\"}}}}}}")).unwrap();
        let again = parse(definition.canonical()).unwrap();
        assert_eq!(again.canonical(), definition.canonical());
        let chars: String = chars.iter().collect();
        let value: serde_json::Value = serde_json::from_str(again.canonical()).unwrap();
        assert_eq!(value["nodes"]["a"]["with"]["value"], chars);
    }
}

#[test]
fn a_schema_that_everybody_knows_is_no_file() {
    let url = "https://json-schema.org/draft/2020-12/schema";
    let of = |url: &str| {
        parse(&format!("{HEAD}input: {{$ref: '{url}'}}\nnodes: {{a: {{use: echo, with: {{value: 1}}}}}}"))
    };
    let definition = of(url).unwrap();
    assert_eq!(parse(definition.canonical()).unwrap().version(), definition.version());
    assert_eq!(of("https://example.com/none.json").unwrap_err()[0].code, "INVALID_SCHEMA");
}

#[test]
fn a_schema_beside_the_definition_is_part_of_its_version() {
    let yaml = format!("{HEAD}input: {{$ref: s.json}}\nnodes: {{a: {{use: echo, with: {{value: 1}}}}}}");
    let version = |schema: serde_json::Value| {
        Definition::parse(&yaml, &move |_| Some(schema.clone())).unwrap().version().to_owned()
    };
    assert_ne!(version(json!({"type": "object"})), version(json!({"type": "object", "required": ["id"]})));
}

#[test]
fn nodes_come_after_what_they_need_whatever_the_order_in_the_file() {
    let yaml = format!(
        "{HEAD}nodes:\n  last: {{use: echo, needs: [left, right], with: {{value: 1}}}}\n  left: {{use: echo, needs: [first], with: {{value: 1}}}}\n  \
         first: {{use: echo, with: {{value: 1}}}}\n  right: {{use: echo, needs: [first], with: {{value: 1}}}}"
    );
    let definition = parse(&yaml).unwrap();
    let names: Vec<&str> = definition.nodes().iter().map(pathway_engine::Node::name).collect();
    assert_eq!(names, ["first", "left", "right", "last"]);
}

#[test]
fn an_inputs_violations_come_all_at_once_and_once_for_each_field() {
    let yaml =
        format!("{HEAD}input: {{$ref: s.json}}\nnodes: {{a: {{use: echo, with: {{value: '${{input}}'}}}}}}");
    let schema = json!({
        "type": "object",
        "required": ["id", "user"],
        "properties": {
            "id": {"type": "string", "maxLength": 5},
            "inner": {"properties": {"n": {"type": "integer"}}},
            "kind": {"enum": ["expense", "income", "transfer", "adjustment", null]},
        }
    });
    let definition = Definition::parse(&yaml, &move |_| Some(schema.clone())).unwrap();
    let pathway = Pathway::new(definition, &Tools::default().with(Arc::new(Echo::default()))).unwrap();
    let violations = pathway
        .check_input(&json!({"id": "secret".repeat(100_000), "inner": {"n": "x"}, "kind": "loan", "bad": 1}));
    let mut fields: Vec<&str> = violations.iter().map(|violation| violation.field.as_str()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["bad", "id", "inner.n", "kind", "user"]);
    let kind = violations.iter().find(|violation| violation.field == "kind").unwrap();
    assert_eq!(
        kind.description, r#"must be one of "expense", "income", "transfer", "adjustment", null"#,
        "all of them"
    );
    assert!(violations.iter().all(|violation| violation.description.len() < 200), "values are not repeated");
}
