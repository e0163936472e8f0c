//! One good definition and everything that can be broken about it: each break is refused, with the right code at the right place.

use std::sync::Arc;

use pathway_engine::{
    Answer, ArgSpec, CallContext, Definition, Kind, Pathway, Tool, ToolFuture, ToolItem, Tools, json_schema,
};
use serde_json::{Value, json};

use crate::tools::Echo;

const GOOD: &str = "
pathway: receipts
on: { topic: receipts, key: input.user_id }
input: { $ref: receipt.json }
limits: { batch: 64, per_key: 1, deadline: 30s, max_parallel: 2 }
nodes:
  read:
    use: reader
    with: { text: '${input.text}', page: 1 }
    retry: { attempts: 3, first: 100ms, longest: 2s }
    timeout: 5s
    breaker: { failures: 5, rest: 30s }
    on_error: fallback
    fallback: { value: { lines: [] } }
  count:
    use: reader
    needs: [read]
    when: size(input.tags) > 0
    with: { text: 'of ${input.user_id}' }
    on_error: continue
  tell:
    use: echo
    needs: [read, count]
    for_each: '${nodes.read.lines}'
    max_parallel: 10
    with: { value: '${item}', note: '${nodes.count.lines}' }
output: { lines: '${nodes.tell}', of: '${input.user_id}' }
";

