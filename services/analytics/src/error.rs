//! What can go wrong, in analytics' words, and what a caller is told.

use pathway_finance::{DateError, Overflow};
use pathway_kernel::{Code, Fault, Violation};
use pathway_store::StoreError;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum AnalyticsError {
    /// The store failed.
    #[error("the store of the figures failed")]
    Store(#[from] StoreError),
    /// The store holds what no version of this program wrote.
    #[error("the store holds an impossible {0}")]
    Corrupt(&'static str),
    /// The service is ending.
    #[error("the service is ending")]
    Ending,
    /// The input is wrong.
    #[error("the input is not valid")]
    Invalid(Vec<Violation>),
    /// The user was told no such thing.
    #[error("the user has no insight of this key")]
    UnknownInsight,
    /// The user saves for no such thing.
    #[error("the user has no goal of this name")]
    UnknownGoal,
    /// A total would leave the range that can be kept.
    #[error("the user's total in this currency would leave its range")]
    TotalOutOfRange(#[from] Overflow),
    /// An amount would leave the range that can be kept in the currency that was asked for.
    #[error("the figures in this currency would leave their range")]
    ConversionOutOfRange,
    /// A rebuild is under way.
    #[error("a rebuild is under way")]
    RebuildRunning,
    /// There is no such rebuild.
    #[error("there is no such rebuild")]
    UnknownRebuild,
    /// The clock shows a day that no calendar has.
    #[error("the clock is out of range")]
    Clock(#[from] DateError),
}

// === impl AnalyticsError ===

impl AnalyticsError {
    /// One field that is wrong.
    pub(crate) fn invalid(field: &str, description: impl Into<String>) -> Self {
        Self::Invalid(vec![Violation::new(field, description)])
    }
}

impl From<Vec<Violation>> for AnalyticsError {
    fn from(violations: Vec<Violation>) -> Self {
        Self::Invalid(violations)
    }
}

impl From<AnalyticsError> for Fault {
    fn from(error: AnalyticsError) -> Self {
        match error {
            AnalyticsError::Store(error) => error.into(),
            AnalyticsError::Corrupt(_) | AnalyticsError::Clock(_) => Self::internal(error),
            AnalyticsError::Ending => Self::ending(),
            AnalyticsError::Invalid(violations) => Self::invalid(violations),
            AnalyticsError::UnknownInsight => {
                let message = "the user has no insight of this key; ListInsights names those that there are";
                Self::new(Code::NotFound, "UNKNOWN_INSIGHT", message)
            }
            AnalyticsError::UnknownGoal => {
                let message = "the user has no goal of this name; ListGoals names those that there are";
                Self::new(Code::NotFound, "UNKNOWN_GOAL", message)
            }
            AnalyticsError::RebuildRunning => {
                let message =
                    format!("{error}: GetRebuild says how far it is; begin another one when it has ended");
                Self::new(Code::FailedPrecondition, "REBUILD_RUNNING", message)
            }
            AnalyticsError::UnknownRebuild => Self::new(Code::NotFound, "UNKNOWN_REBUILD", error.to_string()),
            AnalyticsError::ConversionOutOfRange => {
                let message = format!("{error}: ask for a shorter range, or correct a rate (ListRates)");
                Self::new(Code::OutOfRange, "CONVERSION_OUT_OF_RANGE", message)
            }
            AnalyticsError::TotalOutOfRange(_) => {
                let message = format!("{error}; no total has moved: correct the amount and publish it again");
                Self::new(Code::OutOfRange, "TOTAL_OUT_OF_RANGE", message)
            }
        }
    }
}
