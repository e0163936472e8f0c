//! What a breaker costs a call, and what the whole stack of client and server costs beside bare tonic, with telemetry off and on.
//!
//! Client and server share one process and its cores, over loopback. Bare tonic, the stack, and the stack with tokens take turns of a second each, so that what else the machine does meets all of
//! them; of each turn's share of the bare turn beside it, the median counts. What telemetry is set up with holds for a process, so each such case is a process of its own, and the
//! collector that it sends to is this one.
//!
//! Prints one JSON document. `-- --rounds N` has more or fewer turns.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a measurement that fails has no result")]

mod calls;
mod sink;

use std::process::Command;

use pathway_resilience::{Breaker, BreakerConfig};
use pathway_telemetry::{TelemetryConfig, TelemetrySettings};
use serde_json::{Value, json};
use tokio::time::Instant;

/// How a process's telemetry is set up.
#[derive(Debug, Clone, Copy)]
struct Case {
    name: &'static str,
    what: &'static str,
    variables: &'static [(&'static str, &'static str)],
    sends: bool,
}

const CASES: [Case; 4] = [
    Case {
        name: "off",
        what: "OTEL_SDK_DISABLED",
        variables: &[("OTEL_SDK_DISABLED", "true")],
        sends: false,
    },
    Case {
        name: "metrics",
        what: "as a service is unless configured: metrics on /metrics",
        variables: &[],
        sends: false,
    },
    Case {
        name: "ratio_0",
        what: "a collector, no trace kept",
        variables: &[("OTEL_TRACES_SAMPLER", "parentbased_always_off")],
        sends: true,
    },
    Case {
        name: "ratio_1",
        what: "a collector, every trace kept",
        variables: &[("OTEL_TRACES_SAMPLER", "parentbased_always_on")],
        sends: true,
    },
];
/// Says which case a process is.
const CASE: &str = "PATHWAY_BENCH_CASE";
const ROUNDS: usize = 9;
const BREAKER_CALLS: u32 = 2_000_000;
const BREAKER_ROUNDS: usize = 9;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let rounds = rounds();
    if let Ok(name) = std::env::var(CASE) {
        let case = CASES.into_iter().find(|case| case.name == name).unwrap();
        println!("{}", runtime.block_on(measure(case, rounds)));
        return;
    }
    let breaker = breaker_ns();
    let endpoint = runtime.block_on(sink::start());
    let mut document = json!({"breaker_ns_per_call": breaker, "callers": calls::CALLERS, "rounds": rounds});
    for case in CASES {
        document[case.name] = of_a_process(case, &endpoint);
    }
    println!("{document:#}");
}

/// What a call pays that is admitted and goes well, with nobody else at the breaker: the median of some rounds.
fn breaker_ns() -> f64 {
    let breaker = Breaker::new("peer", BreakerConfig::default());
    let round = |_| {
        let begun = Instant::now();
        for _ in 0..BREAKER_CALLS {
            std::hint::black_box(&breaker).admit().unwrap().settle(true);
        }
        begun.elapsed().as_secs_f64() * 1e9 / f64::from(BREAKER_CALLS)
    };
    rounded(median((0..BREAKER_ROUNDS).map(round).collect()))
}

fn of_a_process(case: Case, endpoint: &str) -> Value {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(std::env::args_os().skip(1)).env(CASE, case.name);
    for (name, value) in case.variables {
        command.env(name, value);
    }
    if case.sends {
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    if !output.status.success() {
        panic!("{}: {}", case.name, String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_str(&text).unwrap()
}

async fn measure(case: Case, rounds: usize) -> Value {
    let config = TelemetryConfig { service: "bench", settings: TelemetrySettings::default() };
    let guard = pathway_telemetry::init(&config).unwrap();
    let telemetry = guard.of("bench").unwrap();
    let ways =
        [calls::bare().await, calls::stack(&telemetry, false).await, calls::stack(&telemetry, true).await];
    let mut rates: [Vec<f64>; 3] = Default::default();
    // The first turn of each connects and warms up.
    for round in 0..=rounds {
        for (way, rates) in ways.iter().zip(&mut rates) {
            let rate = way.turn().await;
            if round > 0 {
                rates.push(rate);
            }
        }
    }
    let share = |of: usize| {
        rounded(median(rates[of].iter().zip(&rates[0]).map(|(rate, bare)| rate / bare).collect()))
    };
    let rate = |of: usize| median(rates[of].clone()).round();
    json!({
        "telemetry": case.what,
        "bare_per_s": rate(0),
        "stack_per_s": rate(1),
        "stack_with_tokens_per_s": rate(2),
        "stack_to_bare": share(1),
        "stack_with_tokens_to_bare": share(2),
    })
}

fn rounds() -> usize {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--rounds").skip(1);
    arguments.next().map_or(ROUNDS, |count| count.parse().unwrap())
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}
