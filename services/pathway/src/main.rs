//! The `pathway` binary.

use clap::Parser as _;

fn main() -> std::process::ExitCode {
    pathway::run(pathway::Cli::parse())
}
