//! Datasync over its API, on an in-memory transport and a store of its own. One binary: it links once.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod feed;
mod import;
mod links;
mod rolling;
mod service;
mod writes;
