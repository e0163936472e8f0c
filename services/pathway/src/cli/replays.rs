//! The grammar of replays.

use clap::{Args, Subcommand};

use super::inspect::parse_instant;

/// `pathway replays`
#[derive(Debug, Args)]
pub struct Replays {
    /// What to do with them; they are listed unless it is said.
    #[command(subcommand)]
    pub action: Option<ReplayAction>,
}

/// What can be done with replays.
#[derive(Debug, Subcommand)]
pub enum ReplayAction {
    /// Run a pathway's events once more, at the positions that they have.
    Start(ReplayStart),
    /// End a replay before its end; what it has done stays.
    Cancel {
        /// The replay's id.
        id: String,
    },
}

/// `pathway replays start`
#[derive(Debug, Args)]
pub struct ReplayStart {
    /// The pathway.
    pub pathway: String,
    /// Only events that were accepted at this instant or later (RFC 3339); all that are still there unless given.
    #[arg(long, value_name = "INSTANT", value_parser = parse_instant)]
    pub from: Option<i64>,
    /// The version that runs them, or the beginning of one; the active one unless given.
    #[arg(long)]
    pub version: Option<String>,
    /// At most this many events a second.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    pub rate: Option<i32>,
}
