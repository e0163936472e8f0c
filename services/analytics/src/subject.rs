//! What an insight rests on, and what a user makes of it.
//!
//! Feedback is about more than the one insight: who says that a purchase was to be expected does not want to hear of its like again. What is alike
//! is decided here, from a *likeness*, a text that insights of one kind, category, currency and payee share, and an amount. Both are kept with
//! the insight, so that the question "does the user expect this?" is one look-up, made only when something was found.

use pathway_finance::{CivilDate, payee_key};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::fact::Line;

/// What an insight rests on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Subject {
    /// Nothing that is kept with it.
    #[default]
    Other,
    /// A budget's period.
    Budget(Budgeted),
    /// One purchase.
    Purchase(Purchase),
    /// What comes again and again.
    Series(Series),
    /// A milestone of a savings goal.
    Goal(Milestone),
}

/// A budget's period, as an insight saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Budgeted {
    pub(crate) category: String,
    pub(crate) revision: i64,
    pub(crate) threshold: i64,
    /// In days since the epoch, the end excluded.
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) currency: String,
    /// The categories of a group; none where it is of one category. Nor was there such a thing at first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) members: Vec<String>,
}

/// A purchase that stands out, and those that it was compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Purchase {
    pub(crate) record_id: Uuid,
    /// In days since the epoch.
    pub(crate) day: i64,
    pub(crate) category: String,
    pub(crate) currency: String,
    /// The payee's key; empty where none is known.
    pub(crate) payee: String,
    pub(crate) minor: i64,
    /// Whether it is above its baseline.
    pub(crate) is_high: bool,
    /// The days and amounts that it was compared with, newest first. Their records are looked up when somebody asks: what is kept for comparing has
    /// no ids.
    #[serde(default)]
    pub(crate) baseline: Vec<(i64, i64)>,
}

/// A milestone of a savings goal, as an insight saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Milestone {
    pub(crate) goal: String,
    /// In percent of the target.
    pub(crate) milestone: i64,
}

/// A series, as an insight saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Series {
    pub(crate) about: About,
    pub(crate) payee: String,
    pub(crate) currency: String,
    /// A line kind's code.
    pub(crate) kind: i64,
    /// The expected day, or that of the line that changed the price; in days since the epoch.
    pub(crate) day: i64,
    /// The latest amount.
    pub(crate) minor: i64,
    /// Newest first.
    pub(crate) lines: Vec<Uuid>,
}

/// What of a series is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum About {
    /// The next line has not come.
    Missed,
    /// The latest line changed the price.
    Price,
}

/// What has become of an insight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// Nothing was said.
    Open,
    /// Its like is not reported again.
    Expected,
    /// The user has done with it.
    Dismissed,
}

// === impl Subject ===

impl Subject {
    /// The day that it is about, in days since the epoch, where it is about one.
    pub(crate) fn day(&self) -> Option<i64> {
        match self {
            Self::Other | Self::Goal(_) => None,
            Self::Budget(budget) => Some(budget.start),
            Self::Purchase(purchase) => Some(purchase.day),
            Self::Series(series) => Some(series.day),
        }
    }

    /// The lines that it rests on: that which it is about first.
    pub(crate) fn lines(&self) -> Vec<Uuid> {
        match self {
            Self::Other | Self::Budget(_) | Self::Goal(_) => Vec::new(),
            Self::Purchase(purchase) => vec![purchase.record_id],
            Self::Series(series) => series.lines.clone(),
        }
    }

    /// What insights that are alike share, with the amount at which this one is. None where there is no like of it.
    pub(crate) fn likeness(&self) -> Option<(String, i64)> {
        match self {
            Self::Other | Self::Budget(_) | Self::Goal(_) => None,
            Self::Purchase(purchase) => {
                let Purchase { currency, category, payee, minor, is_high, .. } = purchase;
                let side = if *is_high { "high" } else { "low" };
                Some((format!("purchase:{side}:{currency}:{category}:{payee}"), *minor))
            }
            Self::Series(Series { about, payee, currency, kind, minor, .. }) => {
                let about = match about {
                    About::Missed => "missed",
                    About::Price => "price",
                };
                Some((format!("{about}:{currency}:{kind}:{payee}"), *minor))
            }
        }
    }

    /// Whether a user who expects its like at `expected` expects this one too: up to a tenth beyond it, and always where a payment has not come.
    pub(crate) fn is_expected_at(&self, expected: i64) -> bool {
        match self {
            Self::Other | Self::Budget(_) | Self::Goal(_) => false,
            Self::Purchase(Purchase { minor, is_high: true, .. }) => {
                i128::from(*minor) * 10 <= i128::from(expected) * 11
            }
            Self::Purchase(Purchase { minor, .. }) => i128::from(*minor) * 10 >= i128::from(expected) * 9,
            Self::Series(Series { about: About::Missed, .. }) => true,
            Self::Series(Series { minor, .. }) => {
                let (price, expected) = (i128::from(*minor), i128::from(expected));
                (price - expected).abs() * 10 <= expected.abs()
            }
        }
    }
}

// === impl Purchase ===

impl Purchase {
    pub(crate) fn of(record_id: Uuid, line: &Line, is_high: bool, baseline: &[(CivilDate, i64)]) -> Self {
        Self {
            record_id,
            day: line.day.epoch_days(),
            category: line.category.clone(),
            currency: line.amount.currency().code().to_owned(),
            payee: payee_key(&line.merchant),
            minor: line.amount.minor(),
            is_high,
            baseline: baseline.iter().map(|(day, minor)| (day.epoch_days(), *minor)).collect(),
        }
    }
}

// === impl State ===

impl State {
    const CODES: [(i64, Self); 3] = [(1, Self::Open), (2, Self::Expected), (3, Self::Dismissed)];

    /// How it is stored.
    pub(crate) const fn code(self) -> i64 {
        match self {
            Self::Open => 1,
            Self::Expected => 2,
            Self::Dismissed => 3,
        }
    }

    /// What was stored.
    pub(crate) fn from_code(code: i64) -> Option<Self> {
        Self::CODES.into_iter().find(|(stored, _)| *stored == code).map(|(_, state)| state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purchase(minor: i64, is_high: bool) -> Subject {
        Subject::Purchase(Purchase {
            record_id: Uuid::nil(),
            day: 0,
            category: "dining".to_owned(),
            currency: "USD".to_owned(),
            payee: "cafe".to_owned(),
            minor,
            is_high,
            baseline: Vec::new(),
        })
    }

    #[test]
    fn g26_what_is_expected_is_expected_up_to_a_tenth_more() {
        assert!(purchase(5000, true).is_expected_at(5000));
        assert!(purchase(5500, true).is_expected_at(5000));
        assert!(!purchase(5501, true).is_expected_at(5000));
        assert!(purchase(900, false).is_expected_at(1000));
        assert!(!purchase(899, false).is_expected_at(1000));
        assert!(purchase(i64::MAX, true).is_expected_at(i64::MAX));
    }

    #[test]
    fn g26_only_the_same_side_category_currency_and_payee_are_alike() {
        let like = |subject: Subject| subject.likeness().unwrap().0;
        assert_eq!(like(purchase(1, true)), "purchase:high:USD:dining:cafe");
        assert_ne!(like(purchase(1, true)), like(purchase(1, false)));
    }

    #[test]
    fn states_are_stored_and_read() {
        for state in [State::Open, State::Expected, State::Dismissed] {
            assert_eq!(State::from_code(state.code()), Some(state));
        }
        assert_eq!(State::from_code(0), None);
    }
}
