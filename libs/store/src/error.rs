//! What can go wrong in a store, in one vocabulary for both.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use pathway_kernel::{Code, Fault};

type Source = Box<dyn Error + Send + Sync>;

/// When to come back where the store is away: sooner would only add to what it has to do once it is back.
const AWAY: Duration = Duration::from_secs(1);
/// When to come back where the disk is full: somebody has to make room.
const FULL: Duration = Duration::from_secs(5);
/// When to come back after a lost race: the winners are through by then.
const RACE: Duration = Duration::from_millis(100);

/// What can go wrong in a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached or is shutting down; later may work.
    #[error("the store cannot be reached")]
    Unavailable(#[source] Source),
    /// There is no space left; later may work.
    #[error("the store's disk is full")]
    Full(#[source] Source),
    /// Another transaction won the race, again and again.
    #[error("the transaction kept losing a race with others")]
    Conflict(#[source] Source),
    /// A statement broke a constraint of the schema.
    #[error("a constraint of the schema was broken")]
    Constraint(#[source] Source),
    /// A call came under the id of another one.
    #[error("this request_id was used for another request")]
    RequestIdReused,
    /// A row does not have what the code expects: a defect.
    #[error("column {index} is not {expected}")]
    Column {
        /// Counts from 0.
        index: usize,
        /// The type that the code asked for.
        expected: &'static str,
    },
    /// The schema in the store does not fit this program.
    #[error("{0}")]
    Migration(String),
    /// The store's file is not usable.
    #[error("cannot open the store at {path}")]
    Open {
        /// Where.
        path: String,
        /// Why.
        #[source]
        source: Source,
    },
    /// Anything else: a defect.
    #[error("the store failed")]
    Internal(#[source] Source),
}

// === impl StoreError ===

impl StoreError {
    pub(crate) fn closed() -> Self {
        Self::Unavailable("the store is closed".into())
    }

    /// A defect, with an explanation for the log.
    pub(crate) fn internal(source: impl Into<Source>) -> Self {
        Self::Internal(source.into())
    }

    /// What each of several transactions is told that failed together.
    pub(crate) fn shared(error: &Arc<Self>) -> Self {
        let source = Box::new(Arc::clone(error));
        match **error {
            Self::Unavailable(_) => Self::Unavailable(source),
            Self::Full(_) => Self::Full(source),
            Self::Conflict(_) => Self::Conflict(source),
            Self::Constraint(_) => Self::Constraint(source),
            _ => Self::Internal(source),
        }
    }

    /// Whether the same transaction may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Full(_) | Self::Conflict(_))
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as E;
        match error.sqlite_error_code() {
            Some(E::DiskFull) => Self::Full(error.into()),
            Some(
                E::DatabaseBusy
                | E::DatabaseLocked
                | E::SystemIoFailure
                | E::OutOfMemory
                | E::CannotOpen
                | E::ReadOnly,
            ) => Self::Unavailable(error.into()),
            Some(E::ConstraintViolation) => Self::Constraint(error.into()),
            _ => Self::Internal(error.into()),
        }
    }
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(state) = error.code() else {
            // Without a code the server did not speak: the connection failed, or a value did not fit its parameter, which no
            // later attempt will cure.
            let connection = error.is_closed() || error.source().is_some_and(<dyn Error>::is::<io::Error>);
            return if connection { Self::Unavailable(error.into()) } else { Self::Internal(error.into()) };
        };
        // The first two characters are the class (PostgreSQL documentation, appendix A).
        match (state.code().get(..2), state.code()) {
            (_, "53100") => Self::Full(error.into()),
            (Some("40"), _) => Self::Conflict(error.into()),
            (Some("23"), _) => Self::Constraint(error.into()),
            (Some("08" | "53" | "57" | "58"), _) => Self::Unavailable(error.into()),
            _ => Self::Internal(error.into()),
        }
    }
}

impl From<deadpool_postgres::PoolError> for StoreError {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        match error {
            // A wrong password is none the better for waiting.
            deadpool_postgres::PoolError::Backend(error) => error.into(),
            other => Self::Unavailable(other.into()),
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Unavailable(_) => {
                let message = "the service's store cannot take this now; try again later";
                Self::new(Code::Unavailable, "STORE_UNAVAILABLE", message)
                    .with_retry_after(AWAY)
                    .with_source(error)
            }
            StoreError::Full(_) => {
                let message = "the disk of the service's store is full: nothing of this call was kept; try again once there is space";
                Self::new(Code::ResourceExhausted, "STORE_FULL", message)
                    .with_retry_after(FULL)
                    .with_source(error)
            }
            StoreError::Conflict(_) => {
                Self::new(Code::Aborted, "STORE_CONFLICT", "lost a race with other writers; try again")
                    .with_retry_after(RACE)
                    .with_source(error)
            }
            StoreError::RequestIdReused => {
                let message = "this request_id was used for another request within a day: take a new UUID for each request";
                Self::new(Code::AlreadyExists, "REQUEST_ID_REUSED", message)
            }
            StoreError::Constraint(_)
            | StoreError::Column { .. }
            | StoreError::Migration(_)
            | StoreError::Open { .. }
            | StoreError::Internal(_) => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_transient_for_the_caller_too() {
        let cause = || Source::from("secret");
        let all = [
            StoreError::Unavailable(cause()),
            StoreError::Full(cause()),
            StoreError::Conflict(cause()),
            StoreError::Constraint(cause()),
            StoreError::Internal(cause()),
            StoreError::Column { index: 0, expected: "TEXT" },
        ];
        for error in all {
            let transient = error.is_transient();
            let shared = StoreError::shared(&Arc::new(error));
            assert_eq!(shared.is_transient(), transient, "{shared:?}");
            let fault = Fault::from(shared);
            assert_eq!(fault.is_transient(), transient, "{fault:?}");
            assert!(!fault.to_string().contains("secret"));
        }
    }
}
