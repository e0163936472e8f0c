//! PostgreSQL, for where one machine's file is outgrown.

mod attempt;
mod migrate;
mod tx;

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_postgres::{Config, NoTls};

use crate::observer::Observer;
use crate::{Migration, StoreError, Tx};
pub(crate) use tx::PgTx;

/// A PostgreSQL store.
#[derive(Debug, Clone)]
pub(crate) struct Postgres {
    pool: Pool,
    observer: Arc<Observer>,
}

/// What a transaction is promised about the others; see [`Db::write`](crate::Db::write) and
/// [`Db::write_locking`](crate::Db::write_locking).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// As if there were no others; who could notice one loses the race.
    Serializable,
    /// Each statement sees what is committed by then, and waits for a row that another changes.
    ReadCommitted,
    /// One snapshot, and no changes.
    Snapshot,
}

/// Connections of one service.
const CONNECTIONS: usize = 8;
/// How long to wait for one of them, or for a new one.
const PATIENCE: Duration = Duration::from_secs(10);

// === impl Postgres ===

impl Postgres {
    pub(crate) async fn open(
        url: &str,
        schema: &str,
        migrations: &[Migration],
        observer: Arc<Observer>,
    ) -> Result<Self, StoreError> {
        // The name becomes part of statements and options, where nothing can be quoted away by a parameter.
        if schema.is_empty()
            || !schema.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        {
            return Err(StoreError::Migration(format!(
                "the schema name {schema:?} may have a-z, 0-9 and _ only"
            )));
        }
        let mut config = Config::from_str(url).map_err(StoreError::internal)?;
        config.options(format!("-c search_path={schema}"));
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let pool = Pool::builder(Manager::from_config(config, NoTls, recycling))
            .max_size(CONNECTIONS)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(PATIENCE))
            .create_timeout(Some(PATIENCE))
            .build()
            .map_err(StoreError::internal)?;
        migrate::run(&mut *pool.get().await?, schema, migrations).await?;
        Ok(Self { pool, observer })
    }

    pub(crate) async fn write<T, E, F>(&self, isolation: Isolation, transaction: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        let begun = Instant::now();
        let result = self.run(isolation, transaction).await;
        if result.is_ok() {
            self.observer.committed(1, begun.elapsed());
        }
        result
    }

    pub(crate) async fn read<T, E, F>(&self, transaction: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        self.run(Isolation::Snapshot, transaction).await
    }

    /// Later transactions are refused; those on their way keep their connections.
    pub(crate) fn close(&self) {
        self.pool.close();
    }

    async fn run<T, E, F>(&self, isolation: Isolation, transaction: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        // Before the thread: who waits for a connection should not hold one of the threads that could give it back.
        let client = self.pool.get().await.map_err(StoreError::from)?;
        let handle = Handle::current();
        let run = tokio::task::spawn_blocking(move || attempt::run(&handle, client, isolation, &transaction));
        run.await.map_err(StoreError::internal)?
    }
}
