//! The grammar of breakers.

use clap::{Args, Subcommand};

/// `pathway breakers`
#[derive(Debug, Args)]
pub struct Breakers {
    /// What to do with them; they are listed unless it is said.
    #[command(subcommand)]
    pub action: Option<BreakerVerb>,
}

/// What can be done with breakers.
#[derive(Debug, Subcommand)]
pub enum BreakerVerb {
    /// List every breaker of every service, as it stands.
    List,
    /// Follow them: each change as it happens; with `--json` one document a line.
    Watch,
    /// Admit no call, until it is reset.
    Trip {
        /// The target, as it is listed: such as `processor/datasync`.
        target: String,
    },
    /// Forget what was counted, and be closed.
    Reset {
        /// The target, as it is listed.
        target: String,
    },
    /// Admit every call, whatever comes of it, until it is enabled.
    Disable {
        /// The target, as it is listed.
        target: String,
    },
    /// End being disabled, and count anew.
    Enable {
        /// The target, as it is listed.
        target: String,
    },
}
