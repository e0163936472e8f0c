//! `pathway bench` and what it takes.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `pathway bench`
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Throughput, latency and cost of the main job, beside the same job done directly on SQLite.
    Transactions(BenchTransactions),
    /// Cost of an event, start and memory as the stored history grows.
    History(BenchHistory),
    /// What a question about a user's month costs over much that is stored.
    Queries(BenchQueries),
}

/// `pathway bench transactions`
#[derive(Debug, Args)]
pub struct BenchTransactions {
    /// How many events are published at saturation.
    #[arg(long, default_value_t = 100_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub events: u64,
    /// Of how many users they are.
    #[arg(long, default_value_t = 200, value_name = "U", value_parser = clap::value_parser!(u32).range(1..))]
    pub users: u32,
    /// Events a second while the loaded latency is measured.
    #[arg(long, default_value_t = 2_000, value_name = "R", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: u32,
    /// How many notices each latency is measured on.
    #[arg(long, default_value_t = 400, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub samples: u32,
    /// Where the temporary directory is made; it says which disk is measured. The system's own place unless given.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// `pathway bench history`
#[derive(Debug, Args)]
pub struct BenchHistory {
    /// How many events are stored in the end; the cost is measured at each power of ten from 10,000 on.
    #[arg(long, default_value_t = 1_000_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000..))]
    pub history: u64,
    /// Of how many users they are.
    #[arg(long, default_value_t = 200, value_name = "U", value_parser = clap::value_parser!(u32).range(1..))]
    pub users: u32,
    /// Where the temporary directory is made, as for `transactions`.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// `pathway bench queries`
#[derive(Debug, Args)]
pub struct BenchQueries {
    /// How many lines are stored, over a year; a user has as many as the others.
    #[arg(long, default_value_t = 1_000_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000..))]
    pub facts: u64,
    /// Of how many users they are.
    #[arg(long, default_value_t = 1_000, value_name = "U", value_parser = clap::value_parser!(u32).range(1..))]
    pub users: u32,
    /// How often each question is asked.
    #[arg(long, default_value_t = 2_000, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub samples: u32,
    /// Where the temporary directory is made, as for `transactions`.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}
