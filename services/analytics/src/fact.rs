//! What a line is to the totals.

use pathway_finance::{CivilDate, LineKind, Money};
use uuid::Uuid;

/// A line as it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) kind: LineKind,
    /// Negative for a refund.
    pub(crate) amount: Money,
    /// The category's key; that of lines without one is a bucket of its own.
    pub(crate) category: String,
    pub(crate) day: CivilDate,
    pub(crate) merchant: String,
    /// Empty where it is not known.
    pub(crate) account: String,
}

/// What a record is in the totals: its latest version, none where that is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) user_id: String,
    pub(crate) version: i64,
    pub(crate) line: Option<Line>,
}

/// A change of a record: what it is now. What it was is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) record_id: Uuid,
    pub(crate) fact: Fact,
    /// Whether it has just happened; history raises no alert (G24).
    pub(crate) is_live: bool,
}

// === impl Line ===

impl Line {
    /// Whether it is in the totals.
    pub(crate) const fn is_spending(&self) -> bool {
        self.kind.is_spending()
    }

    /// Whether it is a purchase: what amounts are compared with, and compared, when something stands out (G26).
    pub(crate) const fn is_purchase(&self) -> bool {
        self.is_spending() && self.amount.minor() > 0
    }
}

// === impl Fact ===

impl Fact {
    /// Its line, where that is in the totals.
    pub(crate) fn spending(&self) -> Option<&Line> {
        self.line.as_ref().filter(|line| line.is_spending())
    }

    /// Its line, where that is a purchase.
    pub(crate) fn purchase(&self) -> Option<&Line> {
        self.line.as_ref().filter(|line| line.is_purchase())
    }
}
