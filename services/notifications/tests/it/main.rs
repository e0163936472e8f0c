//! Notifications over its API, on an in-memory transport and a store of its own. One binary: it links once.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod api;
mod changes;
mod email;
mod interop;
mod policy;
mod push;
mod python;
mod receiver;
mod service;
mod stream;
mod webhooks;
