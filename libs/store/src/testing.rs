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

/// A throw-away database of the PostgreSQL server, for services whose schemas have their own names. It goes with [`Database::discard`].
#[derive(Debug)]
pub struct Database {
    name: String,
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

// === impl Database ===

impl Database {
    /// A new one, or none where no server answers, or it gives none.
    #[expect(clippy::print_stderr, reason = "whoever runs the tests must see that half of them did not")]
    pub async fn postgres() -> Option<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("test_{}_{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let made = async {
            let client = connect(&server()).await?;
            // A process id comes round again, and a failed test may have left its database.
            client.execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"), &[]).await?;
            client.execute(&format!("CREATE DATABASE {name}"), &[]).await
        };
        match made.await {
            Ok(_) => Some(Self { name }),
            Err(error) => {
                eprintln!(
                    "skipped: no PostgreSQL server gives a database ({error}); PATHWAY_TEST_POSTGRES names one"
                );
                None
            }
        }
    }

    /// Its connection string.
    #[must_use]
    pub fn url(&self) -> String {
        within(&server(), &self.name)
    }

    /// Removes it, whoever is connected.
    pub async fn discard(self) {
        if let Ok(client) = connect(&server()).await {
            // What stays behind is a database that nobody reads.
            let _ = client.execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name), &[]).await;
        }
    }
}

/// A server's connection string with another database: in a URL it is the path, else the last one named counts.
fn within(server: &str, database: &str) -> String {
    let Some((scheme, rest)) = server.split_once("://") else {
        return format!("{server} dbname={database}");
    };
    let (rest, query) =
        rest.split_once('?').map_or((rest, String::new()), |(rest, query)| (rest, format!("?{query}")));
    let authority = rest.split('/').next().unwrap_or_default();
    format!("{scheme}://{authority}/{database}{query}")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_database_of_a_server_is_named_either_way() {
        assert_eq!(within("host=h dbname=test", "x"), "host=h dbname=test dbname=x");
        assert_eq!(
            within("postgres://u@h:1/test?sslmode=disable", "x"),
            "postgres://u@h:1/x?sslmode=disable"
        );
        assert_eq!(within("postgres://u@h", "x"), "postgres://u@h/x");
        for url in ["host=h dbname=test dbname=x", "postgres://u@h/x"] {
            assert_eq!(Config::from_str(url).unwrap().get_dbname(), Some("x"));
        }
    }
}
