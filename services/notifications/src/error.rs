//! What can go wrong, in this service's words.

use pathway_kernel::{Code, Fault, Violation};
use pathway_store::StoreError;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum NotificationsError {
    /// The request or a notice is wrong.
    #[error("the input is not valid")]
    Invalid(Vec<Violation>),
    /// The user has no such notice.
    #[error("there is no such notice")]
    UnknownNotice,
    /// The user has no such webhook or push subscription.
    #[error("there is no such endpoint")]
    UnknownEndpoint,
    /// The user has no such message.
    #[error("there is no such delivery")]
    UnknownDelivery,
    /// The texts that are built in cannot be read: a defect.
    #[error("the texts cannot be read: {0}")]
    Texts(String),
    /// The operating system gave no randomness for a key.
    #[error("no key can be made")]
    NoKey,
    /// The feed has no such change yet.
    #[error("the feed has no such change")]
    UnknownChange {
        /// The number of its last one.
        last: i64,
    },
    /// A token is none that was sent to the user's address.
    #[error("the token is none of the user's address")]
    StrangeToken,
    /// A message asks whether an address is the user's, and is not sent again by itself.
    #[error("a question is not sent again by itself")]
    Question,
    /// What changed since then is not kept any more.
    #[error("the feed's beginning is gone")]
    Gone,
    /// The service is ending.
    #[error("the service is ending")]
    Ending,
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// What is stored cannot be read: a defect.
    #[error("a stored notice cannot be read")]
    Corrupt(#[from] serde_json::Error),
}

// === impl NotificationsError ===

impl From<NotificationsError> for Fault {
    fn from(error: NotificationsError) -> Self {
        match error {
            NotificationsError::Invalid(violations) => Self::invalid(violations),
            NotificationsError::UnknownNotice => {
                Self::new(Code::NotFound, "UNKNOWN_NOTICE", "the user has no notice with this id")
            }
            NotificationsError::UnknownEndpoint => {
                let message = "the user has no webhook or push subscription with this id";
                Self::new(Code::NotFound, "UNKNOWN_ENDPOINT", message)
            }
            NotificationsError::UnknownDelivery => {
                Self::new(Code::NotFound, "UNKNOWN_DELIVERY", "the user has no message with this id")
            }
            error @ (NotificationsError::Texts(_) | NotificationsError::NoKey) => Self::internal(error),
            NotificationsError::UnknownChange { last } => {
                let message = format!(
                    "the feed's last change is {last}: list the notices anew and go on after the change that is given there"
                );
                Self::new(Code::OutOfRange, "UNKNOWN_CHANGE", message)
            }
            NotificationsError::StrangeToken => {
                let what = "is none that was sent to the address which the user has now";
                Self::invalid(vec![Violation::new("token", what)])
            }
            NotificationsError::Question => {
                let message = "the message asks whether an address is the user's: give the address once more to have it asked again";
                Self::new(Code::FailedPrecondition, "QUESTION", message)
            }
            NotificationsError::Gone => {
                let message = "what came next is kept no longer: list the notices anew and go on after the change that is given there";
                Self::new(Code::OutOfRange, "CHANGE_GONE", message)
            }
            NotificationsError::Ending => Self::ending(),
            NotificationsError::Store(error) => error.into(),
            NotificationsError::Corrupt(error) => Self::internal(error),
        }
    }
}
