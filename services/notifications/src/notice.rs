//! What a notice may be, and what can happen to it.

use std::collections::BTreeMap;

use pathway_kernel::{Check, Violation, text_problem};
use uuid::Uuid;

/// Something that a user should be told, or the end of what was told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Notice {
    pub(crate) user_id: String,
    pub(crate) dedup_key: String,
    pub(crate) kind: String,
    pub(crate) title: String,
    pub(crate) message: String,
    pub(crate) metadata: BTreeMap<String, String>,
    /// What it is about for good; empty where it stands for itself.
    pub(crate) about: String,
    /// It goes out whatever the user's preferences say.
    pub(crate) is_critical: bool,
    /// The one channel beside the feed that it should take; empty for those of the preferences.
    pub(crate) channel: String,
    pub(crate) action: Action,
}

/// What is to be done with a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Action {
    /// The user is told.
    #[default]
    Tell,
    /// The notices about the same leave this state.
    End(State),
}

/// Whether what a notice tells still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It does.
    Open,
    /// A later notice about the same took its place.
    Replaced,
    /// It is over.
    Resolved,
    /// It should not have been told.
    Withdrawn,
}

/// What happened last to a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Created,
    Read,
    Unread,
    Archived,
    Restored,
    Replaced,
    Resolved,
    Withdrawn,
}

/// What a user does with a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Read(bool),
    Archived(bool),
}

/// A notice as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) id: Uuid,
    pub(crate) sequence: i64,
    pub(crate) notice: Notice,
    pub(crate) state: State,
    pub(crate) is_read: bool,
    pub(crate) is_archived: bool,
    pub(crate) created_at_us: i64,
    /// The number of its last change, and what and when that was.
    pub(crate) change: i64,
    pub(crate) change_kind: ChangeKind,
    pub(crate) changed_at_us: i64,
}

/// The types that have texts of their own.
pub(crate) const KINDS: [&str; 10] = [
    "budget_warning",
    "budget_exceeded",
    "transaction_alert",
    "document_ready",
    "system_alert",
    "reminder",
    "goal_milestone",
    "recurring_missed",
    "price_changed",
    "sync_failed",
];
/// The longest id, key or type, in bytes.
const LONGEST_KEY: usize = 512;
/// The longest title or message, in bytes.
const LONGEST_TEXT: usize = 8 * 1024;
/// The most entries of metadata.
const MOST_METADATA: usize = 64;
/// The channels that a sender may choose.
const CHANNELS: [&str; 5] = ["", "in_app", "email", "push", "webhook"];

// === impl Notice ===

impl Notice {
    /// Everything that is wrong with it.
    pub(crate) fn check(&self) -> Vec<Violation> {
        let mut check = Check::default();
        check.required("user_id", &self.user_id, LONGEST_KEY);
        check.required("dedup_key", &self.dedup_key, LONGEST_KEY);
        match self.action {
            Action::Tell => check.required("type", &self.kind, LONGEST_KEY),
            Action::End(_) => {
                check.note("about", self.about.is_empty().then_some("is required: it says what is over"));
            }
        }
        check.note(
            "type",
            (!is_name(&self.kind)).then_some("may have a-z, 0-9 and _ only, such as budget_warning"),
        );
        check.text("title", &self.title, LONGEST_TEXT);
        check.text("message", &self.message, LONGEST_TEXT);
        check.text("about", &self.about, LONGEST_KEY);
        let is_strange = !CHANNELS.contains(&self.channel.as_str());
        check.note("channel", is_strange.then_some("must be in_app, email, push or webhook, or empty"));
        check.at_most("metadata", self.metadata.len(), MOST_METADATA);
        for (key, value) in &self.metadata {
            check.note("metadata", text_problem(key, LONGEST_KEY).map(|problem| format!("a key {problem}")));
            check.text(&format!("metadata.{key}"), value, LONGEST_TEXT);
        }
        check.done().err().unwrap_or_default()
    }
}

