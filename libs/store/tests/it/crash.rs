//! Durability, tried by killing a process that writes.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use pathway_store::testing::Scratch;
use pathway_store::{Db, StoreConfig};

use super::{SCHEMA, ids, insert};

/// Tells the child where to write. Without it, the test of the child's name has nothing to do.
const CHILD: &str = "PATHWAY_STORE_CRASH_FILE";

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let scratch = Scratch::sqlite();
    let StoreConfig::Sqlite { path } = scratch.config() else { panic!("not a file") };
    let mut acknowledged = Vec::new();
    for _ in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut numbers = lines.filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<i64>().ok());
        acknowledged.extend(numbers.by_ref().take(200));
        // SIGKILL, in the middle of the writers' work.
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(numbers);
    }
    assert!(acknowledged.len() >= 600, "{}", acknowledged.len());
    let found = ids(&Db::open(&scratch.config(), vec![SCHEMA]).await.unwrap()).await;
    let lost: Vec<_> = acknowledged.iter().filter(|id| found.binary_search(id).is_err()).collect();
    assert!(lost.is_empty(), "{lost:?}");
}

/// The process that is killed: eight writers, each of which says which of its rows were acknowledged.
#[tokio::test]
async fn child() {
    let Ok(path) = std::env::var(CHILD) else { return };
    let db = Db::open(&StoreConfig::sqlite(path), vec![SCHEMA]).await.unwrap();
    let start = ids(&db).await.last().map_or(0, |last| last + 1);
    let writers = (0..8).map(|writer| {
        let db = db.clone();
        tokio::spawn(async move {
            for id in (start + writer..).step_by(8) {
                insert(&db, id).await.unwrap();
                println!("acknowledged {id}");
            }
        })
    });
    futures_util::future::join_all(writers).await;
}
