//! Why a caller is not let in.

use pathway_kernel::{Code, Fault};

/// Why a caller is not let in. What exactly is wrong with a token is told to nobody who may have made it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There is no token.
    #[error("this needs a token: send it as `authorization: Bearer TOKEN`")]
    Missing,
    /// The token is none, or not one of ours.
    #[error("the token is not accepted: get a new one from who issues them")]
    Refused,
    /// It was one of ours.
    #[error("the token has expired: get a new one and go on")]
    Expired,
    /// The keys that would tell cannot be had.
    #[error("the keys that tokens are checked with cannot be had right now")]
    KeysUnavailable,
    /// The caller is known, and its role may not do this.
    #[error("this is not for the token's role: docs/security.md has the table of roles and methods")]
    RoleNotAllowed,
    /// The caller is known, and speaks for somebody else.
    #[error("this token is another user's: `user_id` must be its `sub`, or empty")]
    NotYours,
}

// === impl AuthError ===

impl AuthError {
    /// Its stable reason.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Missing => "TOKEN_MISSING",
            Self::Refused => "TOKEN_REFUSED",
            Self::Expired => "TOKEN_EXPIRED",
            Self::KeysUnavailable => "KEYS_UNAVAILABLE",
            Self::RoleNotAllowed => "ROLE_NOT_ALLOWED",
            Self::NotYours => "NOT_YOUR_DATA",
        }
    }

    const fn code(self) -> Code {
        match self {
            Self::Missing | Self::Refused | Self::Expired => Code::Unauthenticated,
            Self::KeysUnavailable => Code::Unavailable,
            Self::RoleNotAllowed | Self::NotYours => Code::PermissionDenied,
        }
    }
}

impl From<AuthError> for Fault {
    fn from(error: AuthError) -> Self {
        Self::new(error.code(), error.reason(), error.to_string())
    }
}
