//! An expression meets whatever somebody publishes: it has a value or a failure, and never takes the process with it.

use std::sync::Arc;

use pathway_engine::{Definition, Pathway, Tools};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::tools::Echo;

/// What an expression is made of, one on each line, `A` and `B` being others.
const SHAPES: &str = "
(A) + (B)
(A) - (B)
(A) * (B)
(A) / (B)
(A) % (B)
-(A)
!(A)
(A) == (B)
(A) != (B)
(A) < (B)
(A) >= (B)
(A) && (B)
(A) || (B)
(A) in (B)
(A) ? (B) : (A)
(A)[B]
(A).n
[A, B]
{'k': A}
{A: B}
size(A)
has(input.n)
(A).contains(B)
(A).startsWith(B)
(A).endsWith(B)
(A).matches(B)
(A).matches('(a+)+$')
(A).matches('[')
string(A)
int(A)
uint(A)
double(A)
bytes(A)
type(A)
(A).all(x, x == B)
(A).exists(x, x == B)
(A).exists_one(x, x == B)
(A).map(x, [x, B])
(A).filter(x, x != B)
timestamp(A)
duration(A)
timestamp(A) + duration(B)
timestamp(A) - timestamp(B)
timestamp(A).getFullYear()
duration(A).getHours()
dyn(A)";

const ATOMS: &str = "
input
input.n
input.m
input.text
input.list
input.map
input.map.list
input.nothing.more
nodes
item
null
true
0
-1
9223372036854775807
-9223372036854775808
18446744073709551615u
1.5e308
'é'
b'\\xff'
'2026-11-24T12:00:00Z'
'9999-12-31T23:59:59.999999999Z'
'9223372036854775807s'
[]";

fn any_of(lines: &'static str) -> impl Strategy<Value = &'static str> {
    prop::sample::select(lines.trim().lines().collect::<Vec<_>>())
}

fn any_expression() -> impl Strategy<Value = String> {
    let atom = any_of(ATOMS).prop_map(str::to_owned);
    atom.prop_recursive(3, 12, 2, |inner| {
        (any_of(SHAPES), inner.clone(), inner).prop_map(|(shape, a, b)| {
            let filled = shape.chars().map(|c| match c {
                'A' => a.clone(),
                'B' => b.clone(),
                other => other.to_string(),
            });
            filled.collect()
        })
    })
}

fn any_number() -> impl Strategy<Value = Value> {
    let texts = vec![
        "1e400",
        "-0.0",
        "0.10000000000000000001",
        "123456789012345678901234567890",
        "-9223372036854775808",
        "9223372036854775807",
        "1E-400",
    ];
    prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(texts).prop_map(|text| serde_json::from_str(text).unwrap()),
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    let texts = vec![
        "",
        "12",
        "-1.5",
        "true",
        "2026-11-24T12:00:00Z",
        "0001-01-01T00:00:00Z",
        "106751991167300h",
        "-1h",
        "(a+)+$",
        "\u{0}é\u{10ffff}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any_number(),
        any::<String>().prop_map(Value::from),
        prop::sample::select(texts).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn any_input() -> impl Strategy<Value = Value> {
    let object = (any_json(), any_json(), any_json(), any_json(), any_json()).prop_map(|(n, m, text, list, map)| {
        json!({"n": n, "m": m, "text": text, "list": [list.clone(), n], "map": {"list": list, "map": map}})
    });
    prop_oneof![4 => object, 1 => any_json()]
}

proptest! {
    #[test]
    fn an_expression_over_any_input_has_a_value_or_a_failure(
        source in any_expression(),
        inputs in prop::collection::vec(any_input(), 1..4),
    ) {
        // In each place where there may be one.
        let of = |node: Value| {
            let definition = json!({
                "pathway": "p", "on": {"topic": "t", "key": source.replace("nodes", "input").replace("item", "input")},
                "nodes": {"a": node},
            });
            let definition = Definition::parse(&definition.to_string(), &|_| None).ok()?;
            Pathway::new(definition, &Tools::default().with(Arc::new(Echo::default()))).ok()
        };
        let whole = format!("${{{source}}}");
        let places = [
            of(json!({"use": "echo", "with": {"value": whole, "note": format!("a {whole} b {whole}")}})),
            of(json!({"use": "echo", "when": source, "with": {"value": 1}})),
            of(json!({"use": "echo", "for_each": source, "with": {"value": "${item}"}})),
            of(json!({"use": "echo", "for_each": "input.list", "with": {"value": whole}})),
        ];
        for pathway in places.iter().flatten() {
            for input in &inputs {
            let _ = (pathway.definition().key(input), pathway.check_input(input), pathway.plan(input));
            }
        }
    }

    #[test]
    fn any_text_is_an_expression_or_a_mistake(source in any::<String>(), words in prop::collection::vec(any_of(ATOMS), 0..6)) {
        for source in [source, words.join(" "), words.join("("), words.concat()] {
            let definition = json!({
                "pathway": "p", "on": {"topic": "t", "key": "input.id"},
                "nodes": {"a": {"use": "echo", "with": {"value": format!("${{{source}}}")}}},
            });
            let _ = super::judged(&definition.to_string());
        }
    }
}

/// Most of what is generated must be an expression, or nothing is tested.
#[test]
fn every_shape_is_an_expression() {
    for shape in SHAPES.trim().lines() {
        let source = shape.replace('A', "input.n").replace('B', "input.m");
        let definition = json!({
            "pathway": "p", "on": {"topic": "t", "key": "input.id"},
            "nodes": {"a": {"use": "echo", "when": source}},
        });
        let Err(mistakes) = Definition::parse(&definition.to_string(), &|_| None) else { continue };
        let by_names = mistakes.iter().all(|mistake| mistake.code == "UNKNOWN_REFERENCE");
        assert!(by_names, "`{shape}`: {mistakes:?}");
    }
}

/// As deep as an expression's length allows: the parser, the checks and the evaluation have to come back from there.
#[test]
fn the_deepest_expression_is_taken_or_refused() {
    for (open, inner, close) in [
        ("(", "input.n", ")"),
        ("[", "input.n", "]"),
        ("{1:", "1", "}"),
        ("!", "input.n", ""),
        ("-", "1", ""),
        ("- ", "1", ""),
        ("1+(", "1", ")"),
        ("size(", "'a'", ")"),
        ("input.n?1:", "1", ""),
        ("input.n?", "1", ":1"),
        ("1+", "1", ""),
        ("true&&", "true", ""),
        ("", "input", ".n"),
        ("", "input", "[0]"),
        ("[1].map(x,", "1", ")"),
        ("[", "", ""),
        ("(", "", ""),
        ("{'':", "", ""),
    ] {
        let depth = (1000 - inner.len()) / (open.len() + close.len());
        // A loop in a loop takes twice as long with each element; it is its depth that matters here.
        for depth in [depth, depth / 2, 40] {
            let source = format!("{}{inner}{}", open.repeat(depth), close.repeat(depth));
            let definition = json!({
                "pathway": "p", "on": {"topic": "t", "key": "input.id"},
                "nodes": {"a": {"use": "echo", "with": {"value": format!("${{{source}}}")}}},
            });
            let Ok(definition) = super::judged(&definition.to_string()) else { continue };
            let tools = Tools::default().with(Arc::new(Echo::default()));
            let Ok(pathway) = Pathway::new(definition, &tools) else { continue };
            let _ = pathway.plan(&json!({"n": 1}));
        }
    }
}
