//! What can go wrong, in datasync's words, and what a caller is told.

use pathway_kernel::{Code, Fault, Violation};
use pathway_store::StoreError;

pub use crate::import::{MappingError, StatementError};
pub use crate::records::LinkError;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum DatasyncError {
    /// The store failed.
    #[error("the store of the records failed")]
    Store(#[from] StoreError),
    /// The store holds what no version of this program wrote.
    #[error("the store holds an impossible {0}")]
    Corrupt(&'static str),
    /// The service is ending, or a part of it did.
    #[error("the work was interrupted")]
    Interrupted,
    /// The input is wrong.
    #[error("the input is not valid")]
    Invalid(Vec<Violation>),
    /// There is no such record of this user.
    #[error("the user has no record with this id")]
    UnknownRecord,
    /// Lines cannot be tied to each other.
    #[error("the lines cannot be tied")]
    Link(#[from] LinkError),
    /// The cursor lies beyond the feed: it belongs to another store.
    #[error("the cursor {after} lies beyond the feed, which ends at {head}")]
    CursorBeyondFeed {
        /// The cursor.
        after: i64,
        /// The feed's last sequence.
        head: i64,
    },
    /// The statement as a whole cannot be read.
    #[error("the statement cannot be read")]
    Statement(#[from] StatementError),
    /// The mapping file cannot be used.
    #[error("the import mapping cannot be used")]
    Mapping(#[from] MappingError),
}

// === impl DatasyncError ===

impl DatasyncError {
    /// One field that is wrong.
    pub(crate) fn invalid(field: &str, description: impl Into<String>) -> Self {
        Self::Invalid(vec![Violation::new(field, description)])
    }
}

impl From<Vec<Violation>> for DatasyncError {
    fn from(violations: Vec<Violation>) -> Self {
        Self::Invalid(violations)
    }
}

impl From<DatasyncError> for Fault {
    fn from(error: DatasyncError) -> Self {
        match error {
            DatasyncError::Store(error) => error.into(),
            DatasyncError::Corrupt(_) => Self::internal(error),
            DatasyncError::Interrupted => {
                let message = "the service was interrupted; try again";
                Self::new(Code::Unavailable, "INTERRUPTED", message).with_retry_after(Self::AGAIN)
            }
            DatasyncError::Invalid(violations) => Self::invalid(violations),
            DatasyncError::UnknownRecord | DatasyncError::Link(LinkError::Unknown) => {
                Self::new(Code::NotFound, "RECORD_NOT_FOUND", "this user has no record with this id")
            }
            DatasyncError::Link(error) => {
                Self::new(Code::FailedPrecondition, reason_of(error), error.to_string())
            }
            DatasyncError::CursorBeyondFeed { .. } => {
                let hint = "start again from 0: the feed was made anew, or the cursor belongs to another one";
                Self::new(Code::OutOfRange, "CURSOR_BEYOND_FEED", format!("{error}; {hint}"))
            }
            DatasyncError::Statement(error) => {
                let violations = vec![Violation::new("content", error.to_string())];
                Self::new(Code::InvalidArgument, "UNREADABLE_STATEMENT", error.to_string())
                    .with_violations(violations)
            }
            DatasyncError::Mapping(error) => {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                let fault = Self::new(Code::FailedPrecondition, "UNUSABLE_MAPPING", error.to_string());
                match source {
                    Some(source) => fault.with_source(source),
                    None => fault,
                }
            }
        }
    }
}

const fn reason_of(error: LinkError) -> &'static str {
    match error {
        LinkError::Unknown => "RECORD_NOT_FOUND",
        LinkError::Deleted => "RECORD_DELETED",
        LinkError::IsPart => "RECORD_IS_PART",
        LinkError::IsSplit => "RECORD_IS_SPLIT",
        LinkError::IsPaired => "RECORD_IS_PAIRED",
        LinkError::NotPaired => "RECORD_NOT_PAIRED",
        LinkError::NotTheSum => "PARTS_NOT_THE_SUM",
        LinkError::NotOpposite => "RECORDS_NOT_OPPOSITE",
    }
}
