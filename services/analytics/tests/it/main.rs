//! Analytics over its API, on an in-memory transport and a store of its own. One binary: it links once.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod api;
mod breakdown;
mod events;
mod feed;
mod follower;
mod goals;
mod insights;
mod rates;
mod rebuild;
mod recurring;
mod service;
mod summary;
mod watch;
