//! The one integration-test binary: real processes, driven by the command line as a user drives them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod alerts;
mod api;
mod architecture;
mod bad_input;
mod bench;
mod command_line;
mod crash;
mod faults;
mod fuzz;
mod goals;
mod history;
mod import;
mod notices;
mod outbox;
mod probes;
mod process;
mod signals;
mod simulation;
mod start;
mod telemetry;
mod tls;
mod walk;

/// A day of the current month that is not in the future, in UTC: today.
fn this_month() -> String {
    let now = pathway_kernel::Clock::system().now_us();
    pathway_finance::CivilDate::from_instant_us(now, &pathway_finance::TimeZone::utc()).unwrap().to_string()
}

/// A number that somebody has set, such as `PATHWAY_SEED`.
fn from_environment(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}
