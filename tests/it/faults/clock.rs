//! A clock that jumps: what is reckoned from it is wrong for a while, what was accepted is applied once all the same.

use pathway_analytics::Analytics;
use pathway_datasync::Datasync;
use pathway_kernel::{Clock, ManualClock, Rng};
use pathway_notifications::Notifications;
use pathway_processor::{Peers, Processor};
use pathway_runtime::Env;
use pathway_testkit::Running;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::mesh::{Clients, told};
use super::{LONGEST, row};

const DAY_US: i64 = 24 * 60 * 60 * 1_000_000;
/// 2026-11-24T12:00:00Z.
const NOON_US: i64 = 1_795_521_600_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_clock_that_jumps_loses_and_doubles_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = || directory.path().to_owned();
    let hand = ManualClock::at(NOON_US);
    let env = || Env { clock: Clock::manual(&hand), rng: Rng::seeded(1), ..Env::system() };
    let datasync =
        Running::bind::<Datasync>(|config: &mut pathway_datasync::Config| config.data_dir = path(), env())
            .await;
    let notifications = Running::bind::<Notifications>(
        |config: &mut pathway_notifications::Config| config.data_dir = path(),
        env(),
    )
    .await;
    let feed = pathway_analytics::Deps { datasync: Some(datasync.target()), ..env().into() };
    let analytics =
        Running::bind::<Analytics>(|config: &mut pathway_analytics::Config| config.data_dir = path(), feed)
            .await;
    let peers = Peers {
        datasync: datasync.target(),
        analytics: analytics.target(),
        notifications: notifications.target(),
    };
    let deps = pathway_processor::Deps { peers: Some(peers), ..env().into() };
    let processor =
        Running::bind::<Processor>(|config: &mut pathway_processor::Config| config.data_dir = path(), deps)
            .await;
    let clients =
        Clients::over(processor.channel(), analytics.channel(), datasync.channel(), notifications.channel());
    clients.set_budget("clock", 1_000).await;

    let mut number = 0;
    // Far ahead, far back, and back to where it was; what is published before a jump may be run after it.
    for jump in [0, 400 * DAY_US, -800 * DAY_US, -1, 30 * DAY_US, 0] {
        let positions = clients.publish(&events(number, 15)).await.unwrap();
        number += 15;
        hand.set(NOON_US + jump);
        let begun = Instant::now();
        let after = clients.publish(&events(number, 15)).await;
        number += 15;
        let seen = begun.elapsed();
        let waited = clients.await_processed(&positions, LONGEST).await;
        clients.await_processed(after.as_ref().unwrap(), LONGEST).await.unwrap();
        let (days, after) = (jump / DAY_US, after.map(drop));
        row("Clock", &format!("set to {days:+} days"), &told(&after), seen, &told(&waited), begun.elapsed());
    }
    hand.set(NOON_US);
    let end = pathway_finance::CivilDate::parse("2026-12-01").unwrap();
    let count = i64::try_from(number).unwrap();
    assert_eq!(clients.spent("clock", "2026-11-01", end).await, (count * 10, count));
    assert_eq!(clients.runs("clock").await, (number, 0));
    assert_eq!(clients.alerts("clock").await, ["budget_warning", "budget_exceeded"]);
    let sequence = clients.import("clock", 10).await;
    clients.await_changes(sequence, LONGEST).await.unwrap();
    for service in [processor, analytics, notifications, datasync] {
        service.stop().await;
    }
}

fn events(from: usize, count: usize) -> Vec<Value> {
    let event = |n: usize| {
        json!({"id": format!("clock-{n}"), "user_id": "clock", "amount": "0.10", "category": "dining",
            "transaction_date": "2026-11-24"})
    };
    (from..from + count).map(event).collect()
}
