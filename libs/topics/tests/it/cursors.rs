//! How far groups have come, and who waits for that.

use std::future::Future;

use futures_util::FutureExt as _;
use pathway_store::testing::Scratch;
use pathway_store::{StoreError, suite};
use pathway_topics::{PartitionLag, Topics};

use super::{GROUP, TOPIC, commit, database, event, log};

suite!(
    a_group_begins_at_the_start_and_only_moves_on,
    a_cursor_goes_with_its_transaction,
    groups_are_apart,
    who_waits_is_woken,
    what_is_done_is_not_waited_for,
    another_process_is_noticed_on_a_shared_database,
    the_lag_is_a_subtraction,
);

async fn a_group_begins_at_the_start_and_only_moves_on(scratch: &Scratch) {
    let db = database(scratch).await;
    let (topics, _) = log(&db).await;
    assert_eq!(topics.committed(TOPIC, GROUP, 3).await.unwrap(), 0);
    for (next, expected) in [(5, 5), (3, 5), (6, 6)] {
        commit(&topics, &db, GROUP, 3, next).await;
        assert_eq!(topics.committed(TOPIC, GROUP, 3).await.unwrap(), expected);
    }
}

async fn a_cursor_goes_with_its_transaction(scratch: &Scratch) {
    let db = database(scratch).await;
    let (topics, _) = log(&db).await;
    let result: Result<(), StoreError> = db
        .write(|tx| {
            Topics::commit_in(tx, TOPIC, GROUP, 0, 9)?;
            Err(StoreError::Internal("the effect failed".into()))
        })
        .await;
    assert!(result.is_err());
    assert_eq!(topics.committed(TOPIC, GROUP, 0).await.unwrap(), 0);
}

async fn groups_are_apart(scratch: &Scratch) {
    let db = database(scratch).await;
    let (topics, _) = log(&db).await;
    commit(&topics, &db, "one", 0, 4).await;
    assert_eq!(topics.committed(TOPIC, "two", 0).await.unwrap(), 0);
    assert_eq!(topics.committed(TOPIC, "one", 1).await.unwrap(), 0);
}

/// Runs `wait` until it has nothing to do but wait, then `then`, and answers once both are done.
async fn overtake(wait: impl Future<Output = ()>, then: impl Future<Output = ()>) {
    let mut wait = Box::pin(wait);
    assert!((&mut wait).now_or_never().is_none());
    futures_util::future::join(wait, then).await;
}

async fn who_waits_is_woken(scratch: &Scratch) {
    let db = database(scratch).await;
    let (topics, _) = log(&db).await;
    let waiting = topics.clone();
    let wait = async move { waiting.await_committed(TOPIC, GROUP, 2, 4).await.unwrap() };
    overtake(wait, async {
        commit(&topics, &db, GROUP, 2, 4).await;
        // The event at 4 is not processed yet; that at 3 is.
        assert!(topics.await_committed(TOPIC, GROUP, 2, 3).await.is_ok());
        commit(&topics, &db, GROUP, 2, 5).await;
    })
    .await;
    assert_eq!(topics.committed(TOPIC, GROUP, 2).await.unwrap(), 5);
}

async fn what_is_done_is_not_waited_for(scratch: &Scratch) {
    let db = database(scratch).await;
    let (topics, _) = log(&db).await;
    // Committed and never notified, as by a process that was killed in between.
    db.write(|tx| Topics::commit_in(tx, TOPIC, GROUP, 0, 1)).await.unwrap();
    topics.await_committed(TOPIC, GROUP, 0, 0).await.unwrap();
}

async fn another_process_is_noticed_on_a_shared_database(scratch: &Scratch) {
    let db = database(scratch).await;
    if !db.is_shared() {
        return;
    }
    let (topics, _) = log(&db).await;
    let wait = async { topics.await_committed(TOPIC, GROUP, 0, 0).await.unwrap() };
    // Its handle shares nothing with ours but the database.
    let (other, their_db) = (log(&db).await.0, db.clone());
    overtake(wait, async { commit(&other, &their_db, GROUP, 0, 1).await }).await;
}

async fn the_lag_is_a_subtraction(scratch: &Scratch) {
    let db = database(scratch).await;
    let (topics, _) = log(&db).await;
    let batch = (0..10).map(|_| event("user-1", "x")).collect();
    let partition = topics.append(TOPIC, batch).await.unwrap()[0].partition;
    commit(&topics, &db, GROUP, partition, 4).await;
    let lag = topics.lag(TOPIC, GROUP).await.unwrap();
    assert_eq!(lag.len(), 8);
    assert_eq!(lag.iter().map(|partition| partition.events).sum::<i64>(), 6);
    let ours = lag.iter().find(|lag| lag.partition == partition).unwrap();
    assert_eq!(*ours, PartitionLag { partition, committed: 4, end: 10, events: 6 });
}
