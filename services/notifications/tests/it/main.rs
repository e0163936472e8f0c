//! Notifications over its API, on an in-memory transport and a store of its own. One binary: it links once.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod api;
mod changes;
mod service;
mod stream;
