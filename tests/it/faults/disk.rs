//! A disk that is full: the store says so, nothing is lost, and the service goes on by itself once there is space.
//!
//! The disk is a small tmpfs, which only root may mount; whoever is not root is told that this was skipped.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use pathway_kernel::Code;
use pathway_testkit::{Layout, Services, eventually};
use serde_json::json;
use tokio::time::Instant;

use super::mesh::{Clients, told};
use super::{LONGEST, row};
use crate::this_month;

/// A tmpfs over a directory; it goes with this.
struct SmallDisk(PathBuf);

const SIZE: &str = "24m";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_disk_is_said_and_nothing_is_lost() {
    let mut services = Services::start(Layout::AllInOne);
    services.kill("pathway");
    let Some(disk) = SmallDisk::mount(&services.data_dir()) else {
        eprintln!("SKIPPED: a full disk; only root may mount a small one");
        return;
    };
    services.restart("pathway");
    let clients = Clients::of(&services);
    let mut accepted = clients.publish(&events(0..50)).await.unwrap();
    clients.await_processed(&accepted, LONGEST).await.unwrap();

    disk.fill();
    // What is left of the pages that the log has already takes a few more events.
    let (mut next, begun) = (50, Instant::now());
    let refused = loop {
        match clients.publish(&events(next..next + 20)).await {
            Ok(positions) => accepted.extend(positions),
            Err(fault) => break fault,
        }
        next += 20;
        assert!(next < 100_000, "the disk is full and takes everything");
    };
    let seen = begun.elapsed();
    assert_eq!((refused.code(), refused.reason()), (Code::ResourceExhausted, "STORE_FULL"), "{refused:?}");
    assert!(refused.retry_after().is_some() && refused.message().contains("full"), "{refused:?}");
    // Reading needs no space.
    clients.spent_this_month("disk").await;
    let waited = clients.await_processed(&accepted, Duration::from_millis(500)).await;

    disk.empty();
    let mended = Instant::now();
    clients.await_processed(&accepted, LONGEST).await.unwrap();
    // What was refused had not been kept: it can be sent again.
    let again = clients.publish(&events(next..next + 20)).await.unwrap();
    clients.await_processed(&again, LONGEST).await.unwrap();
    row("Full disk", "every store", &told(&Err(refused)), seen, &told(&waited), mended.elapsed());

    let count = i64::from(next + 20);
    assert_eq!(clients.spent_this_month("disk").await, (count * 10, count));
    assert_eq!(clients.runs("disk").await, (usize::try_from(count).unwrap(), 0));
    // What is on the disk is whole.
    services.kill("pathway");
    services.restart("pathway");
    assert_eq!(Clients::of(&services).spent_this_month("disk").await, (count * 10, count));
    drop(disk);
}

fn events(numbers: std::ops::Range<i32>) -> Vec<serde_json::Value> {
    let event = |n: i32| {
        json!({"id": format!("disk-{n}"), "user_id": "disk", "amount": "0.10", "category": "dining",
            "transaction_date": this_month()})
    };
    numbers.map(event).collect()
}

// === impl SmallDisk ===

impl SmallDisk {
    fn mount(directory: &Path) -> Option<Self> {
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={SIZE}"), "tmpfs"])
            .arg(directory)
            .output()
            .ok()?;
        mount.status.success().then(|| Self(directory.to_owned()))
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    fn fill(&self) {
        use std::io::Write as _;
        let mut file = std::fs::File::create(self.ballast()).unwrap();
        let mut size = 1 << 20;
        while size > 0 {
            if file.write_all(&vec![0; size]).is_err() {
                size /= 2;
            }
        }
    }

    fn empty(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
        eventually("there is space again", || std::fs::write(self.0.join("probe"), [0; 65_536]).ok());
        std::fs::remove_file(self.0.join("probe")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the process whose files are on it may still run.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
