//! What a process has used, seen from outside.
//!
//! Processor time, bytes and memory are the kernel's own counts. Commits are SQLite's: the header of its shared-memory file counts the
//! transactions that were committed to the log (`iChange`, at byte 8), and the header of the log counts how often it was begun anew (at byte 12);
//! both are part of the documented file formats. With `synchronous=FULL` a commit is one fsync of the log, and beginning the log anew takes three
//! more: the log before its pages are copied, the database after that, and the new header. So fsyncs need no tracer, which would slow down what
//! is measured.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use pathway_kernel::{Code, Fault};

/// What a process has used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Processor time, in user and kernel, in milliseconds.
    pub(super) cpu_ms: u64,
    /// Bytes that it caused to be written to the disk.
    pub(super) written: u64,
    /// Transactions that were committed, groups counted once.
    pub(super) commits: u64,
    /// How often SQLite's log was begun anew.
    pub(super) log_restarts: u64,
    /// The most memory that it has held, in KiB.
    pub(super) peak_kib: u64,
    /// The memory that it holds, in KiB.
    pub(super) resident_kib: u64,
}

/// Linux counts processor time in hundredths of a second towards its users, whatever its clock does inside.
const MS_PER_TICK: u64 = 10;
/// As much of a file as is looked at.
const HEADER: usize = 32;
/// Fsyncs of one new beginning of the log.
const FSYNCS_PER_RESTART: u64 = 3;

// === impl Usage ===

impl Usage {
    /// What a process with this store has used.
    pub(super) fn of(pid: u32, store: &Path) -> Result<Self, Fault> {
        let read = |file: &str| {
            std::fs::read_to_string(format!("/proc/{pid}/{file}")).map_err(|error| {
                let message = format!("cannot read /proc/{pid}/{file}: {error}; the bench measures on Linux, processes of its own user");
                Fault::new(Code::FailedPrecondition, "NOT_MEASURABLE", message)
            })
        };
        let (stat, io, status) = (read("stat")?, read("io")?, read("status")?);
        let beside = |suffix: &str| {
            let mut name = store.as_os_str().to_owned();
            name.push(suffix);
            header(Path::new(&name))
        };
        Ok(Self {
            cpu_ms: cpu_ms(&stat),
            written: field(&io, "write_bytes:"),
            commits: number(&beside("-shm"), 8).map(u32::from_ne_bytes).unwrap_or_default().into(),
            log_restarts: number(&beside("-wal"), 12).map(u32::from_be_bytes).unwrap_or_default().into(),
            peak_kib: field(&status, "VmHWM:"),
            resident_kib: field(&status, "VmRSS:"),
        })
    }

    /// What has been used since; peaks stay what they are.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            cpu_ms: self.cpu_ms.saturating_sub(before.cpu_ms),
            written: self.written.saturating_sub(before.written),
            commits: self.commits.saturating_sub(before.commits),
            log_restarts: self.log_restarts.saturating_sub(before.log_restarts),
            ..self
        }
    }

    /// How often the disk was waited for.
    pub(super) fn fsyncs(self) -> u64 {
        self.commits + FSYNCS_PER_RESTART * self.log_restarts
    }
}

/// User and kernel time of `/proc/<pid>/stat`: the fields 14 and 15. The second one, the name in parentheses, may hold anything.
fn cpu_ms(stat: &str) -> u64 {
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    ticks * MS_PER_TICK
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// The beginning of a file; nothing where there is none yet, as before the first commit.
fn header(path: &Path) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER);
    let read = File::open(path).and_then(|file| file.take(HEADER as u64).read_to_end(&mut header));
    read.map(|_| header).unwrap_or_default()
}

fn number(bytes: &[u8], at: usize) -> Option<[u8; 4]> {
    bytes.get(at..at + 4)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use pathway_store::{Db, Migration, StoreConfig};

    use super::*;

    #[test]
    fn a_process_may_be_called_anything() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 250 31 0 0 20 0 4 0 100 1 2";
        assert_eq!(cpu_ms(stat), 2_810);
        assert_eq!(field("VmPeak:\t  9 kB\nVmHWM:\t  123 kB\n", "VmHWM:"), 123);
    }

    #[tokio::test]
    async fn commits_are_counted_from_outside() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.db");
        let table = Migration { number: 1, name: "t", sql: "CREATE TABLE t (a BIGINT NOT NULL)" };
        let db = Db::open(&StoreConfig::sqlite(&path), vec![table]).await.unwrap();
        let own = std::process::id();
        let before = Usage::of(own, &path).unwrap();
        for _ in 0..5 {
            db.write(|tx| tx.execute("INSERT INTO t (a) VALUES ($1)", &[1_i64.into()])).await.unwrap();
        }
        let refused = db.write(|tx| tx.execute("INSERT INTO absent (a) VALUES (1)", &[])).await;
        assert!(refused.is_err(), "and is no commit");
        let used = Usage::of(own, &path).unwrap().since(before);
        assert_eq!((used.commits, used.fsyncs()), (5, 5));
        assert!(used.peak_kib > 0);
    }
}
