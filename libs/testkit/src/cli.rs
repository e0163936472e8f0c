//! One run of the command line.

use std::process::Output;

use serde_json::Value;

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Run {
    /// Whether the exit code was 0.
    pub ok: bool,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

// === impl Run ===

impl Run {
    /// The one JSON document on standard output.
    ///
    /// # Panics
    /// If it is not exactly one.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!("not one JSON document: {error}\n{}\n{}", self.stdout, self.stderr)
        })
    }

    /// The same run, which must have succeeded.
    ///
    /// # Panics
    /// If it did not.
    #[must_use]
    pub fn succeeded(self) -> Self {
        assert!(self.ok, "the command failed:\n{}\n{}", self.stdout, self.stderr);
        self
    }

    /// The same run, which must have failed with something to read.
    ///
    /// # Panics
    /// If it did not.
    #[must_use]
    pub fn failed(self) -> Self {
        assert!(!self.ok, "the command should have failed:\n{}", self.stdout);
        self
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            ok: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
