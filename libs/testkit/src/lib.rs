//! What the integration tests share.
//!
//! - [`Services`] runs the real binaries, all in one process or four apart, on free ports and a directory of their own, and can kill and
//!   restart each.
//! - [`Services::pathway`] runs the command line against them.
//! - [`Running`] runs one service in the test's own process, on an in-memory transport.
//! - [`Network`] stands between such services, and loses, repeats, delays and cuts what they send.
//! - [`Raw`] sends and takes messages as bytes, whatever is in them.
//! - [`eventually`] waits for a condition, never for a duration.
//! - [`test_data`] finds the real inputs, or says aloud that they are absent.
//!
//! Everything here may panic: a test's set-up that fails should fail the test with its reason.
#![expect(clippy::expect_used, clippy::panic, reason = "set-up that fails fails the test")]

mod cli;
mod condition;
mod network;
mod ports;
mod raw;
mod running;
mod services;

pub use cli::Run;
pub use condition::{eventually, test_data};
pub use network::{Carried, Network, Weather};
pub use raw::Raw;
pub use running::Running;
pub use services::{Layout, Services};
