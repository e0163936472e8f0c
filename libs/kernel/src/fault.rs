//! What a failure looks like to a caller.
//!
//! Each service has an error enum in its own words; at its edge each variant becomes a [`Fault`], and one table in `pathway-rpc` turns
//! faults into gRPC statuses and back. So a store, an engine and a command line can speak of failures without knowing a protocol, and no
//! service can invent a code of its own.
//!
//! The message is for the caller and says what to do next. The cause is for the log: [`Fault`] never prints it, and keeps it as
//! [`std::error::Error::source`].

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// The kind of a failure: a subset of the gRPC codes, on purpose. Think before adding one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The input is wrong and stays wrong.
    InvalidArgument,
    /// What was named does not exist.
    NotFound,
    /// What should be new exists.
    AlreadyExists,
    /// The system is not in the state that this needs.
    FailedPrecondition,
    /// A value would leave the range that can be represented.
    OutOfRange,
    /// The caller is not known.
    Unauthenticated,
    /// The caller may not.
    PermissionDenied,
    /// A quota or a queue is full; later may work.
    ResourceExhausted,
    /// Lost a race; the whole operation may be tried again.
    Aborted,
    /// A peer or the store cannot be reached; later may work.
    Unavailable,
    /// Time ran out.
    DeadlineExceeded,
    /// The caller went away.
    Cancelled,
    /// This build does not do that.
    Unimplemented,
    /// A defect of ours.
    Internal,
}

/// One thing that is wrong with an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The path of the field, such as `events[3].amount`.
    pub field: String,
    /// What is wrong and what would be right.
    pub description: String,
}

/// A failure as a caller sees it.
#[derive(Debug)]
pub struct Fault {
    code: Code,
    reason: Cow<'static, str>,
    message: Cow<'static, str>,
    violations: Vec<Violation>,
    retry_after: Option<Duration>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

// === impl Code ===

impl Code {
    /// All codes.
    pub const ALL: [Self; 14] = [
        Self::InvalidArgument,
        Self::NotFound,
        Self::AlreadyExists,
        Self::FailedPrecondition,
        Self::OutOfRange,
        Self::Unauthenticated,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::Aborted,
        Self::Unavailable,
        Self::DeadlineExceeded,
        Self::Cancelled,
        Self::Unimplemented,
        Self::Internal,
    ];

    /// Its name, as in `google.rpc.Code`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::Aborted => "ABORTED",
            Self::Unavailable => "UNAVAILABLE",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::Cancelled => "CANCELLED",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
        }
    }

    /// Whether the same request may succeed later without a change by anyone.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        matches!(
            self,
            Self::ResourceExhausted
                | Self::Aborted
                | Self::Unavailable
                | Self::DeadlineExceeded
                | Self::Cancelled
        )
    }
}

// === impl Violation ===

impl Violation {
    /// A violation of `field`.
    #[must_use]
    pub fn new(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self { field: field.into(), description: description.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.description)
    }
}

// === impl Fault ===

impl Fault {
    /// When to call again what was interrupted by the end of a process.
    pub const AGAIN: Duration = Duration::from_secs(1);

    /// A fault with a code, a stable `UPPER_SNAKE_CASE` reason that programs may match on, and a message that says what to do.
    #[must_use]
    pub fn new(
        code: Code,
        reason: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (reason, message) = (reason.into(), message.into());
        Self { code, reason, message, violations: Vec::new(), retry_after: None, source: None }
    }

    /// An input with these violations; the message names them all.
    #[must_use]
    pub fn invalid(violations: Vec<Violation>) -> Self {
        let list: Vec<String> = violations.iter().map(ToString::to_string).collect();
        let mut fault = Self::new(Code::InvalidArgument, "INVALID_INPUT", list.join("; "));
        fault.violations = violations;
        fault
    }

    /// A defect or a broken part of ours; the caller learns nothing but that.
    #[must_use]
    pub fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Code::Internal, "INTERNAL", "an internal error; the service's log has its cause")
            .with_source(source)
    }

    /// The service is ending; another instance, or this one when it is there again, takes the call.
    #[must_use]
    pub fn ending() -> Self {
        Self::new(Code::Unavailable, "ENDING", "the service is ending; call again")
            .with_retry_after(Self::AGAIN)
    }

    /// The same with violations, as a status from the wire carries them.
    #[must_use]
    pub fn with_violations(mut self, violations: Vec<Violation>) -> Self {
        self.violations = violations;
        self
    }

    /// The same with a hint when to try again.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The same with a cause for the log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Its code.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// Its stable reason.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// What the caller is told.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Every violation of the input.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// When to try again, if known.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        self.code.is_transient()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_input_names_every_violation() {
        let fault = Fault::invalid(vec![Violation::new("a", "is missing"), Violation::new("b", "is odd")]);
        assert_eq!(fault.to_string(), "a: is missing; b: is odd");
        assert_eq!(fault.violations().len(), 2);
        assert!(!fault.is_transient());
    }

    #[test]
    fn the_cause_is_kept_and_not_printed() {
        let fault = Fault::internal("disk on fire");
        assert!(!fault.to_string().contains("fire"));
        assert_eq!(fault.source().unwrap().to_string(), "disk on fire");
    }
}
