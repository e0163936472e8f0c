//! The grammar of rebuilds.

use clap::{ArgGroup, Args};

/// `pathway rebuild`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["user", "everybody", "status"]))]
pub struct Rebuild {
    /// This user's figures.
    #[arg(long)]
    pub user: Option<String>,
    /// Everybody's figures.
    #[arg(long)]
    pub everybody: bool,
    /// Begin nothing: say how far the latest one is.
    #[arg(long)]
    pub status: bool,
    /// Return at once, and let it go on by itself.
    #[arg(long, conflicts_with = "status")]
    pub detach: bool,
}