/// `what -> with what`, and the mistakes that follow: `CODE path`.
const MUTATIONS: &[(&str, &str, &[&str])] = &[
    // The file.
    ("pathway: receipts", "pathway: [", &["INVALID_YAML "]),
    ("pathway: receipts", "pathway: a\npathway: b", &["INVALID_YAML "]),
    ("pathway: receipts", "pathway: a\nversion: 2", &["UNKNOWN_FIELD version"]),
    // The name.
    ("pathway: receipts\n", "", &["MISSING_FIELD pathway"]),
    ("pathway: receipts", "pathway: ''", &["WRONG_TYPE pathway"]),
    ("pathway: receipts", "pathway: 7", &["WRONG_TYPE pathway"]),
    ("pathway: receipts", "pathway: My Receipts", &["INVALID_NAME pathway"]),
    ("pathway: receipts", "pathway: 1st", &["INVALID_NAME pathway"]),
    // The trigger.
    ("on: { topic: receipts, key: input.user_id }\n", "", &["MISSING_FIELD on"]),
    ("on: { topic: receipts, key: input.user_id }", "on: receipts", &["WRONG_TYPE on"]),
    ("topic: receipts, ", "", &["MISSING_FIELD on.topic"]),
    ("topic: receipts, ", "topic: [], ", &["WRONG_TYPE on.topic"]),
    ("topic: receipts, ", "topics: receipts, ", &["MISSING_FIELD on.topic", "UNKNOWN_FIELD on.topics"]),
    ("key: input.user_id", "key: ", &["WRONG_TYPE on.key"]),
    ("key: input.user_id", "key: true", &["WRONG_TYPE on.key"]),
    ("key: input.user_id", "key: [input.user_id]", &["WRONG_TYPE on.key"]),
    ("key: input.user_id", "key: 'true'", &["ILL_TYPED on.key"]),
    ("key: input.user_id", "key: \"''\"", &["ILL_TYPED on.key"]),
    ("key: input.user_id", "key: 'input.'", &["INVALID_EXPRESSION on.key"]),
    ("key: input.user_id", "key: item.user_id", &["UNKNOWN_REFERENCE on.key"]),
    ("key: input.user_id", "key: input.user", &["UNKNOWN_REFERENCE on.key"]),
    ("key: input.user_id", "key: lower(input.user_id)", &["UNKNOWN_FUNCTION on.key"]),
    ("key: input.user_id", "key: nodes.read", &["UNKNOWN_REFERENCE on.key"]),
    // The input.
    ("receipt.json", "receipts.json", &["UNKNOWN_SCHEMA input.$ref"]),
    ("{ $ref: receipt.json }", "{ type: nothing }", &["INVALID_SCHEMA input"]),
    ("{ $ref: receipt.json }", "7", &["WRONG_TYPE input"]),
    // The limits.
    ("batch: 64", "batch: 0", &["OUT_OF_RANGE limits.batch"]),
    ("batch: 64", "batch: 513", &["OUT_OF_RANGE limits.batch"]),
    ("batch: 64", "batch: many", &["OUT_OF_RANGE limits.batch"]),
    ("per_key: 1", "per_key: -1", &["OUT_OF_RANGE limits.per_key"]),
    ("max_parallel: 2 }", "max_parallel: 2, batches: 0 }", &["OUT_OF_RANGE limits.batches"]),
    ("deadline: 30s", "deadline: 30", &["INVALID_DURATION limits.deadline"]),
    ("deadline: 30s", "deadline: 0s", &["INVALID_DURATION limits.deadline"]),
    ("deadline: 30s", "deadline: 25h", &["INVALID_DURATION limits.deadline"]),
    ("deadline: 30s", "deadline: 1441m", &["INVALID_DURATION limits.deadline"]),
    ("max_parallel: 2", "max_parallel: 65", &["OUT_OF_RANGE limits.max_parallel"]),
    ("max_parallel: 2", "concurrency: 2", &["UNKNOWN_FIELD limits.concurrency"]),
    // Nodes and their names.
    (
        "  read:\n",
        "  read it:\n",
        &[
            "INVALID_NAME nodes.read it",
            "UNKNOWN_NODE nodes.count.needs",
            "UNKNOWN_NODE nodes.tell.needs",
            "UNKNOWN_REFERENCE nodes.tell.for_each",
        ],
    ),
    (
        "  count:\n",
        "  tally:\n",
        &["UNKNOWN_NODE nodes.tell.needs", "UNKNOWN_REFERENCE nodes.tell.with.note"],
    ),
    ("    use: echo\n", "", &["MISSING_FIELD nodes.tell.use"]),
    ("use: echo", "use: ecko", &["UNKNOWN_TOOL nodes.tell.use"]),
    ("use: echo", "use: [echo]", &["WRONG_TYPE nodes.tell.use"]),
    ("use: echo", "uses: echo", &["MISSING_FIELD nodes.tell.use", "UNKNOWN_FIELD nodes.tell.uses"]),
    // The order.
    ("needs: [read]", "needs: read", &["WRONG_TYPE nodes.count.needs"]),
    ("needs: [read]", "needs: [red]", &["UNKNOWN_NODE nodes.count.needs"]),
    ("needs: [read]", "needs: [read, read]", &["DUPLICATE_NEED nodes.count.needs"]),
    (
        "needs: [read]",
        "needs: [count]",
        &[
            "CYCLE nodes.count.needs",
            "CYCLE nodes.tell.needs",
            "FORWARD_REFERENCE nodes.tell.for_each",
            "FORWARD_REFERENCE nodes.tell.with.note",
        ],
    ),
    (
        "needs: [read]",
        "needs: [tell]",
        &[
            "CYCLE nodes.count.needs",
            "CYCLE nodes.tell.needs",
            "FORWARD_REFERENCE nodes.tell.for_each",
            "FORWARD_REFERENCE nodes.tell.with.note",
        ],
    ),
    ("needs: [read, count]", "needs: [read]", &["FORWARD_REFERENCE nodes.tell.with.note"]),
    // Gates.
    ("when: size(input.tags) > 0", "when: false", &["UNREACHABLE nodes.count.when"]),
    ("when: size(input.tags) > 0", "when: 1 > 2", &["UNREACHABLE nodes.count.when"]),
    ("when: size(input.tags) > 0", "when: [1]", &["WRONG_TYPE nodes.count.when"]),
    ("when: size(input.tags) > 0", "when: size(input.tags) >", &["INVALID_EXPRESSION nodes.count.when"]),
    ("when: size(input.tags) > 0", "when: length(input.tags) > 0", &["UNKNOWN_FUNCTION nodes.count.when"]),
    ("when: size(input.tags) > 0", "when: item > 0", &["UNKNOWN_REFERENCE nodes.count.when"]),
    ("when: size(input.tags) > 0", "when: size(input.tag) > 0", &["UNKNOWN_REFERENCE nodes.count.when"]),
    ("when: size(input.tags) > 0", "when: size(inputs.tags) > 0", &["UNKNOWN_REFERENCE nodes.count.when"]),
    ("for_each: '${nodes.read.lines}'", "for_each: '${[]}'", &["UNREACHABLE nodes.tell.for_each"]),
    ("for_each: '${nodes.read.lines}'", "for_each: '${7}'", &["ILL_TYPED nodes.tell.for_each"]),
    ("for_each: '${nodes.read.lines}'", "for_each: '${input.text}'", &["ILL_TYPED nodes.tell.for_each"]),
    ("    for_each: '${nodes.read.lines}'\n", "", &["UNKNOWN_REFERENCE nodes.tell.with.value"]),
    ("max_parallel: 10", "max_parallel: 0", &["OUT_OF_RANGE nodes.tell.max_parallel"]),
    // Arguments.
    ("text: '${input.text}', ", "", &["MISSING_ARGUMENT nodes.read.with.text"]),
    (
        "text: '${input.text}', ",
        "txt: '${input.text}', ",
        &["MISSING_ARGUMENT nodes.read.with.text", "UNKNOWN_ARGUMENT nodes.read.with.txt"],
    ),
    ("text: '${input.text}', ", "text: 7, ", &["ILL_TYPED nodes.read.with.text"]),
    ("text: '${input.text}', ", "text: [a], ", &["ILL_TYPED nodes.read.with.text"]),
    ("text: '${input.text}', ", "text: '${input.tags}', ", &["ILL_TYPED nodes.read.with.text"]),
    ("text: '${input.text}', ", "text: '${1 + 1}', ", &["ILL_TYPED nodes.read.with.text"]),
    ("text: '${input.text}', ", "text: '${input.txt}', ", &["UNKNOWN_REFERENCE nodes.read.with.text"]),
    ("text: '${input.text}', ", "text: '${input.place.town}', ", &["UNKNOWN_REFERENCE nodes.read.with.text"]),
    ("text: '${input.text}', ", "text: '${input.text', ", &["INVALID_EXPRESSION nodes.read.with.text"]),
    ("page: 1", "page: one", &["ILL_TYPED nodes.read.with.page"]),
    (
        "with: { value: '${item}', note: '${nodes.count.lines}' }",
        "with: all",
        &["WRONG_TYPE nodes.tell.with"],
    ),
    (
        "note: '${nodes.count.lines}'",
        "note: '${nodes.count.line}'",
        &["UNKNOWN_REFERENCE nodes.tell.with.note"],
    ),
    (
        "note: '${nodes.count.lines}'",
        "note: '${size(nodes.count.sum)}'",
        &["UNKNOWN_REFERENCE nodes.tell.with.note"],
    ),
    ("note: '${nodes.count.lines}'", "note: '${nodes}'", &["UNKNOWN_REFERENCE nodes.tell.with.note"]),
    (
        "note: '${nodes.count.lines}'",
        "note: { a: ['${nodes.cont}'] }",
        &["UNKNOWN_REFERENCE nodes.tell.with.note.a[0]"],
    ),
    // Failure.
    ("attempts: 3", "attempts: 11", &["OUT_OF_RANGE nodes.read.retry.attempts"]),
    ("attempts: 3, ", "", &["MISSING_FIELD nodes.read.retry.attempts"]),
    ("longest: 2s", "longest: 50ms", &["OUT_OF_RANGE nodes.read.retry.first"]),
    ("longest: 2s", "wait: 2s", &["UNKNOWN_FIELD nodes.read.retry.wait"]),
    ("retry: { attempts: 3, first: 100ms, longest: 2s }", "retry: 3", &["WRONG_TYPE nodes.read.retry"]),
    ("timeout: 5s", "timeout: soon", &["INVALID_DURATION nodes.read.timeout"]),
    ("failures: 5", "failures: 0", &["OUT_OF_RANGE nodes.read.breaker.failures"]),
    (", rest: 30s", "", &["MISSING_FIELD nodes.read.breaker.rest"]),
    (
        "on_error: fallback",
        "on_error: ignore",
        &["CONFLICT nodes.read.fallback", "INVALID_VALUE nodes.read.on_error"],
    ),
    ("    on_error: fallback\n", "", &["CONFLICT nodes.read.fallback"]),
    ("    fallback: { value: { lines: [] } }\n", "", &["MISSING_FIELD nodes.read.fallback"]),
    ("fallback: { value: { lines: [] } }", "fallback: {}", &["CONFLICT nodes.read.fallback"]),
    (
        "fallback: { value: { lines: [] } }",
        "fallback: { value: 1, use: echo }",
        &["CONFLICT nodes.read.fallback"],
    ),
    (
        "fallback: { value: { lines: [] } }",
        "fallback: { use: ehco, with: { value: 1 } }",
        &["UNKNOWN_TOOL nodes.read.fallback.use"],
    ),
    (
        "fallback: { value: { lines: [] } }",
        "fallback: { use: echo }",
        &["MISSING_ARGUMENT nodes.read.fallback.with.value"],
    ),
    (
        "fallback: { value: { lines: [] } }",
        "fallback: { value: '${item}' }",
        &["UNKNOWN_REFERENCE nodes.read.fallback.value"],
    ),
    // The answer.
    ("lines: '${nodes.tell}'", "lines: '${nodes.told}'", &["UNKNOWN_REFERENCE output.lines"]),
    ("lines: '${nodes.tell}'", "lines: '${nodes.count.line}'", &["UNKNOWN_REFERENCE output.lines"]),
    ("of: '${input.user_id}'", "of: '${input.user}'", &["UNKNOWN_REFERENCE output.of"]),
    ("of: '${input.user_id}'", "of: '${input.user_id.lower()}'", &["UNKNOWN_FUNCTION output.of"]),
    ("of: '${input.user_id}'", "of: '${item}'", &["UNKNOWN_REFERENCE output.of"]),
    ("of: '${input.user_id}'", "of: '${input.'", &["INVALID_EXPRESSION output.of"]),
];

