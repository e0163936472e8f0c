//! The real binaries, run for one test.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::ports::Port;
use crate::{Run, eventually};

/// How the services are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// All four in one process on one port.
    AllInOne,
    /// Four processes on four ports.
    Mesh,
}

/// Running services; killed when dropped.
#[derive(Debug)]
pub struct Services {
    layout: Layout,
    directory: TempDir,
    ports: BTreeMap<&'static str, Port>,
    children: BTreeMap<&'static str, Child>,
    environment: Vec<(String, String)>,
    scheme: &'static str,
}

const MESH: [&str; 4] = ["datasync", "analytics", "notifications", "processor"];

// === impl Services ===

impl Services {
    /// Starts them on free ports and an empty data directory, and waits until they accept calls.
    ///
    /// # Panics
    /// If one does not start.
    #[must_use]
    pub fn start(layout: Layout) -> Self {
        Self::start_with(layout, &[])
    }

    /// Starts them with these variables in their environment.
    ///
    /// # Panics
    /// If one does not start.
    #[must_use]
    pub fn start_with(layout: Layout, environment: &[(&str, &str)]) -> Self {
        Self::start_at("http", layout, environment)
    }

    /// Starts them with these variables, which have them use TLS.
    ///
    /// # Panics
    /// If one does not start.
    #[must_use]
    pub fn start_with_tls(layout: Layout, environment: &[(&str, &str)]) -> Self {
        Self::start_at("https", layout, environment)
    }

    fn start_at(scheme: &'static str, layout: Layout, environment: &[(&str, &str)]) -> Self {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let directory = tempfile::tempdir().expect("a temporary directory");
        let names: &[&'static str] = if layout == Layout::Mesh { &MESH } else { &["pathway"] };
        let ports = names.iter().map(|name| (*name, Port::reserve())).collect();
        let mut services = Self {
            layout,
            directory,
            ports,
            children: BTreeMap::new(),
            environment: environment.collect(),
            scheme,
        };
        for name in services.names() {
            services.restart(name);
        }
        services
    }

    /// The processes' names.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.ports.keys().copied().collect()
    }

    /// The id of a process.
    ///
    /// # Panics
    /// If it is not one of [`Services::names`].
    #[must_use]
    pub fn pid(&self, name: &str) -> u32 {
        self.children.get(name).expect("a running process").id()
    }

    /// Kills a process with SIGKILL: it gets no chance to finish anything.
    ///
    /// # Panics
    /// If it is not one of [`Services::names`].
    pub fn kill(&mut self, name: &str) {
        let mut child = self.children.remove(name).expect("a running process");
        child.kill().expect("the process can be killed");
        child.wait().expect("the process ends");
    }

    /// Starts a process on its data directory and waits until it accepts calls.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&mut self, name: &'static str) {
        let log = File::create(self.directory.path().join(format!("{name}.log"))).expect("a log file");
        let mut command = self.command(name);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let mut child = child.unwrap_or_else(|error| {
            panic!("cannot start {command:?}: {error}; `make test` builds the binaries first")
        });
        let port = self.ports[name].number();
        eventually(&format!("{name} accepts calls"), || {
            if let Some(status) = child.try_wait().expect("the process can be asked") {
                let log = std::fs::read_to_string(self.directory.path().join(format!("{name}.log")));
                panic!("{name} ended with {status}: {}", log.unwrap_or_default());
            }
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        self.children.insert(name, child);
    }

    /// Runs the command line against these services.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn pathway(&self, args: &[&str]) -> Run {
        Run::from(self.pathway_command(args).output().expect("the command line runs"))
    }

    /// The command line as a process that is not waited for.
    #[must_use]
    pub fn pathway_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary("pathway"));
        command.args(args).stdin(Stdio::null());
        for (variable, service) in [
            ("PATHWAY_SERVER", "processor"),
            ("PATHWAY_DATASYNC_SERVER", "datasync"),
            ("PATHWAY_ANALYTICS_SERVER", "analytics"),
            ("PATHWAY_NOTIFICATIONS_SERVER", "notifications"),
        ] {
            command.env(variable, self.url(service));
        }
        command
    }

    /// Where a service answers.
    #[must_use]
    pub fn url(&self, service: &str) -> String {
        let process = if self.layout == Layout::Mesh { service } else { "pathway" };
        format!("{}://127.0.0.1:{}", self.scheme, self.ports[process].number())
    }

    /// A file in the test's directory with this content.
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, content).expect("the file can be written");
        path
    }

    /// Where they keep their files.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The command that starts a process on its port and data directory.
    #[must_use]
    pub fn command(&self, name: &str) -> Command {
        let data = self.data_dir();
        let listen = format!("127.0.0.1:{}", self.ports[name].number());
        if self.layout == Layout::AllInOne {
            let mut command = Command::new(binary("pathway"));
            command.arg("up").arg("--data-dir").arg(data).args(["--listen", &listen]);
            return command;
        }
        let mut command = Command::new(binary(&format!("pathway-{name}")));
        command.arg("--data-dir").arg(data).args(["--listen", &listen]);
        for peer in MESH {
            let variable = format!("PATHWAY_{}__PEERS__{}", name.to_uppercase(), peer.to_uppercase());
            let has_peers = (name == "processor" && peer != "processor")
                || (name == "analytics" && ["datasync", "notifications"].contains(&peer));
            if has_peers {
                command.env(variable, self.url(peer));
            }
        }
        command
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        for child in self.children.values_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A binary beside the test's own: `target/<profile>/`.
fn binary(name: &str) -> PathBuf {
    let here = std::env::current_exe().expect("the test knows where it is");
    let profile = here.parent().and_then(Path::parent).expect("target/<profile>/deps");
    profile.join(name)
}
