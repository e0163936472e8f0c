//! The processor over its API, with peers that do as they are told. One binary: it links once.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod failures;
mod inspection;
mod notices;
mod pathways;
mod peers;
mod publishing;
mod replays;
mod runs;
mod service;
mod stated;
mod tools;
mod topics;
mod web;
