//! The datasync service.

fn main() -> std::process::ExitCode {
    pathway_runtime::main::<pathway_datasync::Datasync>()
}
