//! The grammar of looking into what ran: executions, dead letters, pathways.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `pathway executions`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Executions {
    /// What to do with them; they are listed unless it is said.
    #[command(subcommand)]
    pub action: Option<ExecutionAction>,
    /// Only this pathway's.
    #[arg(long)]
    pub pathway: Option<String>,
    /// Only those that failed.
    #[arg(long)]
    pub failed: bool,
    /// Only those of events with this key, such as a user id.
    #[arg(long)]
    pub key: Option<String>,
    /// Only those that failed with this code, such as `INVALID_ARGUMENT`.
    #[arg(long, value_name = "CODE")]
    pub error: Option<String>,
    /// Only those of this event.
    #[arg(long, value_name = "ID")]
    pub event: Option<String>,
    /// Only those of this topic's events.
    #[arg(long)]
    pub topic: Option<String>,
    /// Only those that began at this instant (RFC 3339) or later.
    #[arg(long, value_name = "INSTANT", value_parser = parse_instant)]
    pub since: Option<i64>,
    /// Only those that began before this instant (RFC 3339).
    #[arg(long, value_name = "INSTANT", value_parser = parse_instant)]
    pub until: Option<i64>,
    /// At most this many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
}

/// What can be done with executions.
#[derive(Debug, Subcommand)]
pub enum ExecutionAction {
    /// Show one: its nodes as a tree, when each began and how long it took, and what it failed of.
    Show {
        /// The execution's id.
        id: String,
    },
}

/// `pathway subscribe`
#[derive(Debug, Args)]
pub struct Subscribe {
    /// The topic.
    pub topic: String,
    /// Where to begin: `latest` (the next event), `earliest` (the first that is still there), or an instant (RFC 3339).
    #[arg(long, default_value = "latest", value_name = "PLACE", value_parser = parse_place)]
    pub from: Place,
    /// Only events with this key, such as a user id.
    #[arg(long)]
    pub key: Option<String>,
    /// End after so many events.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
}

/// Where a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// With the next event.
    Latest,
    /// With the first that is still there.
    Earliest,
    /// With the first that was accepted then or later, in microseconds since the Unix epoch.
    Since(i64),
}

fn parse_place(text: &str) -> Result<Place, String> {
    match text {
        "latest" => Ok(Place::Latest),
        "earliest" => Ok(Place::Earliest),
        instant => parse_instant(instant)
            .map(Place::Since)
            .map_err(|_| "give latest, earliest, or an instant such as 2026-11-24T08:00:00Z".to_owned()),
    }
}

/// Microseconds since the Unix epoch of an instant such as `2026-11-24T08:00:00Z`.
pub(super) fn parse_instant(text: &str) -> Result<i64, String> {
    let instant: Result<jiff::Timestamp, _> = text.parse();
    instant
        .map(jiff::Timestamp::as_microsecond)
        .map_err(|_| "give an instant such as 2026-11-24T08:00:00Z".to_owned())
}

/// `pathway dead-letters`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DeadLetters {
    /// What to do with them; they are listed unless it is said.
    #[command(subcommand)]
    pub action: Option<DeadLetterAction>,
    /// Only these.
    #[command(flatten)]
    pub filter: LetterFilter,
    /// At most this many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
}

/// Which dead letters.
#[derive(Debug, Clone, Args)]
pub struct LetterFilter {
    /// Only this pathway's.
    #[arg(long)]
    pub pathway: Option<String>,
    /// Only those that failed at this node.
    #[arg(long)]
    pub node: Option<String>,
    /// Only those that failed with this code, such as `INVALID_ARGUMENT`.
    #[arg(long, value_name = "CODE")]
    pub error: Option<String>,
    /// Only those that failed for this reason, such as `UNKNOWN_CURRENCY`.
    #[arg(long)]
    pub cause: Option<String>,
}

/// What can be done with dead letters.
#[derive(Debug, Subcommand)]
pub enum DeadLetterAction {
    /// Count them by cause, the most frequent first.
    Groups {
        /// Only this pathway's.
        #[arg(long)]
        pathway: Option<String>,
    },
    /// Show one: its event, everything that was wrong, and what its nodes had answered.
    Show {
        /// The dead letter's id.
        id: String,
    },
    /// Say what would happen to its event, as it was or corrected; nothing runs.
    DryRun {
        /// The dead letter's id.
        id: String,
        /// A corrected event in place of the one that failed.
        #[arg(long, value_name = "JSON")]
        data: Option<String>,
    },
    /// Publish their events again and wait until they have been processed; what they had done is not done again.
    Redrive(Redrive),
    /// Put them aside for good.
    Discard {
        /// The dead letters' ids.
        #[arg(required = true)]
        ids: Vec<String>,
        /// Why, for whoever looks later.
        #[arg(long)]
        reason: String,
    },
}

/// `pathway dead-letters redrive`
#[derive(Debug, Args)]
pub struct Redrive {
    /// The dead letters' ids.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub ids: Vec<String>,
    /// All that wait, or all of these.
    #[arg(long)]
    pub all: bool,
    /// With `--all`: only these.
    #[command(flatten)]
    pub filter: LetterFilter,
    /// A corrected event in place of the one that failed; for a single id.
    #[arg(long, value_name = "JSON", conflicts_with = "all")]
    pub data: Option<String>,
    /// At most this many a second.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: Option<u32>,
    /// Give up waiting after this many seconds.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub timeout: u64,
}

/// `pathway pathways`
#[derive(Debug, Args)]
pub struct Pathways {
    /// What to do with them; they are listed unless it is said.
    #[command(subcommand)]
    pub action: Option<PathwayAction>,
}

/// What can be done with pathways.
#[derive(Debug, Subcommand)]
pub enum PathwayAction {
    /// List all, each with its active version.
    List,
    /// Show one: its nodes, its versions, and when which was active.
    Show {
        /// The pathway's name.
        name: String,
        /// A version, or the beginning of one; the active one unless given.
        #[arg(long)]
        version: Option<String>,
        /// Print the definition and nothing else.
        #[arg(long)]
        definition: bool,
    },
    /// Check a definition; needs no server.
    Validate {
        /// The definition, YAML, with its schemas beside it.
        file: PathBuf,
    },
    /// Check a definition and keep it; a version that is kept never changes.
    Register {
        /// The definition, YAML, with its schemas beside it.
        file: PathBuf,
        /// Let it run the events that are published from now on.
        #[arg(long)]
        activate: bool,
    },
    /// Let a version run the events that are published from now on; to go back, activate the one before.
    Activate {
        /// The pathway's name.
        name: String,
        /// The version, or the beginning of one.
        version: String,
    },
    /// Say what would happen to an event; nothing runs.
    DryRun {
        /// The pathway's name.
        name: String,
        /// The event's data, a JSON object.
        #[arg(long, value_name = "JSON")]
        data: String,
        /// A version, or the beginning of one; the active one unless given.
        #[arg(long)]
        version: Option<String>,
    },
    /// Let a pathway take no more events.
    Deactivate {
        /// The pathway's name.
        name: String,
    },
}
