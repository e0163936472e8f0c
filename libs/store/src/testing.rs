//! Throw-away databases, for suites that run on both.
//!
//! [`suite!`](crate::suite) makes of each named function two tests, `sqlite::name` and `postgres::name`. The server is the one on this
//! machine, database `test`, user `PGUSER` or `root`; `PATHWAY_TEST_POSTGRES` names another by its connection string. Where none answers,
//! the PostgreSQL half says so on standard error and passes: whoever has no server can still work on everything else.

use std::process;
use std::str::FromStr as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio_postgres::{Client, Config, NoTls};

use crate::StoreConfig;

/// A database of a test's own. It goes with [`Scratch::discard`], which a failed test does not reach; so what it left can be looked at.
#[derive(Debug)]
pub struct Scratch(Place);

#[derive(Debug)]
enum Place {
    Sqlite(TempDir),
    Postgres { url: String, schema: String },
}

/// Makes two tests of each function `async fn name(scratch: &Scratch)`: one on SQLite, one on PostgreSQL.
#[macro_export]
macro_rules! suite {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let scratch = $crate::testing::Scratch::sqlite();
                super::$name(&scratch).await;
                scratch.discard().await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let Some(scratch) = $crate::testing::Scratch::postgres().await else { return };
                super::$name(&scratch).await;
                scratch.discard().await;
            })+
        }
    };
}

// === impl Scratch ===

impl Scratch {
    /// A file in a directory of its own.
    ///
    /// # Panics
    /// Where no directory can be made.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test without its database has failed")]
    pub fn sqlite() -> Self {
        Self(Place::Sqlite(tempfile::tempdir().expect("a temporary directory")))
    }

    /// A schema of its own, or none where no server answers.
    #[expect(clippy::print_stderr, reason = "whoever runs the tests must see that half of them did not")]
    pub async fn postgres() -> Option<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let url = server();
        if let Err(error) = connect(&url).await {
            eprintln!("skipped: no PostgreSQL server answers ({error}); PATHWAY_TEST_POSTGRES names one");
            return None;
        }
        let schema = format!("test_{}_{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let scratch = Self(Place::Postgres { url, schema });
        // A process id comes round again, and a failed test may have left its schema.
        scratch.drop_schema().await;
        Some(scratch)
    }

    /// How to open it; as often as a test likes.
    #[must_use]
    pub fn config(&self) -> StoreConfig {
        match &self.0 {
            Place::Sqlite(directory) => StoreConfig::sqlite(directory.path().join("data").join("test.db")),
            Place::Postgres { url, schema } => StoreConfig::postgres(url, schema),
        }
    }

    /// Removes it.
    pub async fn discard(self) {
        self.drop_schema().await;
    }

    async fn drop_schema(&self) {
        let Place::Postgres { url, schema } = &self.0 else { return };
        if let Ok(client) = connect(url).await {
            // What stays behind is a schema that nobody reads.
            let _ = client.batch_execute(&format!("DROP SCHEMA IF EXISTS {schema} CASCADE")).await;
        }
    }
}

fn server() -> String {
    std::env::var("PATHWAY_TEST_POSTGRES").unwrap_or_else(|_| {
        let user = std::env::var("PGUSER").unwrap_or_else(|_| "root".to_owned());
        format!("host=127.0.0.1 dbname=test user={user}")
    })
}

async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let mut config = Config::from_str(url)?;
    config.connect_timeout(Duration::from_secs(5));
    // A schema that does not exist is not worth a notice.
    config.options("-c client_min_messages=warning");
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}
