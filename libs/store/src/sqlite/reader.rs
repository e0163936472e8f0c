//! The readers: connections that see a snapshot and never wait for the writer.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{SqliteTx, connect, step};
use crate::{Pages, StoreError, Tx};

/// How many reads run at once; more would only wait for the same disk.
const READERS: u32 = 4;
/// What a reader sets beside the settings of every connection: it cannot write, and keeps at most 2 MiB of pages. Long histories would fill what
/// the writer may keep in each of them, and the system's own cache serves all.
const READING: &str = "PRAGMA query_only = ON; PRAGMA cache_size = -2048;";

/// A pool of read connections, opened as they are first needed.
#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    pages: Pages,
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
}

// === impl Readers ===

impl Readers {
    pub(super) fn new(path: PathBuf, pages: Pages) -> Self {
        Self { path, pages, idle: Mutex::new(Vec::new()), permits: Semaphore::new(READERS as usize) }
    }

    pub(super) async fn read<T, E, F>(pool: &Arc<Self>, transaction: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        let _permit = pool.permits.acquire().await.map_err(|_| StoreError::closed())?;
        let inner = Arc::clone(pool);
        let read = tokio::task::spawn_blocking(move || {
            let connection = inner.take()?;
            let result = snapshot(&connection, &transaction);
            // A connection whose snapshot could not be ended is dropped, not handed on.
            if connection.is_autocommit() {
                inner.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            }
            result
        });
        read.await.map_err(|error| StoreError::Internal(error.into()))?
    }

    /// Waits for the reads on their way, then closes the connections; later reads are refused.
    pub(super) async fn close(&self) {
        if let Ok(all) = self.permits.acquire_many(READERS).await {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
            drop(all);
        }
        self.permits.close();
    }

    fn take(&self) -> Result<Connection, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(
            || {
                let connection = connect(&self.path, self.pages).map_err(passing)?;
                connection.execute_batch(READING)?;
                Ok(connection)
            },
            Ok,
        )
    }
}

/// The store was opened before, so what keeps it from being opened once more, such as too many open files, will pass.
fn passing(error: StoreError) -> StoreError {
    match error {
        StoreError::Open { source, .. } => StoreError::Unavailable(source),
        other => other,
    }
}

fn snapshot<T, E: From<StoreError>>(
    connection: &Connection,
    transaction: &impl Fn(&mut Tx<'_>) -> Result<T, E>,
) -> Result<T, E> {
    step(connection, "BEGIN DEFERRED")?;
    let mut tx = Tx::sqlite(SqliteTx(connection));
    let result = transaction(&mut tx);
    let result = tx.settle(result);
    step(connection, "ROLLBACK")?;
    result
}
