//! The notifications service as a process.

fn main() -> std::process::ExitCode {
    pathway_runtime::main::<pathway_notifications::Notifications>()
}
