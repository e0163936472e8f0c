//! Who calls, and what they may.
//!
//! A call's way in: [`Guard`] reads the bearer token, [`Authenticator`] says whose it is, the table in `roles` whether that role may call this method
//! at all, and the handler, which alone knows what a request is about, asks [`own`] whether the caller may speak for that user.
//!
//! # Why the table, and why in one place
//! A rule beside each handler is a rule that a new handler can lack. Here a method that the table does not name is refused, whoever calls it, and a test
//! compares the table with the descriptors. So forgetting is an error that the first call shows, and never a hole.
//!
//! # Why a handler compares users, and not this layer
//! A layer would have to take the message apart a second time, and would know of `user_id` by its name only. The handler has the message; what it must not
//! forget is what `tests/it/walk` checks: that test calls every method of every service in one user's name about another's data.
//!
//! # Why no library for the tokens
//! See ADR 9: ring, which TLS brings, has every signature that is needed; what is left of a JWT is three pieces of base64 and a few comparisons.

mod authenticator;
mod credentials;
mod error;
mod expiry;
mod identity;
mod jwks;
mod jwt;
mod keys;
mod layer;
mod roles;

pub use authenticator::{AuthConfig, Authenticator};
pub use credentials::Credentials;
pub use error::AuthError;
pub use expiry::{Position, expiring};
pub use identity::{Identity, Role, own};
pub use jwks::{Jwks, JwksTimes};
pub use jwt::{MOST_TOKEN_BYTES, Secret, examine};
pub use keys::examine_keys;
pub use layer::Guard;
pub use roles::{Access, access};

pub(crate) use credentials::Signed;
pub(crate) use layer::GuardLayer;
