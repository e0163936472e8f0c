//! Running one command: which code it is, and what becomes of its failure.

use std::process::ExitCode;

use pathway_kernel::Fault;

use crate::cli::{Cli, Command};
use crate::client::{Mesh, Operators, hint};
use crate::output::{OUTPUT_CLOSED, Output, note, print_fault};
use crate::{commands, up};

/// Runs one command and answers the process's exit code: 0 where everything was done, 1 where something was refused or failed.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            note(&format!("error: cannot start the asynchronous runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let servers = cli.global.servers();
    match runtime.block_on(dispatch(cli)) {
        Ok(code) => code,
        Err(fault) if fault.reason() == OUTPUT_CLOSED => ExitCode::SUCCESS,
        Err(fault) => {
            print_fault(&fault);
            if let Some(hint) = hint(&fault, &servers) {
                note(&format!("hint: {hint}"));
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
        Command::Rebuild(args) => commands::rebuild::run(&mesh()?, &out, &args).await,
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
