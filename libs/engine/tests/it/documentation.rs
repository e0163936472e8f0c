//! What docs/pathways.md says of definitions, held against the code.

use std::collections::BTreeSet;
use std::path::Path;

use pathway_engine::{Definition, json_schema};
use serde_json::Value;

const DOCUMENT: &str = include_str!("../../../../docs/pathways.md");
/// Where the definition that ships is, with its schema beside it.
const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../services/processor/pathways");

/// The document's blocks of a language.
fn blocks(language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let inside = DOCUMENT.split(&fence).skip(1);
    inside.map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}

/// The rows of the table whose head begins with these cells.
fn table(head: &str) -> Vec<Vec<String>> {
    let (_, rest) = DOCUMENT.split_once(head).unwrap_or_else(|| panic!("there is no table `{head}`"));
    let rows = rest.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.split('|').skip(1).map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// What stands between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_yaml_example_is_a_definition() {
    let schema = |name: &str| {
        let text = std::fs::read_to_string(Path::new(SHIPPED).join(name)).ok()?;
        serde_json::from_str::<Value>(&text).ok()
    };
    let examples = blocks("yaml");
    assert!(!examples.is_empty());
    for example in &examples {
        Definition::parse(example, &schema).unwrap_or_else(|mistakes| panic!("{mistakes:?} in\n{example}"));
    }
    let shipped = std::fs::read_to_string(Path::new(SHIPPED).join("transactions.yaml")).unwrap();
    let shipped = shipped.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    assert_eq!(examples[0].trim(), shipped.trim(), "the whole of the one that ships");
}

#[test]
fn the_table_of_fields_is_the_format() {
    let told: BTreeSet<String> = table("| field | |")
        .iter()
        .map(|row| row[0].trim_matches('`').replace("nodes.N", "nodes.*"))
        .collect();
    let fields = |schema: &Value| -> Vec<String> {
        schema["properties"].as_object().unwrap().keys().cloned().collect()
    };
    let schema = json_schema();
    let mut known: BTreeSet<String> = fields(&schema).into_iter().collect();
    // Groups of fields are told one by one.
    for group in ["on", "limits"] {
        known.remove(group);
        known.extend(fields(&schema["properties"][group]).iter().map(|field| format!("{group}.{field}")));
    }
    known.remove("nodes");
    let node = &schema["properties"]["nodes"]["additionalProperties"];
    known.extend(fields(node).iter().map(|field| format!("nodes.*.{field}")));
    assert_eq!(told, known);
    // The fragments in the table: `{ attempts, first, longest }` and the like.
    for row in table("| field | |") {
        let Some(field) = row[0].trim_matches('`').strip_prefix("nodes.N.") else { continue };
        let known = &node["properties"][field];
        for fragment in quoted(&row[2]).filter(|fragment| fragment.starts_with('{')) {
            let value: Value = serde_saphyr::from_str(fragment).unwrap();
            for name in value.as_object().unwrap().keys() {
                assert!(known["properties"].get(name).is_some(), "`{fragment}` in the row of `{field}`");
            }
        }
    }
}

#[test]
fn every_code_of_a_mistake_is_told() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/check");
    let told: BTreeSet<&str> = quoted(DOCUMENT).collect();
    let mut codes = BTreeSet::from(["INVALID_YAML".to_owned(), "TOO_LARGE".to_owned()]);
    for file in std::fs::read_dir(source).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        // A code is a text of capitals and nothing else.
        let is_code =
            |text: &&str| text.len() > 4 && text.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        codes.extend(text.split('"').filter(is_code).map(str::to_owned));
    }
    assert!(codes.len() > 20, "{codes:?}");
    let missing: Vec<&String> = codes.iter().filter(|code| !told.contains(code.as_str())).collect();
    assert!(missing.is_empty(), "docs/pathways.md does not tell {missing:?}");
}
