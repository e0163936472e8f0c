//! The log's conformance suite, on both databases.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod append;
mod cursors;
mod retention;

use pathway_kernel::{Clock, ManualClock};
use pathway_store::Db;
use pathway_store::testing::Scratch;
use pathway_topics::{MIGRATIONS, NewEvent, Topics, TopicsConfig};

const TOPIC: &str = "transactions";
const GROUP: &str = "pathways";

async fn database(scratch: &Scratch) -> Db {
    Db::open(&scratch.config(), MIGRATIONS.to_vec()).await.unwrap()
}

/// A log at time 1000, with its topic open.
async fn log(db: &Db) -> (Topics, ManualClock) {
    let manual = ManualClock::at(1_000);
    let topics = Topics::new(db.clone(), TopicsConfig::default(), Clock::manual(&manual)).await.unwrap();
    topics.open(TOPIC).await.unwrap();
    (topics, manual)
}

fn event(key: &str, payload: &str) -> NewEvent {
    NewEvent { partition_key: key.to_owned(), payload: payload.as_bytes().to_vec() }
}

/// Moves the group's cursor, as a worker does at the end of a batch.
async fn commit(topics: &Topics, db: &Db, group: &'static str, partition: i32, next: i64) {
    db.write(move |tx| Topics::commit_in(tx, TOPIC, group, partition, next)).await.unwrap();
    topics.notify_committed(TOPIC, group, partition, next);
}
