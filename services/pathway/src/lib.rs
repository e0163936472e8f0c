//! All four services in one process, and the command line.
//!
//! - [`up`] composes the service libraries: each runs behind an in-memory listener, and one port serves all of their APIs. It is a
//!   composition, not a fork: the separate binaries run the same code.
//! - [`cli`] is the grammar of the command line, and `commands` has one file for each verb. A command is a thin client: what an event or a
//!   statement may look like is decided by the services, so that every caller gets the same answers.
//! - `bench` starts four processes of its own and measures them.
//! - [`output`] prints for people, or one JSON document with `--json`.

mod bench;
pub mod cli;
mod client;
mod commands;
pub mod output;
mod run;
pub mod up;

pub use cli::Cli;
pub use run::run;
