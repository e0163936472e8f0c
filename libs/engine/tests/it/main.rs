//! The engine from outside: what it refuses, and what a batch comes to.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod batches;
mod cancellation;
mod definitions;
mod documentation;
mod failures;
mod journal;
mod mutations;
mod properties;
mod rehearsal;
mod runs;
mod tools;
