//! The one integration-test binary: real processes, driven by the command line as a user drives them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod alerts;
mod architecture;
mod bad_input;
mod bench;
mod command_line;
mod crash;
mod import;

/// A day of the current month that is not in the future, in UTC: today.
fn this_month() -> String {
    let now = pathway_kernel::Clock::system().now_us();
    pathway_finance::CivilDate::from_instant_us(now, &pathway_finance::TimeZone::utc()).unwrap().to_string()
}
