//! The embedded store: one file, one writer thread, a pool of readers.

mod reader;
mod tx;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pathway_telemetry::Telemetry;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode};

use crate::observer::Observer;
use crate::{Migration, Pages, StoreError, Tx, migration};
use reader::Readers;
pub(crate) use tx::SqliteTx;
use writer::Writer;

/// A SQLite store.
#[derive(Debug, Clone)]
pub(crate) struct Sqlite {
    writer: Arc<Writer>,
    readers: Arc<Readers>,
}

/// Statements that a connection keeps prepared.
const PREPARED: usize = 128;
/// How many bytes of pages the write-ahead log holds before they are copied back.
const LOG: i64 = 4_096_000;
/// How long a connection waits for another's lock.
const BUSY: Duration = Duration::from_secs(5);
/// How long a refused switch to the write-ahead log waits before it asks again.
const SWITCH_AGAIN: Duration = Duration::from_millis(5);

// === impl Sqlite ===

impl Sqlite {
    pub(crate) async fn open(
        path: PathBuf,
        pages: Pages,
        migrations: Vec<Migration>,
        observer: Arc<Observer>,
    ) -> Result<Self, StoreError> {
        let opened = tokio::task::spawn_blocking(move || {
            let mut connection = connect(&path, pages)?;
            migrate(&mut connection, &migrations)?;
            Ok::<_, StoreError>((connection, path))
        });
        let (connection, path) = opened.await.map_err(|error| StoreError::Internal(error.into()))??;
        let writer = Writer::start(connection, observer)?;
        Ok(Self { writer: Arc::new(writer), readers: Arc::new(Readers::new(path, pages)) })
    }

    pub(crate) async fn write<T, E, F>(&self, transaction: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        self.writer.write(transaction).await
    }

    pub(crate) async fn read<T, E, F>(&self, transaction: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        Readers::read(&self.readers, transaction).await
    }

    pub(crate) fn tell(&self, telemetry: &Telemetry) {
        self.writer.tell(telemetry);
    }

    /// Readers first: the last connection to close folds the log back into the file, and theirs may only read.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// A connection with the settings that durability rests on: a write-ahead log, and an fsync before a commit returns.
fn connect(path: &Path, pages: Pages) -> Result<Connection, StoreError> {
    let open = |path: &Path| -> Result<Connection, Box<dyn std::error::Error + Send + Sync>> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        // Said before the file is made; one that is there keeps the size that it was made with.
        connection.pragma_update(None, "page_size", pages.bytes())?;
        log_ahead(&connection)?;
        connection.execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192;",
        )?;
        let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        connection.pragma_update(None, "wal_autocheckpoint", LOG / page.max(1))?;
        // A plan is made once for a statement. Otherwise SQLite looks at the values too (of a `LIMIT $1`, for one), and so has to prepare the
        // statement anew each time one is bound: that was a fifth of the writer's time in analytics.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.set_prepared_statement_cache_capacity(PREPARED);
        Ok(connection)
    };
    open(path).map_err(|source| StoreError::Open { path: path.display().to_string(), source })
}

/// Switches a new file to the write-ahead log, which the file remembers.
///
/// Two connections that switch one file at once would each wait for the other's lock, so SQLite refuses one of them at once, whatever the busy
/// timeout says. The refused one asks again: the other is through in a moment, and then there is nothing left to switch.
fn log_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let attempts = BUSY.as_millis() / SWITCH_AGAIN.as_millis();
    for _ in 0..attempts {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            #[expect(clippy::disallowed_methods, reason = "connections are opened on blocking threads")]
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                std::thread::sleep(SWITCH_AGAIN);
            }
            done => return done,
        }
    }
    connection.pragma_update(None, "journal_mode", "WAL")
}

/// A statement of the store's own, such as a commit; kept prepared, since every transaction runs some.
fn step(connection: &Connection, sql: &'static str) -> Result<(), StoreError> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

fn migrate(connection: &mut Connection, migrations: &[Migration]) -> Result<(), StoreError> {
    // Immediate: two processes that start on one file must not both find the schema missing.
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute_batch(migration::TABLE)?;
    let applied = transaction
        .prepare(migration::APPLIED)?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<Vec<(i64, String)>, _>>()?;
    for migration in migration::pending(migrations, &applied)? {
        transaction.execute_batch(migration.sql).map_err(|error| migration.failed(&error))?;
        transaction.execute(migration::RECORD, (migration.number, migration.name, migration.checksum()))?;
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    #[test]
    fn a_statement_is_prepared_once_whatever_is_bound() {
        let directory = tempfile::tempdir().unwrap();
        let connection = connect(&directory.path().join("x.db"), Pages::Usual).unwrap();
        connection.execute_batch("CREATE TABLE t (a BIGINT NOT NULL PRIMARY KEY, b TEXT NOT NULL)").unwrap();
        let sql = "SELECT b FROM t WHERE a > $1 AND b LIKE $2 ORDER BY a LIMIT $3";
        let mut statement = connection.prepare_cached(sql).unwrap();
        for round in 0..5 {
            let mut rows = statement.query((round, "x%", round + 1)).unwrap();
            assert!(rows.next().unwrap().is_none());
        }
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }

    #[test]
    fn a_file_keeps_the_pages_that_it_was_made_with_and_the_log_its_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let number = |connection: &Connection, pragma| -> i64 {
            connection.pragma_query_value(None, pragma, |row| row.get(0)).unwrap()
        };
        for (name, made, opened, expected) in
            [("a.db", Pages::Small, Pages::Usual, 1_024), ("b.db", Pages::Usual, Pages::Small, 4_096)]
        {
            let path = directory.path().join(name);
            for pages in [made, opened] {
                let connection = connect(&path, pages).unwrap();
                connection.execute_batch("CREATE TABLE IF NOT EXISTS t (a BIGINT NOT NULL)").unwrap();
                assert_eq!(number(&connection, "page_size"), expected);
                assert_eq!(number(&connection, "wal_autocheckpoint") * expected, LOG);
            }
        }
    }
}
