//! The grammar of the command line.

mod bench;
mod breakers;
mod budget;
mod deliveries;
mod figures;
mod global;
mod goals;
mod inspect;
mod notifications;
mod publishing;
mod push;
mod rates;
mod rebuild;
mod replays;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use bench::{Bench, BenchHistory, BenchQueries, BenchTransactions};
pub use breakers::{BreakerVerb, Breakers};
pub use budget::{Budget, BudgetClosed, BudgetPeriod, BudgetSet, Rollover};
pub use deliveries::{
    Deliveries, DeliveryAction, EmailToken, Mode, OneWebhook, PreferenceAction, PreferenceSet, Preferences,
    Preview, Rule, State, WebhookAction, Webhooks,
};
pub use figures::{
    Bucket, By, Explain, Feedback, InsightAction, InsightState, Insights, Recurring, Spending, Summary,
    Trends,
};
pub use global::Global;
pub use goals::{GoalAction, GoalAdd, GoalSet, Goals, OneGoal, Source};
pub use inspect::{
    DeadLetterAction, DeadLetters, ExecutionAction, Executions, LetterFilter, PathwayAction, Pathways, Place,
    Redrive, Subscribe,
};
pub use notifications::{Chosen, NoticeSend, NotificationAction, Notifications};
pub use publishing::{Format, Import, Publish};
pub use push::{Push, PushAction};
pub use rates::{RateAction, Rates, RatesImport, RatesList, RatesSet};
pub use rebuild::Rebuild;
pub use replays::{ReplayAction, ReplayStart, Replays};

/// Pathway: a real-time event backbone for personal-finance applications.
#[derive(Debug, Parser)]
#[command(name = "pathway", version, about, max_term_width = 110)]
pub struct Cli {
    /// Where the services are and how to print.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run all four services in one process.
    Up(Up),
    /// Replay the bundled sample against running services and print what follows from it.
    Demo(Demo),
    /// Import a bank statement; importing it again adds nothing.
    Import(Import),
    /// Publish events to a topic, one JSON object a line.
    Publish(Publish),
    /// Follow a topic's events.
    Subscribe(Subscribe),
    /// List the topics: what they hold, and how far behind their pathways are.
    Topics,
    /// Show a user's spending in a period, by category.
    Spending(Spending),
    /// Show a period beside the one before it and the budgets.
    Summary(Summary),
    /// Show spending over a range, in days, weeks or months.
    Trends(Trends),
    /// Show the lines behind a number or an insight, and the rule.
    Explain(Explain),
    /// List what a user was told, newest first; say what you make of it.
    Insights(Insights),
    /// List what comes again and again: subscriptions, bills, pay.
    Recurring(Recurring),
    /// List the rates of exchange; set or import them.
    Rates(Rates),
    /// Make figures anew from the records, beside those that are answered, and without an alert.
    Rebuild(Rebuild),
    /// Set or show a user's budget.
    Budget {
        /// What to do with it.
        #[command(subcommand)]
        action: Budget,
    },
    /// List what a user saves for, with what is saved; set, add, remove.
    Goals(Goals),
    /// List a user's notifications, oldest first; follow, mark, archive, send.
    Notifications(Notifications),
    /// Show what a user wants to be told, where and when; change it, preview a text.
    Preferences(Preferences),
    /// List a user's webhooks; make, change, recover one.
    Webhooks(Webhooks),
    /// List the browsers and phones that get a user's push messages; remove one.
    Push(Push),
    /// List what went out for a user, with every attempt; send one again.
    Deliveries(Deliveries),
    /// List executions, newest first.
    Executions(Executions),
    /// List events that failed for good, newest first; redrive or discard them.
    DeadLetters(DeadLetters),
    /// List the registered pathways; check, register, activate one.
    Pathways(Pathways),
    /// List replays, newest first; run a pathway's events once more, or end that.
    Replays(Replays),
    /// List the circuit breakers of all services; follow, trip, reset, disable, enable them.
    Breakers(Breakers),
    /// Follow executions as they end.
    Watch(Watch),
    /// Measure: starts four processes of its own in a temporary directory and removes them again.
    Bench {
        /// What to measure.
        #[command(subcommand)]
        what: Bench,
    },
}

/// `pathway up`
#[derive(Debug, Args)]
pub struct Up {
    /// Where the services keep their files.
    #[arg(long, default_value = "data", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// The address that serves all four APIs.
    #[arg(long, default_value = "127.0.0.1:7000", value_name = "ADDR")]
    pub listen: SocketAddr,
    /// Replay the bundled sample once the services are ready.
    #[arg(long)]
    pub demo: bool,
    /// Begin with an empty data directory: what an earlier run of Pathway left there is deleted.
    #[arg(long)]
    pub fresh: bool,
    /// A configuration file (TOML) of the port: who may call.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Allow an address that other machines can reach, although nothing checks who calls.
    #[arg(long)]
    pub insecure: bool,
}

/// Whose the sample is unless somebody else is named.
const SAMPLE_USER: &str = "asha";

/// `pathway demo`
#[derive(Debug, Args)]
pub struct Demo {
    /// The user that the sample belongs to.
    #[arg(long, default_value = SAMPLE_USER)]
    pub user: String,
}

/// `pathway watch`
#[derive(Debug, Args)]
pub struct Watch {
    /// Only this pathway's.
    #[arg(long)]
    pub pathway: Option<String>,
}

// === impl Demo ===

impl Default for Demo {
    fn default() -> Self {
        Self { user: SAMPLE_USER.to_owned() }
    }
}
