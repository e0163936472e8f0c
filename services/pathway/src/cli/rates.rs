//! The grammar of rates of exchange.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `pathway rates`
#[derive(Debug, Args)]
pub struct Rates {
    /// What to do with them.
    #[command(subcommand)]
    pub action: RateAction,
}

/// What can be done with rates.
#[derive(Debug, Subcommand)]
pub enum RateAction {
    /// List the rates that are stored, newest day first.
    List(RatesList),
    /// Store rates of a day; one that is stored already is corrected.
    Set(RatesSet),
    /// Store the rates of a file; importing it again changes nothing.
    Import(RatesImport),
}

/// `pathway rates list`
#[derive(Debug, Args)]
pub struct RatesList {
    /// Only of this currency.
    #[arg(long)]
    pub base: Option<String>,
    /// Only in this currency.
    #[arg(long)]
    pub quote: Option<String>,
    /// Only of days of this period: `2018-03`, `2018`, `2018-Q1`, `2018-W10`, or `2018-03-01..2018-04-01`.
    #[arg(long)]
    pub period: Option<String>,
    /// At most this many.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
}

/// `pathway rates set`
#[derive(Debug, Args)]
pub struct RatesSet {
    /// What one of a currency is worth in another, such as `EUR/USD=1.0845`; may be repeated.
    #[arg(value_name = "BASE/QUOTE=RATE", required = true)]
    pub rates: Vec<String>,
    /// The day whose lines are converted by them, such as `2026-11-20`.
    #[arg(long)]
    pub date: String,
    /// Who says so.
    #[arg(long, default_value = "manual")]
    pub source: String,
}

/// `pathway rates import`
#[derive(Debug, Args)]
pub struct RatesImport {
    /// CSV with a header: the columns `date`, `base`, `quote` and `rate`, or `Date` and a column for each currency, as the European Central Bank
    /// publishes it; `-` for standard input.
    pub file: PathBuf,
    /// The currency that a file with a column for each currency prices.
    #[arg(long, default_value = "EUR")]
    pub base: String,
    /// Who says so.
    #[arg(long)]
    pub source: String,
    /// Give a day without rates that lies at most this many days after one with them the same, as those who publish no rates on a weekend mean it. Without it a
    /// day has the rates that the file gives it.
    #[arg(long, default_value_t = 0, value_name = "DAYS", value_parser = clap::value_parser!(u8).range(0..=7))]
    pub carry_days: u8,
}
