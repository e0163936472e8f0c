//! The grammar of push subscriptions.

use clap::{Args, Subcommand};

/// `pathway push`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Push {
    /// What to do with them; they are listed unless it is said.
    #[command(subcommand)]
    pub action: Option<PushAction>,
    /// The user.
    #[arg(long, required = true)]
    pub user: Option<String>,
}

/// What can be done with push subscriptions.
#[derive(Debug, Subcommand)]
pub enum PushAction {
    /// Keep one, as a browser's `PushSubscription.toJSON()` has it; browsers do this by the API.
    Add {
        /// The user.
        #[arg(long)]
        user: String,
        /// The push service's URL.
        endpoint: String,
        /// The browser's public key (URL-safe base64).
        #[arg(long)]
        p256dh: String,
        /// The browser's secret (URL-safe base64).
        #[arg(long)]
        auth: String,
        /// What the user calls the device.
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Remove one; what waits for it is dropped.
    Remove {
        /// The subscription's id.
        id: String,
        /// The user.
        #[arg(long)]
        user: String,
    },
    /// Print the server's public key, a browser's `applicationServerKey`.
    Key,
}
