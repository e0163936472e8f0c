//! What a power cut leaves at the end of a write-ahead log: part of what was being written when it came.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

/// Appends to the log of every store in `directory` bytes of a frame that was never finished.
///
/// What was committed lies before them and stays as it is: a commit had returned only once the disk had all of it. So this is all that a power cut may change.
pub(super) fn tear(directory: &Path, rng: &mut fastrand::Rng) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().ends_with(".db-wal") {
            let garbage: Vec<u8> = (0..rng.usize(1..6_000)).map(|_| rng.u8(..)).collect();
            OpenOptions::new().append(true).open(&path).unwrap().write_all(&garbage).unwrap();
        }
    }
}
