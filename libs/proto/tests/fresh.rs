//! Generates the code from `proto/` and compares it with what is checked in. With `PATHWAY_REGENERATE=1` it writes instead.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};

const FILES: [&str; 9] = [
    "pathway/types/v1/record.proto",
    "pathway/types/v1/notice.proto",
    "pathway/processor/v1/processor.proto",
    "pathway/datasync/v1/datasync.proto",
    "pathway/analytics/v1/analytics.proto",
    "pathway/notifications/v1/notifications.proto",
    "pathway/operations/v1/operations.proto",
    "pathway/notifications/v1/preferences.proto",
    "pathway/notifications/v1/deliveries.proto",
];

#[test]
fn generated_code_is_fresh() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = tempdir(here);
    generate(&here.join("../../proto"), &out);
    let checked_in = here.join("src/generated");
    if std::env::var_os("PATHWAY_REGENERATE").is_some() {
        let _ = fs::remove_dir_all(&checked_in);
        fs::create_dir_all(&checked_in).unwrap();
        for file in files(&out) {
            fs::copy(out.join(&file), checked_in.join(&file)).unwrap();
        }
    }
    assert_eq!(files(&out), files(&checked_in), "the set of generated files differs: run `make proto`");
    for file in files(&out) {
        let (new, old) = (fs::read(out.join(&file)).unwrap(), fs::read(checked_in.join(&file)).unwrap());
        assert!(new == old, "{} is stale: run `make proto`", file.display());
    }
}

fn generate(protos: &Path, out: &Path) {
    let mut compiler = protox::Compiler::new([protos]).unwrap();
    compiler.include_imports(true).include_source_info(true).open_files(FILES).unwrap();
    fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set()).unwrap();
    tonic_prost_build::configure()
        .out_dir(out)
        .include_file("mod.rs")
        .emit_rerun_if_changed(false)
        .compile_fds(compiler.file_descriptor_set())
        .unwrap();
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().file_name().into()).collect();
    files.sort();
    files
}

fn tempdir(here: &Path) -> PathBuf {
    let dir = Path::new(option_env!("CARGO_TARGET_TMPDIR").unwrap_or("/tmp"))
        .join(format!("generated-{}", std::process::id()));
    assert!(!dir.starts_with(here.join("src")));
    fs::create_dir_all(&dir).unwrap();
    dir
}
