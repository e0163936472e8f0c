//! What the layers must know of the protocol above them, and cannot without its library.

use std::time::Duration;

use http::HeaderMap;

/// What doing a method twice means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Safety {
    /// Nobody has said that it may be done twice.
    Unknown,
    /// Done twice it has the effect of once.
    Idempotent,
    /// It has no effect.
    Read,
}

/// What is known of methods and of failures; `E` is the error of the service below.
pub trait Contract<E> {
    /// What doing the method of this path twice means.
    fn safety(&self, path: &str) -> Safety;

    /// Whether the peer has certainly not begun with a call that ended in this error.
    fn is_unserved(&self, error: &E) -> bool;

    /// When the details of a status, in these headers, say to come again.
    fn retry_info(&self, headers: &HeaderMap) -> Option<Duration>;
}