/// Takes a text, answers lines.
#[derive(Debug)]
struct Reader;

// === impl Reader ===

impl Tool for Reader {
    fn name(&self) -> &'static str {
        "reader"
    }

    fn answer(&self) -> Answer {
        Answer::Object(&[("lines", Kind::List)])
    }

    fn args(&self) -> &'static [ArgSpec] {
        const { &[ArgSpec::required("text", Kind::Text), ArgSpec::optional("page", Kind::Number)] }
    }

    fn call<'a>(&'a self, _: &'a CallContext, items: Vec<ToolItem>) -> ToolFuture<'a> {
        Box::pin(async move { Ok(items.iter().map(|_| Ok(json!({"lines": []}))).collect()) })
    }
}

fn schema(name: &str) -> Option<Value> {
    (name == "receipt.json").then(|| {
        json!({"type": "object", "properties": {
            "user_id": {"type": "string"},
            "text": {"type": "string"},
            "tags": {"type": "array"},
            "place": {"type": "object", "properties": {"city": {"type": "string"}}},
        }})
    })
}

/// `CODE path` of every mistake, sorted.
fn mistakes(yaml: &str) -> Vec<String> {
    let tools = Tools::default().with(Arc::new(Echo::default())).with(Arc::new(Reader));
    let found = Pathway::parse(yaml, &schema, &tools).err().unwrap_or_default();
    for mistake in &found {
        assert!(!mistake.hint.is_empty() && !mistake.message.is_empty(), "{mistake}");
    }
    let mut found: Vec<String> =
        found.iter().map(|mistake| format!("{} {}", mistake.code, mistake.path)).collect();
    found.sort();
    found
}

