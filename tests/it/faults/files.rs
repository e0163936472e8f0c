//! A process that may open no more files: those who are connected are served, whoever comes is let in once there is room, and nothing is lost.

use std::process::Command;
use std::time::Duration;

use pathway_testkit::{Layout, Services};
use serde_json::json;
use tokio::time::Instant;

use super::mesh::{Clients, told};
use super::{LONGEST, row};
use crate::this_month;

/// Fewer than are open, so that none can be opened, whichever is closed meanwhile.
const FEW: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_files_those_who_are_connected_are_served_and_others_wait() {
    let services = Services::start(Layout::AllInOne);
    let clients = Clients::of(&services);
    let mut accepted = clients.publish(&events(0..50)).await.unwrap();
    clients.await_processed(&accepted, LONGEST).await.unwrap();
    clients.spent_this_month("files").await;

    let pid = services.pid("pathway");
    if !limit(pid, FEW) {
        eprintln!("SKIPPED: too many open files; `prlimit` is absent or may not");
        return;
    }
    // Where a second reader of a store cannot be opened, that is said, and passes when the first is free.
    let begun = Instant::now();
    let served = loop {
        match clients.publish(&events(50..100)).await {
            Ok(positions) => break positions,
            Err(fault) => assert!(fault.is_transient(), "{fault:?}"),
        }
    };
    let served_after = begun.elapsed();
    let waited = clients.await_processed(&served, Duration::from_secs(2)).await;
    accepted.extend(served);

    // A new connection waits in the system's queue.
    let newcomer = Clients::of(&services);
    let begun = Instant::now();
    let refused = newcomer.await_processed(&accepted, Duration::from_secs(2)).await;
    let seen = begun.elapsed();
    let fault = refused.as_ref().unwrap_err();
    assert!(fault.is_transient(), "{fault:?}");

    assert!(limit(pid, 1024));
    let mended = Instant::now();
    clients.await_processed(&accepted, LONGEST).await.unwrap();
    row("Too many files", "who is connected", "OK", served_after, &told(&waited), mended.elapsed());
    // The one that waited is let in, and so is another.
    while let Err(fault) = newcomer.await_processed(&accepted, Duration::from_secs(2)).await {
        assert!(fault.is_transient() && mended.elapsed() < LONGEST, "{fault:?}");
    }
    row("Too many files", "a new connection", &told(&refused), seen, "OK", mended.elapsed());
    let again = Clients::of(&services).publish(&events(100..150)).await.unwrap();
    clients.await_processed(&again, LONGEST).await.unwrap();
    assert_eq!(clients.spent_this_month("files").await, (1_500, 150));
    assert_eq!(clients.runs("files").await, (150, 0));
}

fn events(numbers: std::ops::Range<i32>) -> Vec<serde_json::Value> {
    let event = |n: i32| {
        json!({"id": format!("files-{n}"), "user_id": "files", "amount": "0.10", "category": "dining",
            "transaction_date": this_month()})
    };
    numbers.map(event).collect()
}

/// Lets a running process open so many files.
fn limit(pid: u32, files: usize) -> bool {
    let limit =
        Command::new("prlimit").arg(format!("--pid={pid}")).arg(format!("--nofile={files}:1024")).output();
    limit.is_ok_and(|limit| limit.status.success())
}
