//! What comes from outside and is taken apart here: each function takes any bytes, and panics where something does not hold that must hold of all.
//!
//! They are the bodies of the fuzz targets in `fuzz_targets`, and the integration tests include this file and run each over its seeds and over mutations of them
//! (`tests/it/fuzz.rs`). So a target is built and run by everybody, also where there is no fuzzer.

mod events;
mod requests;
mod wire;

use pathway_engine::{Definition, Pathway, Tools, Transform};
use serde_json::{Value, json};

pub use events::event;
pub use requests::request;
pub use wire::{keys, page, pem, timeout, token, traceparent};

/// A definition, as somebody registers one: it is one, and then the same again in its canonical form, or it has mistakes that say something.
pub fn definition(data: &[u8]) {
    let Ok(yaml) = std::str::from_utf8(data) else { return };
    let schemas = |name: &str| (name == "transaction.schema.json").then(|| json!({"type": "object"}));
    match Definition::parse(yaml, &schemas) {
        Ok(definition) => {
            let again = Definition::parse(definition.canonical(), &|_| None);
            let again = again.map(|again| again.canonical().to_owned());
            assert_eq!(again.as_deref(), Ok(definition.canonical()));
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty(), "refused for nothing");
            assert!(mistakes.iter().all(|mistake| mistake.code != "UNEXPLAINED"), "{mistakes:?}");
            assert!(mistakes.iter().all(|mistake| !mistake.hint.is_empty() && !mistake.message.is_empty()));
        }
    }
}

/// An expression and, from the second line on, the JSON that it meets: it has a value or a failure, and without a loop the same each time.
pub fn expression(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (source, input) = text.split_once('\n').unwrap_or((text, "{}"));
    let Ok(input) = serde_json::from_str::<Value>(input) else { return };
    let definition = json!({
        "pathway": "p", "on": {"topic": "t", "key": source},
        "nodes": {
            "gate": {"use": "transform", "when": source, "with": {"value": 1}},
            "each": {"use": "transform", "for_each": source, "with": {"value": "${item}"}},
            "text": {"use": "transform", "with": {"value": format!("${{{source}}} and ${{{source}}}")}},
        },
    });
    let Ok(definition) = Definition::parse(&definition.to_string(), &|_| None) else { return };
    let Ok(pathway) = Pathway::new(definition, &Tools::default().with(std::sync::Arc::new(Transform))) else {
        return;
    };
    let met = || {
        let key = pathway.definition().key(&input).map_err(|fault| fault.to_string());
        (key, format!("{:?}", pathway.plan(&input).nodes))
    };
    let first = met();
    // A loop over an object visits its fields in no order of theirs, and may so come to another list.
    let has_loop = ["map", "filter", "all", "exists"].iter().any(|name| source.contains(name));
    assert!(has_loop || first == met(), "not the same each time");
}

/// A statement, CSV or OFX: it can be read or not, each line of it by itself, and the same each time.
pub fn statement(data: &[u8]) {
    let examined = || pathway_datasync::examine(data).map_err(|error| format!("{error:?}"));
    let first = examined();
    assert_eq!(first, examined());
    if let Ok(first) = first {
        assert!(first.lines + first.rejected <= data.len(), "more lines than bytes");
    }
}
