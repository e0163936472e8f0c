//! Schemas that grow, and those that do not fit.

use futures_util::future::try_join_all;
use pathway_store::testing::Scratch;
use pathway_store::{Db, Migration, StoreError, suite};

const ONE: Migration = Migration { number: 1, name: "one", sql: "CREATE TABLE a (x BIGINT, body BLOB);" };
const TWO: Migration =
    Migration { number: 2, name: "two", sql: "CREATE TABLE b (x BIGINT PRIMARY KEY) WITHOUT ROWID;" };
const LIBRARY: Migration = Migration { number: 900, name: "library", sql: "CREATE TABLE c (x BIGINT);" };

suite!(
    what_is_missing_is_applied_once,
    a_changed_one_is_refused,
    a_newer_database_is_refused,
    a_failed_one_leaves_nothing,
    those_who_start_together_migrate_once,
);

async fn refusal(scratch: &Scratch, migrations: &[Migration]) -> String {
    match Db::open(&scratch.config(), migrations.to_vec()).await {
        Err(error @ StoreError::Migration(_)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

async fn open(scratch: &Scratch, migrations: &[Migration]) -> Db {
    Db::open(&scratch.config(), migrations.to_vec()).await.unwrap()
}

async fn what_is_missing_is_applied_once(scratch: &Scratch) {
    open(scratch, &[ONE, LIBRARY]).await.close().await;
    // A range of a library's own lies above, and the owner's still grows below it.
    let db = open(scratch, &[LIBRARY, TWO, ONE]).await;
    db.close().await;
    let db = open(scratch, &[ONE, TWO, LIBRARY]).await;
    for table in ["SELECT x FROM a", "SELECT x FROM b", "SELECT x FROM c"] {
        assert!(db.query(table, Vec::new()).await.unwrap().is_empty());
    }
}

async fn a_changed_one_is_refused(scratch: &Scratch) {
    open(scratch, &[ONE]).await.close().await;
    let edited = Migration { sql: "CREATE TABLE a (x TEXT);", ..ONE };
    let message = refusal(scratch, &[edited, TWO]).await;
    assert!(message.contains("migration 1 (one) differs"), "{message}");
    let db = open(scratch, &[ONE]).await;
    db.query("SELECT x FROM b", Vec::new()).await.unwrap_err();
}

async fn a_newer_database_is_refused(scratch: &Scratch) {
    open(scratch, &[ONE, TWO]).await.close().await;
    let message = refusal(scratch, &[ONE]).await;
    assert!(message.contains("migration 2") && message.contains("newer"), "{message}");
}

async fn a_failed_one_leaves_nothing(scratch: &Scratch) {
    let broken =
        Migration { number: 2, name: "broken", sql: "CREATE TABLE b (x BIGINT); CREATE TABLE a (x BIGINT);" };
    let message = refusal(scratch, &[ONE, broken]).await;
    assert!(message.contains("migration 2 (broken)") && message.contains("already exists"), "{message}");
    let db = open(scratch, &[ONE, TWO]).await;
    assert!(db.query("SELECT x FROM a", Vec::new()).await.unwrap().is_empty());
}

async fn those_who_start_together_migrate_once(scratch: &Scratch) {
    let config = scratch.config();
    try_join_all((0..16).map(|_| Db::open(&config, vec![ONE, TWO]))).await.unwrap();
}