/// Whether a text is a lower-case name, as types are.
pub(crate) fn is_name(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// What a type is called where the sender does not say. A type that nobody has heard of is a notification all the same.
pub(crate) fn default_title(kind: &str) -> &'static str {
    match kind {
        "budget_warning" => "Budget warning",
        "budget_exceeded" => "Budget exceeded",
        "transaction_alert" => "Unusual transaction",
        "document_ready" => "Document ready",
        "system_alert" => "System alert",
        "reminder" => "Reminder",
        "goal_milestone" => "Goal milestone",
        "recurring_missed" => "Expected payment missing",
        "price_changed" => "Price changed",
        "sync_failed" => "Sync failed",
        _ => "Notification",
    }
}

// === impl State ===

impl State {
    /// Each with its name in the store.
    const NAMES: [(Self, &'static str); 4] = [
        (Self::Open, "open"),
        (Self::Replaced, "replaced"),
        (Self::Resolved, "resolved"),
        (Self::Withdrawn, "withdrawn"),
    ];

    pub(crate) fn name(self) -> &'static str {
        name_of(&Self::NAMES, self)
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        of_name(&Self::NAMES, name)
    }

    /// The change by which a notice comes into this state.
    const fn entered_by(self) -> ChangeKind {
        match self {
            Self::Open => ChangeKind::Created,
            Self::Replaced => ChangeKind::Replaced,
            Self::Resolved => ChangeKind::Resolved,
            Self::Withdrawn => ChangeKind::Withdrawn,
        }
    }
}

// === impl ChangeKind ===

impl ChangeKind {
    /// Each with its name in the store.
    const NAMES: [(Self, &'static str); 8] = [
        (Self::Created, "created"),
        (Self::Read, "read"),
        (Self::Unread, "unread"),
        (Self::Archived, "archived"),
        (Self::Restored, "restored"),
        (Self::Replaced, "replaced"),
        (Self::Resolved, "resolved"),
        (Self::Withdrawn, "withdrawn"),
    ];

    pub(crate) fn name(self) -> &'static str {
        name_of(&Self::NAMES, self)
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        of_name(&Self::NAMES, name)
    }
}

/// The name of a value; every value has one.
fn name_of<T: Copy + PartialEq>(names: &[(T, &'static str)], value: T) -> &'static str {
    names.iter().find(|(other, _)| *other == value).map_or("", |(_, name)| name)
}

fn of_name<T: Copy>(names: &[(T, &'static str)], name: &str) -> Option<T> {
    names.iter().find(|(_, other)| *other == name).map(|(value, _)| *value)
}

// === impl Stored ===

impl Stored {
    /// Marks it; answers whether that changed anything. What is put away or has ended is read, and stays so: there is nothing to come back to.
    pub(crate) fn mark(&mut self, mark: Mark) -> bool {
        let rests = self.is_archived || self.state != State::Open;
        let kind = match mark {
            Mark::Read(true) if !self.is_read => ChangeKind::Read,
            Mark::Read(false) if self.is_read && !rests => ChangeKind::Unread,
            Mark::Archived(true) if !self.is_archived => ChangeKind::Archived,
            Mark::Archived(false) if self.is_archived => ChangeKind::Restored,
            Mark::Read(_) | Mark::Archived(_) => return false,
        };
        self.is_archived = match mark {
            Mark::Archived(archived) => archived,
            Mark::Read(_) => self.is_archived,
        };
        self.is_read = mark != Mark::Read(false);
        self.change_kind = kind;
        true
    }

    /// Ends it. What has ended is read: nobody need look at what is over.
    pub(crate) fn end(&mut self, state: State) {
        self.state = state;
        self.is_read = true;
        self.change_kind = state.entered_by();
    }
}

#[cfg(test)]
#[path = "notice_tests.rs"]
mod tests;
