//! How long each service takes from its start until it answers, and how much memory it holds when idle.
//!
//! A time is given beside its floor in the same run: how long the same binary takes to start, print its version and end.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a measurement that fails has no result")]

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pathway_testkit::{Layout, Services};
use tokio::time::Instant;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

const ROUNDS: usize = 9;
/// How long a service is left alone before its memory is read.
const IDLE: Duration = Duration::from_secs(3);
/// How often a service that starts is asked.
const ASK_EVERY: Duration = Duration::from_millis(1);

#[tokio::main]
async fn main() {
    println!(
        "{:<24} {:>12} {:>12} {:>8} {:>12}",
        "service", "ready (ms)", "floor (ms)", "ratio", "idle (MiB)"
    );
    for layout in [Layout::Mesh, Layout::AllInOne] {
        let mut services = Services::start(layout);
        for name in services.names() {
            services.kill(name);
            let (mut ready, mut floor, mut idle) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                floor.push(version(&services.command(name)));
                let begun = Instant::now();
                let mut child = spawn(services.command(name));
                until_it_serves(&services.url(name)).await;
                ready.push(begun.elapsed());
                tokio::time::sleep(IDLE).await;
                idle.push(resident_kib(child.id()));
                child.kill().unwrap();
                child.wait().unwrap();
            }
            services.restart(name);
            let (ready, floor, idle) = (median(ready), median(floor), median(idle));
            let (ready_ms, floor_ms) = (ready.as_secs_f64() * 1e3, floor.as_secs_f64() * 1e3);
            let ratio = ready_ms / floor_ms;
            println!(
                "{name:<24} {ready_ms:>12.1} {floor_ms:>12.1} {ratio:>8.1} {:>12.1}",
                f64::from(idle) / 1024.0
            );
        }
    }
}

fn spawn(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// How long the binary takes to start and end without doing anything.
fn version(command: &Command) -> Duration {
    let begun = Instant::now();
    let mut child = spawn({
        let mut bare = Command::new(command.get_program());
        bare.arg("--version");
        bare
    });
    assert!(child.wait().unwrap().success());
    begun.elapsed()
}

async fn until_it_serves(url: &str) {
    let mut client = HealthClient::new(Endpoint::from_shared(url.to_owned()).unwrap().connect_lazy());
    loop {
        let answer = client.check(HealthCheckRequest { service: String::new() }).await;
        if answer.is_ok_and(|answer| answer.into_inner().status() == ServingStatus::Serving) {
            return;
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

fn resident_kib(pid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_else(|| panic!("no VmRSS"));
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn median<T: Ord + Copy>(mut values: Vec<T>) -> T {
    values.sort();
    values[values.len() / 2]
}
