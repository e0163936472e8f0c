//! The grammar of the command line.

mod bench;
mod breakers;
mod budget;
mod deliveries;
mod figures;
mod goals;
mod inspect;
mod notifications;
mod push;
mod rates;
mod replays;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use pathway_kernel::{Code, Fault};
use secrecy::SecretString;

use crate::client::{Mesh, Operators};
use crate::output::{OUTPUT_CLOSED, Output, print_fault};
use crate::{commands, up};
pub use bench::{Bench, BenchHistory, BenchQueries, BenchTransactions};
pub use breakers::{BreakerVerb, Breakers};
pub use budget::{Budget, BudgetClosed, BudgetPeriod, BudgetSet, Rollover};
pub use deliveries::{
    Deliveries, DeliveryAction, Mode, OneWebhook, PreferenceAction, PreferenceSet, Preferences, Preview,
    Rule, State, WebhookAction, Webhooks,
};
pub use figures::{
    Bucket, Explain, Feedback, InsightAction, InsightState, Insights, Recurring, Summary, Trends,
};
pub use goals::{GoalAction, GoalAdd, GoalSet, Goals, OneGoal, Source};
pub use inspect::{
    DeadLetterAction, DeadLetters, ExecutionAction, Executions, LetterFilter, PathwayAction, Pathways, Place,
    Redrive, Subscribe,
};
pub use notifications::{Chosen, NoticeSend, NotificationAction, Notifications};
pub use push::{Push, PushAction};
pub use rates::{RateAction, Rates, RatesImport, RatesList, RatesSet};
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

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The all-in-one server, or the processor of a mesh.
    #[arg(
        long,
        global = true,
        env = "PATHWAY_SERVER",
        default_value = "http://127.0.0.1:7000",
        value_name = "URL"
    )]
    pub server: String,
    /// The datasync service, where it is not on the server.
    #[arg(long, global = true, env = "PATHWAY_DATASYNC_SERVER", value_name = "URL")]
    pub datasync_server: Option<String>,
    /// The analytics service, where it is not on the server.
    #[arg(long, global = true, env = "PATHWAY_ANALYTICS_SERVER", value_name = "URL")]
    pub analytics_server: Option<String>,
    /// The notifications service, where it is not on the server.
    #[arg(long, global = true, env = "PATHWAY_NOTIFICATIONS_SERVER", value_name = "URL")]
    pub notifications_server: Option<String>,
    /// The file with the token to show, read again while a command runs.
    #[arg(long, global = true, env = "PATHWAY_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The token to show. From the environment only: a command line can be read by everybody on the machine.
    #[arg(skip = token_of_environment())]
    pub token: Option<SecretString>,
    /// The authorities (PEM) whose servers are believed at `https://` URLs; the machine's unless given.
    #[arg(long, global = true, env = "PATHWAY_AUTHORITIES", value_name = "FILE")]
    pub authorities: Option<PathBuf>,
    /// The certificate (PEM) to show to servers that ask for one.
    #[arg(
        long,
        global = true,
        env = "PATHWAY_CERTIFICATE",
        value_name = "FILE",
        requires = "certificate_key"
    )]
    pub certificate: Option<PathBuf>,
    /// The certificate's key (PEM).
    #[arg(
        long,
        global = true,
        env = "PATHWAY_CERTIFICATE_KEY",
        value_name = "FILE",
        requires = "certificate"
    )]
    pub certificate_key: Option<PathBuf>,
    /// Print one JSON document to standard output and nothing else there.
    #[arg(long, global = true)]
    pub json: bool,
}

// === impl Global ===

impl Global {
    /// Where calls go, for people.
    fn servers(&self) -> String {
        let others = [&self.datasync_server, &self.analytics_server, &self.notifications_server];
        let all: Vec<&str> = std::iter::once(self.server.as_str())
            .chain(others.into_iter().flatten().map(String::as_str))
            .collect();
        all.join(", ")
    }
}

