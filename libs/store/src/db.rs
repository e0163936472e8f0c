//! The handle that a service holds.

use std::sync::Arc;

use pathway_telemetry::Telemetry;

use crate::observer::{Observer, summarized};
use crate::postgres::{Isolation, Postgres};
use crate::sqlite::Sqlite;
use crate::{Migration, Pages, Row, StoreConfig, StoreError, Tx, Val};

/// A store; cheap to clone. It is closed when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Db {
    kind: Kind,
    observer: Arc<Observer>,
}

#[derive(Debug, Clone)]
enum Kind {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

// === impl Db ===

impl Db {
    /// Opens a store, making it where it is absent, and applies the migrations that it lacks.
    ///
    /// # Errors
    /// Where it cannot be opened or its schema does not fit this program.
    pub async fn open(config: &StoreConfig, migrations: Vec<Migration>) -> Result<Self, StoreError> {
        Self::open_with(config, Pages::Usual, migrations).await
    }

    /// Opens a store like [`open`](Self::open), and where it makes a SQLite file, with pages of this size.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_with(
        config: &StoreConfig,
        pages: Pages,
        migrations: Vec<Migration>,
    ) -> Result<Self, StoreError> {
        let observer = Arc::new(Observer::new(match config {
            StoreConfig::Sqlite { .. } => "sqlite",
            StoreConfig::Postgres { .. } => "postgresql",
        }));
        let kind = match config {
            StoreConfig::Sqlite { path } => {
                Kind::Sqlite(Sqlite::open(path.clone(), pages, migrations, Arc::clone(&observer)).await?)
            }
            StoreConfig::Postgres { url, schema } => {
                Kind::Postgres(Postgres::open(url, schema, &migrations, Arc::clone(&observer)).await?)
            }
        };
        Ok(Self { kind, observer })
    }

    /// From now on, tells `telemetry` how long transactions take and how many share a commit. Only the first one is told.
    pub fn tell(&self, telemetry: &Telemetry) {
        self.observer.tell(telemetry);
        if let Kind::Sqlite(sqlite) = &self.kind {
            sqlite.tell(telemetry);
        }
    }

    /// Runs `transaction` and answers when it is on disk. It may be run more than once, so it must have no effect outside of `Tx`.
    ///
    /// # Errors
    /// What the closure answers, in which case nothing is written; or what the store answers.
    pub async fn write<T, E, F>(&self, transaction: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        let span = self.observer.span("write");
        let transaction = summarized(span.clone(), transaction);
        let run = async {
            match &self.kind {
                Kind::Sqlite(sqlite) => sqlite.write(transaction).await,
                Kind::Postgres(postgres) => postgres.write(Isolation::Serializable, transaction).await,
            }
        };
        self.observer.observe("write", span, run).await
    }

    /// Runs `transaction` like [`write`](Self::write), but it takes the locks that it needs itself, by changing a row before it depends on it.
    ///
    /// On PostgreSQL, writers of the same row then queue behind each other, where `write` lets all but one lose a race and run again. For
    /// the few rows that everybody changes, such as a counter; on SQLite there is no difference.
    ///
    /// # Errors
    /// What the closure answers, in which case nothing is written; or what the store answers.
    pub async fn write_locking<T, E, F>(&self, transaction: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        let span = self.observer.span("write");
        let transaction = summarized(span.clone(), transaction);
        let run = async {
            match &self.kind {
                Kind::Sqlite(sqlite) => sqlite.write(transaction).await,
                Kind::Postgres(postgres) => postgres.write(Isolation::ReadCommitted, transaction).await,
            }
        };
        self.observer.observe("write", span, run).await
    }

    /// Runs `transaction` over one snapshot. It may be run more than once.
    ///
    /// # Errors
    /// What the closure or the store answers.
    pub async fn read<T, E, F>(&self, transaction: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        let span = self.observer.span("read");
        let transaction = summarized(span.clone(), transaction);
        let run = async {
            match &self.kind {
                Kind::Sqlite(sqlite) => sqlite.read(transaction).await,
                Kind::Postgres(postgres) => postgres.read(transaction).await,
            }
        };
        self.observer.observe("read", span, run).await
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// Where it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.query("SELECT 1", Vec::new()).await.map(drop)
    }

    /// The rows that one statement answers.
    ///
    /// # Errors
    /// Where the store refuses it.
    pub async fn query(&self, sql: &'static str, params: Vec<Val>) -> Result<Vec<Row>, StoreError> {
        self.read(move |tx| tx.query(sql, &params)).await
    }

    /// How many durable commits there have been: fewer than transactions where they shared one.
    #[must_use]
    pub fn durable_commits(&self) -> u64 {
        self.observer.commits()
    }

    /// Whether other processes may write to the database too, so that news of it need not come from this one.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        matches!(self.kind, Kind::Postgres(_))
    }

    /// Finishes what was asked for, then closes the database; later calls are refused. Without it, the last clone to be dropped does the same
    /// and blocks its thread meanwhile.
    pub async fn close(&self) {
        match &self.kind {
            Kind::Sqlite(sqlite) => sqlite.close().await,
            Kind::Postgres(postgres) => postgres.close(),
        }
    }
}
