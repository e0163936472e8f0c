//! The form of a definition of which its version is the hash.

use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// SHA-256 of a canonical form, its first 16 bytes in hexadecimal.
pub(crate) fn version(canonical: &str) -> String {
    let mut hex = String::with_capacity(32);
    for byte in &Sha256::digest(canonical)[..16] {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// The canonical form of a definition's content.
pub(crate) fn canonical(value: &Value) -> String {
    let json = sorted(value).to_string();
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        // JSON may have them as they are and YAML may not; escaped, both read the same. Outside of texts they are in no JSON.
        if matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') {
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().map(|(key, item)| (key.clone(), sorted(item))).collect();
            fields.sort_by(|(one, _), (other, _)| one.cmp(other));
            Value::Object(fields.into_iter().collect())
        }
        other => other.clone(),
    }
}