fn token_of_environment() -> Option<SecretString> {
    std::env::var("PATHWAY_TOKEN").ok().filter(|token| !token.is_empty()).map(SecretString::from)
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
pub struct Publish {
    /// The topic.
    pub topic: String,
    /// One event: a JSON object.
    #[arg(long, value_name = "JSON", conflicts_with = "file", required_unless_present = "file")]
    pub data: Option<String>,
    /// A file with one event a line; `-` for standard input.
    #[arg(long, value_name = "F")]
    pub file: Option<PathBuf>,
    /// Return when every accepted event has been processed.
    #[arg(long)]
    pub wait: bool,
    /// With `--wait`: give up after this many seconds.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub timeout: u64,
}

/// `pathway spending`
#[derive(Debug, Args)]
pub struct Spending {
    /// The user.
    #[arg(long)]
    pub user: String,
    /// `2018-03`, `2018`, `2018-Q1`, `2018-W10`, or `2018-03-01..2018-04-01`; the current month (UTC) unless given.
    #[arg(long)]
    pub period: Option<String>,
    /// The currency, where the user has lines in several.
    #[arg(long)]
    pub currency: Option<String>,
    /// By account or merchant in place of categories, with income.
    #[arg(long, value_enum)]
    pub by: Option<By>,
    /// Lines in all currencies, converted to this one by the stored rates of their days.
    #[arg(long = "in", value_name = "CURRENCY", conflicts_with_all = ["currency", "by"])]
    pub reporting: Option<String>,
}

/// What spending is shown by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// The account that a line is of.
    Account,
    /// Who was paid.
    Merchant,
}

/// `pathway watch`
#[derive(Debug, Args)]
pub struct Watch {
    /// Only this pathway's.
    #[arg(long)]
    pub pathway: Option<String>,
}

// === impl Global ===

impl Global {
    /// All services on one server.
    pub(crate) fn of(server: String) -> Self {
        Self {
            server,
            datasync_server: None,
            analytics_server: None,
            notifications_server: None,
            token_file: None,
            token: None,
            authorities: None,
            certificate: None,
            certificate_key: None,
            json: false,
        }
    }
}

// === impl Demo ===

impl Default for Demo {
    fn default() -> Self {
        Self { user: SAMPLE_USER.to_owned() }
    }
}

/// Runs one command and answers the process's exit code: 0 where everything was done, 1 where something was refused or failed.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the asynchronous runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let server = cli.global.servers();
    match runtime.block_on(dispatch(cli)) {
        Ok(code) => code,
        Err(fault) if fault.reason() == OUTPUT_CLOSED => ExitCode::SUCCESS,
        Err(fault) => {
            print_fault(&fault);
            if fault.code() == Code::Unavailable {
                eprintln!(
                    "hint: is it running at {server}? `pathway up` starts it, `--server URL` names another one"
                );
            }
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(cli: Cli) -> Result<ExitCode, Fault> {
    let out = Output::new(cli.global.json);
    let mesh = || Mesh::connect(&cli.global);
    match cli.command {
        Command::Up(args) => up::run(args).await,
        Command::Demo(args) => commands::demo::run(&mesh()?, &out, &args).await,
        Command::Import(args) => commands::import::run(&mesh()?, &out, &args).await,
        Command::Publish(args) => commands::publish::run(&mesh()?, &out, &args).await,
        Command::Subscribe(args) => commands::topics::subscribe(&mesh()?, &out, &args).await,
        Command::Topics => commands::topics::list(&mesh()?, &out).await,
        Command::Spending(args) => commands::spending::run(&mesh()?, &out, &args).await,
        Command::Budget { action } => commands::budget::run(&mesh()?, &out, &action).await,
        Command::Summary(args) => commands::summary::run(&mesh()?, &out, &args).await,
        Command::Trends(args) => commands::trends::run(&mesh()?, &out, &args).await,
        Command::Explain(args) => commands::explain::run(&mesh()?, &out, &args).await,
        Command::Insights(args) => commands::insights::run(&mesh()?, &out, &args).await,
        Command::Recurring(args) => commands::recurring::run(&mesh()?, &out, &args).await,
        Command::Goals(args) => commands::goals::run(&mesh()?, &out, args).await,
        Command::Rates(args) => commands::rates::run(&mesh()?, &out, args).await,
        Command::Notifications(args) => commands::notifications::run(&mesh()?, &out, args).await,
        Command::Preferences(args) => commands::preferences::run(&mesh()?, &out, args).await,
        Command::Webhooks(args) => commands::webhooks::run(&mesh()?, &out, args).await,
        Command::Push(args) => commands::push::run(&mesh()?, &out, args).await,
        Command::Deliveries(args) => commands::deliveries::run(&mesh()?, &out, args).await,
        Command::Executions(args) => commands::executions::run(&mesh()?, &out, &args).await,
        Command::DeadLetters(args) => commands::dead_letters::run(&mesh()?, &out, &args).await,
        Command::Pathways(args) => commands::pathways::run(mesh, &out, &args).await,
        Command::Replays(args) => commands::replays::run(&mesh()?, &out, &args).await,
        Command::Breakers(args) => {
            commands::breakers::run(&Operators::connect(&cli.global)?, &out, &args).await
        }
        Command::Watch(args) => commands::watch::run(&mesh()?, &out, &args).await,
        Command::Bench { what } => crate::bench::run(&out, &what).await,
    }
}
