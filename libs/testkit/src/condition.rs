//! Waiting for what should become true, and finding what may be absent.

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

/// How often a condition is looked at before the test fails: a minute's worth.
const LOOKS: u32 = 1200;

/// Looks until `condition` answers a value.
///
/// # Panics
/// If it never does; `what` is named.
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    // A channel that nobody sends to is a pause that blocks no runtime of the code under test: that runs in other processes.
    let (_keep, pause) = mpsc::channel::<()>();
    for _ in 0..LOOKS {
        if let Some(value) = condition() {
            return value;
        }
        let _ = pause.recv_timeout(Duration::from_millis(50));
    }
    panic!("never happened: {what}");
}

/// A file of the real inputs (`PATHWAY_TEST_DATA`, default `../shared/data` beside the checkout). Where it is absent this says so on
/// standard error and answers none.
#[must_use]
pub fn test_data(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("PATHWAY_TEST_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
        PathBuf::from,
    );
    let file = folder.join(name);
    if file.exists() {
        return Some(file);
    }
    eprintln!("SKIPPED: {name} is absent; PATHWAY_TEST_DATA names the folder that has it");
    None
}