#[test]
fn the_good_one_is_good() {
    assert_eq!(mistakes(GOOD), Vec::<String>::new());
}

#[test]
fn every_break_is_refused_at_its_place() {
    let mut wrong = Vec::new();
    for (what, with, expected) in MUTATIONS {
        assert_eq!(GOOD.matches(what).count(), 1, "`{what}` is there once");
        let found = mistakes(&GOOD.replace(what, with));
        if found != *expected {
            wrong.push(format!("`{what}` -> `{with}`: {found:?} and not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_functions_that_are_told_are_known() {
    for call in [
        "size(input.text) > 0",
        "input.text.contains('a')",
        "input.text.startsWith('a') || input.text.endsWith('b')",
        "input.text.matches('^a')",
        "string(1) == input.text && int('1') == 1 && double('1.5') > 1.0",
        "has(input.text) && input.tags.all(t, t != '') && input.tags.exists(t, t == 'a')",
        "input.tags.exists_one(t, t == 'a') && input.tags.map(t, t).size() > 0 && input.tags.filter(t, true) != []",
    ] {
        let gated = GOOD.replace("size(input.tags) > 0", &format!("{call:?}"));
        assert_eq!(mistakes(&gated), Vec::<String>::new(), "{call}");
    }
}

#[test]
fn a_hint_names_what_was_meant() {
    let broken = GOOD.replace("use: echo", "use: ecko").replace("needs: [read]", "needs: [raed]");
    let found = Definition::parse(&broken, &schema).unwrap_err();
    assert_eq!(found[0].hint, "did you mean `read`?");
    assert_eq!(
        found[0].to_string(),
        "nodes.count.needs: there is no node `raed`; did you mean `read`? (UNKNOWN_NODE)"
    );
}

#[test]
fn what_is_too_large_or_a_bomb_is_refused() {
    assert_eq!(mistakes(&format!("{GOOD}# {}", "x".repeat(300_000))), ["TOO_LARGE "]);
    let many: String = (0..101).map(|n| format!("  n{n}: {{ use: echo, with: {{ value: 1 }} }}\n")).collect();
    let head = "pathway: p\non: { topic: t, key: input.id }\nnodes:\n";
    assert_eq!(mistakes(&format!("{head}{many}")), ["TOO_LARGE nodes"]);
    let deep = format!(
        "{head}  a: {{ use: echo, with: {{ value: {}1{} }} }}\n",
        "[".repeat(5_000),
        "]".repeat(5_000)
    );
    assert_eq!(mistakes(&deep), ["INVALID_YAML "]);
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        bomb.push_str(&format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(", ")));
    }
    assert_eq!(mistakes(&bomb), ["INVALID_YAML "]);
}

/// Where the JSON Schema for editors is kept.
const PUBLISHED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/pathway.schema.json");

#[test]
fn the_published_schema_is_fresh() {
    let text = format!("{}\n", serde_json::to_string_pretty(&json_schema()).unwrap());
    if std::env::var_os("PATHWAY_REGENERATE").is_some() {
        std::fs::write(PUBLISHED, &text).unwrap();
    }
    let published = std::fs::read_to_string(PUBLISHED).unwrap_or_default();
    assert!(published == text, "docs/pathway.schema.json is stale: `make proto` writes it anew");
}

#[test]
fn the_published_schema_takes_what_the_parser_takes() {
    let validator = jsonschema::validator_for(&json_schema()).unwrap();
    let good: Value = serde_saphyr::from_str(GOOD).unwrap();
    assert!(
        validator.is_valid(&good),
        "{:?}",
        validator.iter_errors(&good).map(|e| e.to_string()).collect::<Vec<_>>()
    );
    for (what, with, expected) in MUTATIONS {
        let of_form =
            ["UNKNOWN_FIELD", "MISSING_FIELD", "WRONG_TYPE", "INVALID_NAME", "INVALID_VALUE", "OUT_OF_RANGE"];
        // What depends on another field is the parser's alone.
        let by_form = expected.iter().any(|mistake| {
            of_form.iter().any(|code| mistake.starts_with(code))
                && !mistake.ends_with("retry.first")
                && !mistake.ends_with("read.fallback")
        });
        let broken: Result<Value, _> = serde_saphyr::from_str(&GOOD.replace(what, with));
        if let (true, Ok(broken)) = (by_form, broken) {
            assert!(!validator.is_valid(&broken), "`{what}` -> `{with}`");
        }
    }
}
