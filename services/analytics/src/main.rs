//! The analytics service.

fn main() -> std::process::ExitCode {
    pathway_runtime::main::<pathway_analytics::Analytics>()
}
