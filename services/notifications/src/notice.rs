//! What a notice may be.

use std::collections::BTreeMap;

use pathway_kernel::{Check, Violation, text_problem};
use uuid::Uuid;

/// Something that a user should be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) user_id: String,
    pub(crate) dedup_key: String,
    pub(crate) kind: String,
    pub(crate) title: String,
    pub(crate) message: String,
    pub(crate) metadata: BTreeMap<String, String>,
}

/// A notice as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) id: Uuid,
    pub(crate) sequence: i64,
    pub(crate) notice: Notice,
    pub(crate) is_read: bool,
    pub(crate) created_at_us: i64,
}

/// The longest id, key or type, in bytes.
const LONGEST_KEY: usize = 512;
/// The longest title or message, in bytes.
const LONGEST_TEXT: usize = 8 * 1024;
/// The most entries of metadata.
const MOST_METADATA: usize = 64;

// === impl Notice ===

impl Notice {
    /// Everything that is wrong with it.
    pub(crate) fn check(&self) -> Vec<Violation> {
        let mut check = Check::default();
        check.required("user_id", &self.user_id, LONGEST_KEY);
        check.required("dedup_key", &self.dedup_key, LONGEST_KEY);
        check.required("type", &self.kind, LONGEST_KEY);
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let is_strange = !self.kind.chars().all(is_name);
        check.note("type", is_strange.then_some("may have a-z, 0-9 and _ only, such as budget_warning"));
        check.text("title", &self.title, LONGEST_TEXT);
        check.text("message", &self.message, LONGEST_TEXT);
        check.at_most("metadata", self.metadata.len(), MOST_METADATA);
        for (key, value) in &self.metadata {
            check.note("metadata", text_problem(key, LONGEST_KEY).map(|problem| format!("a key {problem}")));
            check.text(&format!("metadata.{key}"), value, LONGEST_TEXT);
        }
        check.done().err().unwrap_or_default()
    }

    /// The same with its type's title where it has none of its own.
    pub(crate) fn titled(mut self) -> Self {
        if self.title.is_empty() {
            default_title(&self.kind).clone_into(&mut self.title);
        }
        self
    }
}

/// What a type is called where the sender does not say. A type that nobody has heard of is a notification all the same.
fn default_title(kind: &str) -> &'static str {
    match kind {
        "budget_warning" => "Budget warning",
        "budget_exceeded" => "Budget exceeded",
        "transaction_alert" => "Unusual transaction",
        "document_ready" => "Document ready",
        "system_alert" => "System alert",
        "reminder" => "Reminder",
        _ => "Notification",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(kind: &str) -> Notice {
        Notice {
            user_id: "u".into(),
            dedup_key: "k".into(),
            kind: kind.into(),
            title: String::new(),
            message: String::new(),
            metadata: BTreeMap::new(),
        }
    }

    #[test]
    fn every_violation_is_named() {
        let wrong = Notice { user_id: String::new(), dedup_key: String::new(), ..notice("Budget Warning") };
        let fields: Vec<String> = wrong.check().into_iter().map(|violation| violation.field).collect();
        assert_eq!(fields, ["user_id", "dedup_key", "type"]);
        let long = Notice { message: "x".repeat(LONGEST_TEXT + 1), ..notice("reminder") };
        assert_eq!(long.check()[0].field, "message");
    }

    #[test]
    fn a_type_has_a_title_and_an_unknown_one_too() {
        assert_eq!(notice("budget_exceeded").titled().title, "Budget exceeded");
        assert_eq!(notice("moon_phase").titled().title, "Notification");
        assert!(notice("moon_phase").check().is_empty());
        assert_eq!(Notice { title: "Mine".into(), ..notice("reminder") }.titled().title, "Mine");
    }
}
