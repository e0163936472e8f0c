//! What names a line that has no id of its own (G13).

use std::collections::HashMap;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// Counts equal lines of one file, so that each gets a name of its own and the same one in the next file.
#[derive(Debug, Default)]
pub struct Fingerprints {
    seen: HashMap<String, u32>,
}

/// SHA-256 of the raw fields, in hexadecimal. Each field is preceded by its length, so that `("ab", "c")` and `("a", "bc")` differ. Only what a
/// user cannot edit may go in.
#[must_use]
pub fn fingerprint(fields: &[&str]) -> String {
    let mut hash = Sha256::new();
    for field in fields {
        hash.update(field.len().to_be_bytes());
        hash.update(field);
    }
    let mut hex = String::with_capacity(64);
    for byte in hash.finalize() {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

// === impl Fingerprints ===

impl Fingerprints {
    /// The name of the next line with these fields: their fingerprint and how often it has been seen.
    pub fn next(&mut self, fields: &[&str]) -> String {
        let print = fingerprint(fields);
        let count = self.seen.entry(print.clone()).or_default();
        *count += 1;
        format!("{print}#{count}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g13_two_equal_purchases_on_one_day_have_two_names() {
        let mut file = Fingerprints::default();
        let (first, second) = (file.next(&["2018-03-05", "Coffee"]), file.next(&["2018-03-05", "Coffee"]));
        assert_ne!(first, second);
        let mut again = Fingerprints::default();
        assert_eq!(again.next(&["2018-03-05", "Coffee"]), first);
        assert_eq!(again.next(&["2018-03-05", "Coffee"]), second);
    }

    #[test]
    fn g13_fields_do_not_run_together() {
        assert_ne!(fingerprint(&["ab", "c"]), fingerprint(&["a", "bc"]));
    }
}
