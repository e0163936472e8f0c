//! Four processes of the bench's own.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pathway_kernel::{Code, Fault};
use tempfile::TempDir;
use tokio::time::Instant;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::usage::Usage;
use crate::cli::Global;
use crate::client::Mesh;

/// The services; the last one calls the others.
pub(super) const SERVICES: [&str; 4] = ["datasync", "analytics", "notifications", "processor"];

/// Four running processes and their directory. Dropping it ends the ones and removes the other.
#[derive(Debug)]
pub(super) struct Rig {
    // Before the directory: who still writes into it is gone when it is removed.
    processes: Vec<Process>,
    directory: TempDir,
}

#[derive(Debug)]
struct Process {
    name: &'static str,
    child: Child,
}

/// How long a process may take until it serves: a safety net, not a measurement.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How often a process that starts is asked.
const ASK_EVERY: Duration = Duration::from_millis(1);
/// How often all of them are started anew because a port was taken meanwhile.
const ATTEMPTS: usize = 5;
/// How much of a failed process's log is shown.
const LOG_TAIL: usize = 2_000;

// === impl Rig ===

impl Rig {
    /// Starts the services on an empty directory and waits until all of them serve.
    pub(super) async fn start(place: Option<&Path>) -> Result<(Self, Mesh), Fault> {
        let binaries = binaries()?;
        let place = place.map_or_else(std::env::temp_dir, Path::to_path_buf);
        let cannot = |error: std::io::Error| {
            let message =
                format!("cannot use {} for the bench: {error}; --dir names another place", place.display());
            Fault::new(Code::FailedPrecondition, "UNUSABLE_DIRECTORY", message)
        };
        std::fs::create_dir_all(&place).map_err(cannot)?;
        let directory =
            tempfile::Builder::new().prefix("pathway-bench-").tempdir_in(&place).map_err(cannot)?;
        let mut rig = Self { processes: Vec::new(), directory };
        for attempt in 1..=ATTEMPTS {
            match rig.start_all(&binaries).await {
                Ok(mesh) => return Ok((rig, mesh)),
                // A port was free when it was chosen and is not any more: another bench may have started in between.
                Err(fault) if attempt < ATTEMPTS && fault.message().contains("cannot listen") => {}
                Err(fault) => return Err(fault),
            }
            rig.stop();
        }
        Err(Fault::internal("the attempts are exhausted"))
    }

    /// Where the processes and the bench keep their files.
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What each process has used so far.
    pub(super) fn usage(&self) -> Result<Vec<(&'static str, Usage)>, Fault> {
        let of = |process: &Process| {
            Ok((
                process.name,
                Usage::of(process.child.id(), &self.data().join(format!("{}.db", process.name)))?,
            ))
        };
        self.processes.iter().map(of).collect()
    }

    /// What the bench itself has used: it publishes on the same machine.
    pub(super) fn own_usage(&self) -> Result<Usage, Fault> {
        Usage::of(std::process::id(), &self.directory.path().join("limit.db"))
    }

    /// The same fault; where a process has ended by itself, which one and with what last words.
    pub(super) fn explain(&mut self, fault: Fault) -> Fault {
        let ended = |process: &mut Process| process.child.try_wait().ok().flatten().map(|_| process.name);
        match self.processes.iter_mut().find_map(ended) {
            Some(name) => {
                let message = format!(
                    "pathway-{name} ended in the middle; its log ends with: {}",
                    self.last_words(name)
                );
                Fault::new(Code::Internal, "PROCESS_ENDED", message)
            }
            None if fault.code() == Code::Unavailable => {
                let message =
                    format!("a connection to the bench's own services was lost: {}", fault.message());
                Fault::new(Code::Aborted, "CONNECTION_LOST", message)
            }
            None => fault,
        }
    }

    /// Kills all processes; what they stored stays.
    pub(super) fn stop(&mut self) {
        self.processes.clear();
    }

    /// Starts the services again on what they have stored, one after the other, and answers how long each took until it served.
    pub(super) async fn restart(&mut self) -> Result<Vec<(&'static str, Duration)>, Fault> {
        self.stop();
        let (binaries, ports) = (binaries()?, free_ports()?);
        let mut ready = Vec::new();
        for name in SERVICES {
            let begun = Instant::now();
            self.spawn(&binaries, &ports, name)?;
            self.until_it_serves(name, port_of(&ports, name)).await?;
            ready.push((name, begun.elapsed()));
        }
        Ok(ready)
    }

