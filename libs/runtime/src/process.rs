//! The life of a service's process.

use std::error::Error;
use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args as _, Command, FromArgMatches as _};
use pathway_kernel::{Code, Fault};
use pathway_rpc::Listener;
use tokio_util::sync::CancellationToken;

use crate::config::{environment, load_table};
use crate::{Arguments, Claim, Component, Env, SecuritySettings, init_telemetry, redacted};

/// How long a service may take to end, its own drain included.
const END_WITHIN: Duration = Duration::from_secs(10);

/// Runs a service as a process: the whole of a service's `main`. A start-up error is one clear line and exit code 1.
#[must_use]
pub fn main<S: Component>() -> ExitCode {
    let command = Arguments::augment_args(Command::new(S::NAME).version(env!("CARGO_PKG_VERSION")));
    let arguments = match Arguments::from_arg_matches(&command.get_matches()) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(S::NAME, &error),
    };
    let ended = runtime.block_on(run::<S>(&arguments));
    // Blocking work that hangs must not keep the process from ending.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(S::NAME, error.as_ref()),
    }
}

/// Refuses an address that other machines can reach where nothing asks who calls, unless that is wanted.
///
/// # Errors
/// Where `address` is not a loopback one, callers are not asked for a token, and `insecure` is not set.
pub fn check_exposure(address: SocketAddr, asks: bool, insecure: bool) -> Result<(), Fault> {
    if address.ip().is_loopback() || asks || insecure {
        return Ok(());
    }
    let message = format!(
        "{address} can be reached by other machines and nothing would check who calls: give security.secret or security.jwks, listen on 127.0.0.1, or say --insecure"
    );
    Err(Fault::new(Code::FailedPrecondition, "EXPOSED_WITHOUT_AUTH", message))
}

/// Binds what a process serves on: its own address, and, unless it is empty, the one of health alone. This comes before anything is opened, so that a port that is
/// taken is found at once.
///
/// # Errors
/// Where an address is none, is taken or is not ours.
pub async fn listen(address: SocketAddr, health: &str) -> Result<Listener, Fault> {
    let taken = |address, error| {
        Fault::new(Code::FailedPrecondition, "CANNOT_LISTEN", format!("cannot listen on {address}: {error}"))
    };
    let listener = Listener::bind(address).await.map_err(|error| taken(address, error))?;
    if health.is_empty() {
        return Ok(listener);
    }
    let address: SocketAddr = health.parse().map_err(|_| {
        let message = format!(
            "`security.tls.health_listen` is {health:?}; give an address and a port such as 0.0.0.0:8001"
        );
        Fault::new(Code::InvalidArgument, "INVALID_CONFIGURATION", message)
    })?;
    listener.with_health(address).await.map_err(|error| taken(address, error))
}

/// Ends with the first SIGINT or SIGTERM. A second one ends the process at once.
///
/// # Errors
/// Where the signals cannot be listened to.
pub fn shutdown_signal() -> std::io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            std::process::exit(130);
        });
    })
}

async fn run<S: Component>(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let table = load_table(S::NAME, S::DEFAULTS, arguments, &environment())?;
    if arguments.print_config {
        return shown(writeln!(std::io::stdout(), "{}", redacted(table)));
    }
    let given = table.get("listen").and_then(toml::Value::as_str).unwrap_or_default();
    let address: SocketAddr = given
        .parse()
        .map_err(|_| format!("`listen` is {given:?}; give an address and a port such as 127.0.0.1:7001"))?;
    check_exposure(address, SecuritySettings::asks_in(&table), arguments.insecure)?;
    let config = crate::load(S::NAME, S::DEFAULTS, arguments)?;
    let telemetry = init_telemetry(S::NAME, &table)?;

    let listener = listen(address, &SecuritySettings::health_listen_in(&table)).await?;
    let bound = listener.local_addr().unwrap_or(address);
    let health = listener.health_addr().map(tracing::field::display);
    let _claim = Claim::for_config(S::NAME, &table)?;
    let mut signal = pin!(shutdown_signal()?);
    let env = Env { telemetry: telemetry.of(S::NAME)?, ..Env::system() };
    let service = tokio::select! {
        built = S::build(config, S::Deps::from(env)) => built?,
        // Nothing is served yet, so there is nothing to drain. A store that does not answer must not keep the process.
        () = &mut signal => return Ok(()),
    };
    tracing::info!(service = S::NAME, address = %bound, health, "ready");

    let shutdown = CancellationToken::new();
    let running = service.run(listener, shutdown.clone());
    tokio::pin!(running);
    tokio::select! {
        ended = &mut running => return ended.map_err(Into::into),
        () = &mut signal => {}
    }
    tracing::info!(service = S::NAME, "draining");
    shutdown.cancel();
    match tokio::time::timeout(END_WITHIN, running).await {
        Ok(ended) => ended.map_err(Into::into),
        Err(_) => {
            tracing::warn!(service = S::NAME, "did not drain in time, ending now");
            Ok(())
        }
    }
}

/// One line with the whole chain of causes.
fn fail(name: &str, error: &(dyn Error + 'static)) -> ExitCode {
    let mut line = format!("{name}: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(&format!(": {error}"));
        cause = error.source();
    }
    // Where nobody reads it any more, there is nobody to tell so.
    let _ = writeln!(std::io::stderr(), "{line}");
    ExitCode::FAILURE
}

/// What was to be printed. A reader such as `head` that has seen enough is no failure.
fn shown(written: std::io::Result<()>) -> Result<(), Box<dyn Error>> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exposed_address_must_be_wanted() {
        let open: SocketAddr = "0.0.0.0:7001".parse().unwrap();
        assert!(check_exposure(open, false, false).is_err());
        assert!(check_exposure(open, false, true).is_ok());
        assert!(check_exposure(open, true, false).is_ok(), "callers are asked for a token");
        assert!(check_exposure("127.0.0.1:7001".parse().unwrap(), false, false).is_ok());
        assert!(check_exposure("[::1]:7001".parse().unwrap(), false, false).is_ok());
    }
}
