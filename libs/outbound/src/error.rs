//! What can go wrong, told apart by what the other side may have seen.

use std::time::Duration;

use pathway_kernel::{Code, Fault, Violation};

/// What can go wrong with a call to the outside.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// The URL is none that may be called.
    #[error("the URL {0}")]
    InvalidUrl(&'static str),
    /// A network of the configuration is none.
    #[error("`{0}` is no network: give an address and its bits, such as 10.0.0.0/8")]
    InvalidNetwork(String),
    /// The host is inside, and not among the networks that may be called.
    #[error(
        "the host has no address that may be called: it is private or reserved; an operator can admit its network in the configuration"
    )]
    Forbidden,
    /// The last calls of the host failed, and it has a rest for so long: it has seen nothing of this one.
    #[error("the host is not asked, because its last calls failed")]
    NotAsked(Duration),
    /// No connection was made: the other side has seen nothing.
    #[error("the host cannot be reached")]
    NotSent(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The time was over before the answer was there.
    #[error("the host did not answer in time")]
    TimedOut,
    /// The connection broke after the request may have arrived.
    #[error("the connection broke before the answer was there")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The answer is longer than what is read.
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
    /// TLS cannot be used here, mostly because the machine has no root certificates.
    #[error("TLS cannot be set up: install the machine's root certificates (`ca-certificates`)")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<OutboundError> for Fault {
    /// `DEADLINE_EXCEEDED`, `CANCELLED` and `INTERNAL` say that the other side may have done its work; all others that it has seen nothing.
    fn from(error: OutboundError) -> Self {
        let message = error.to_string();
        match error {
            OutboundError::InvalidUrl(what) => Self::invalid(vec![Violation::new("url", what)]),
            OutboundError::InvalidNetwork(_) => Self::new(Code::InvalidArgument, "INVALID_NETWORK", message),
            OutboundError::Forbidden => Self::new(Code::PermissionDenied, "ADDRESS_FORBIDDEN", message),
            OutboundError::NotAsked(after) => {
                Self::new(Code::Unavailable, "BREAKER_OPEN", message).with_retry_after(after)
            }
            OutboundError::NotSent(source) => {
                Self::new(Code::Unavailable, "NOT_REACHED", message).with_source(source)
            }
            OutboundError::TimedOut => Self::new(Code::DeadlineExceeded, "NO_ANSWER", message),
            OutboundError::Broken(source) => {
                Self::new(Code::Cancelled, "CONNECTION_BROKEN", message).with_source(source)
            }
            OutboundError::TooLarge(_) => Self::new(Code::Internal, "ANSWER_TOO_LARGE", message),
            OutboundError::Tls(source) => Self::new(Code::Unavailable, "NO_TLS", message).with_source(source),
        }
    }
}
