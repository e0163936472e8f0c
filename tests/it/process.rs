//! One service's real process, whose log a test reads.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use pathway_testkit::eventually;
use tempfile::TempDir;

/// A process of datasync on a free port and a data directory of its own; killed when dropped.
pub(crate) struct Process {
    child: Child,
    directory: TempDir,
}

// === impl Process ===

impl Process {
    /// Starts it with these variables in its environment; it may not be ready yet.
    pub(crate) fn start(environment: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let here = std::env::current_exe().unwrap();
        let binary = here.parent().and_then(Path::parent).unwrap().join("pathway-datasync");
        let child = Command::new(binary)
            .arg("--data-dir")
            .arg(directory.path())
            .args(["--listen", "127.0.0.1:0"])
            .envs(environment.iter().copied())
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(directory.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        Self { child, directory }
    }

    /// The first line of its log that has this.
    pub(crate) fn said(&self, text: &str) -> String {
        eventually(text, || {
            let log = std::fs::read_to_string(self.directory.path().join("log")).ok()?;
            log.lines().find(|line| line.contains(text)).map(str::to_owned)
        })
    }

    /// What it said of itself when it was ready: `address`, `health`.
    pub(crate) fn ready(&self, field: &str) -> String {
        let line: serde_json::Value = serde_json::from_str(&self.said("\"ready\"")).unwrap();
        let value = line.get(field).or_else(|| line.get("fields")?.get(field));
        value.and_then(serde_json::Value::as_str).unwrap().to_owned()
    }

    /// Tells it to end.
    pub(crate) fn signal(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Its exit code, once it has ended.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
