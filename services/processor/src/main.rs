//! The processor service.

fn main() -> std::process::ExitCode {
    pathway_runtime::main::<pathway_processor::Processor>()
}
