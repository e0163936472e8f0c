//! The grammar of what puts something in: events and statements.

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};

/// `pathway import`
#[derive(Debug, Args)]
pub struct Import {
    /// The statement.
    pub file: PathBuf,
    /// The owner.
    #[arg(long)]
    pub user: String,
    /// The account where the file names none.
    #[arg(long)]
    pub account: String,
    /// The currency where the file names none (ISO 4217).
    #[arg(long, default_value = "USD")]
    pub currency: String,
    /// The statement's form.
    #[arg(long, value_enum, default_value_t = Format::Auto)]
    pub format: Format,
}

/// The form of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Decided from the content.
    Auto,
    /// Comma-separated values.
    Csv,
    /// Open Financial Exchange.
    Ofx,
}

/// `pathway publish`
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("events").required(true).args(["data", "file"])))]
pub struct Publish {
    /// The topic.
    pub topic: String,
    /// One event: a JSON object.
    #[arg(long, value_name = "JSON")]
    pub data: Option<String>,
    /// A file with one event a line; `-` for standard input.
    #[arg(long, value_name = "F")]
    pub file: Option<PathBuf>,
    /// Return when every accepted event has been processed; exit with 1 where one of them failed for good, as a dead letter.
    #[arg(long)]
    pub wait: bool,
    /// With `--wait`: give up after this many seconds.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub timeout: u64,
}
