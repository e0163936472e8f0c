//! SQLite with group commit and PostgreSQL behind one interface.
//!
//! A service writes its store once: in SQL that both dialects share (`$1` parameters, `ON CONFLICT ... DO UPDATE`, `RETURNING`; columns of
//! `BIGINT`, `DOUBLE PRECISION`, `TEXT` and `BLOB` only), over [`Db`] and [`Tx`]. The few words that differ are named in `dialect.rs`.
//!
//! - [`Db::write`] runs a closure in a transaction and answers when it is on disk. On SQLite, transactions that arrive together share one
//!   commit and one fsync; the essay in `sqlite/writer.rs` argues why. On PostgreSQL it is serializable and repeated when it loses a race.
//! - [`Db::read`] runs a closure over one snapshot, [`Db::query`] one statement.
//! - [`Db::tell`] names who is told how long transactions take and how many share a commit; where traces are kept, each is a span.
//! - [`Migration`]s are embedded, numbered and checksummed; [`Db::open`] applies what is missing.
//!
//! - [`Once`] keeps the answer of a call beside what the call did, so that the same call again is answered and not done again.
//!
//! One conformance suite, in `tests/it`, runs on both. With the feature `testing`, the module `testing` gives other crates the throw-away
//! databases to do the same.
//!
//! # Why the closure is synchronous
//! SQLite has one writer. An asynchronous closure would hold it across awaits, and box a future for each statement. A transaction here is a few
//! statements over whole batches, so a PostgreSQL one costs a blocking thread for a few round trips and no more.
//!
//! # What a shared statement must mind
//! - `SUM` over `BIGINT` is `NUMERIC` in PostgreSQL: write `CAST(SUM(x) AS BIGINT)`.
//! - A bare number is an `INT4` there: `$1 = 1` makes the parameter one too.
//! - Types hold: SQLite would store text in a `BIGINT`, and say nothing.
//! - A failed statement dooms its transaction, on both; see [`Tx`].

mod config;
mod db;
mod dialect;
mod error;
mod migration;
mod observer;
mod once;
mod postgres;
mod sqlite;
#[cfg(feature = "testing")]
pub mod testing;
mod tx;
mod value;

pub use config::{Pages, StoreConfig, StoreKind, StoreSettings};
pub use db::Db;
pub use error::StoreError;
pub use migration::Migration;
pub use once::{Once, REQUESTS, WINDOW};
pub use tx::Tx;
pub use value::{Row, Val};