    async fn start_all(&mut self, binaries: &Path) -> Result<Mesh, Fault> {
        let ports = free_ports()?;
        for name in SERVICES {
            self.spawn(binaries, &ports, name)?;
        }
        for name in SERVICES {
            self.until_it_serves(name, port_of(&ports, name)).await?;
        }
        let url = |name| url(port_of(&ports, name));
        Mesh::connect(&Global {
            datasync_server: Some(url("datasync")),
            analytics_server: Some(url("analytics")),
            notifications_server: Some(url("notifications")),
            ..Global::of(url("processor"))
        })
    }

    fn spawn(&mut self, binaries: &Path, ports: &[u16], name: &'static str) -> Result<(), Fault> {
        let log = File::create(self.log(name)).map_err(Fault::internal)?;
        let mut command = Command::new(binaries.join(format!("pathway-{name}")));
        // The caller's own settings are for the caller's own services.
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("PATHWAY_") {
                command.env_remove(variable);
            }
        }
        command.arg("--data-dir").arg(self.data());
        command.args(["--listen", &format!("127.0.0.1:{}", port_of(ports, name))]);
        let peers: &[&str] = match name {
            "processor" => &["datasync", "analytics", "notifications"],
            "analytics" => &["datasync"],
            _ => &[],
        };
        for peer in peers {
            let variable = format!("PATHWAY_{}__PEERS__{}", name.to_uppercase(), peer.to_uppercase());
            command.env(variable, url(port_of(ports, peer)));
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let child = child.map_err(|error| {
            Fault::new(
                Code::FailedPrecondition,
                "CANNOT_START",
                format!("cannot start pathway-{name}: {error}"),
            )
        })?;
        self.processes.push(Process { name, child });
        Ok(())
    }

    async fn until_it_serves(&mut self, name: &'static str, port: u16) -> Result<(), Fault> {
        let endpoint = Endpoint::from_shared(url(port)).map_err(Fault::internal)?;
        let mut client = HealthClient::new(endpoint.connect_lazy());
        let begun = Instant::now();
        while begun.elapsed() < READY_WITHIN {
            let ended = self.processes.iter_mut().filter(|process| process.name == name);
            if ended.filter_map(|process| process.child.try_wait().ok().flatten()).next().is_some() {
                break;
            }
            let answer = client.check(HealthCheckRequest { service: String::new() }).await;
            if answer.is_ok_and(|answer| answer.into_inner().status() == ServingStatus::Serving) {
                return Ok(());
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        let message = format!("pathway-{name} did not start; its log ends with: {}", self.last_words(name));
        Err(Fault::new(Code::FailedPrecondition, "NOT_READY", message))
    }

    fn last_words(&self, name: &str) -> String {
        let log = std::fs::read_to_string(self.log(name)).unwrap_or_default();
        let tail: String = log.chars().skip(log.chars().count().saturating_sub(LOG_TAIL)).collect();
        tail.trim().to_owned()
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn log(&self, name: &str) -> PathBuf {
        self.directory.path().join(format!("{name}.log"))
    }
}

// === impl Process ===

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is waited for, so that it writes no more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the services' binaries are: beside this one, as every build puts them.
fn binaries() -> Result<PathBuf, Fault> {
    let own = std::env::current_exe().map_err(Fault::internal)?;
    let directory = own.parent().unwrap_or_else(|| Path::new(".")).to_path_buf();
    let absent: Vec<String> = SERVICES
        .iter()
        .map(|name| format!("pathway-{name}"))
        .filter(|name| !directory.join(name).exists())
        .collect();
    if absent.is_empty() {
        return Ok(directory);
    }
    let message = format!(
        "{} not beside this binary in {}: `cargo build --release --workspace --bins` builds all of them",
        absent.join(", "),
        directory.display()
    );
    Err(Fault::new(Code::FailedPrecondition, "BINARIES_ABSENT", message))
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// Ports that were free a moment ago, one for each of [`SERVICES`]. They are held together while they are chosen, so that they differ.
fn free_ports() -> Result<Vec<u16>, Fault> {
    let listeners = SERVICES.iter().map(|_| TcpListener::bind("127.0.0.1:0"));
    let listeners: Vec<TcpListener> = listeners.collect::<Result<_, _>>().map_err(Fault::internal)?;
    listeners.iter().map(|listener| Ok(listener.local_addr().map_err(Fault::internal)?.port())).collect()
}

fn port_of(ports: &[u16], name: &str) -> u16 {
    let place = SERVICES.iter().position(|service| *service == name);
    place.and_then(|place| ports.get(place)).copied().unwrap_or_default()
}
