//! The store's tests in one binary: what both databases promise, and what only SQLite's writer does.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod conformance;
mod crash;
mod group;
mod migrations;
mod once;
mod ping;

use pathway_store::{Db, Migration, StoreError};

/// A table of numbered texts.
const SCHEMA: Migration = Migration {
    number: 1,
    name: "items",
    sql: "CREATE TABLE items (id BIGINT PRIMARY KEY, name TEXT, body BLOB, weight DOUBLE PRECISION);
          CREATE TABLE parts (item BIGINT NOT NULL REFERENCES items (id) DEFERRABLE INITIALLY DEFERRED);",
};

const INSERT: &str = "INSERT INTO items (id, name) VALUES ($1, $2)";

async fn insert(db: &Db, id: i64) -> Result<(), StoreError> {
    db.write(move |tx| tx.execute(INSERT, &[id.into(), "x".into()]).map(|_| ())).await
}

async fn ids(db: &Db) -> Vec<i64> {
    let rows = db.query("SELECT id FROM items ORDER BY id", Vec::new()).await.unwrap();
    rows.iter().map(|row| row.i64(0).unwrap()).collect()
}
