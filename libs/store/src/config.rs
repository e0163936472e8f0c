//! Which store, and where.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Which store, and where.
#[derive(Clone)]
pub enum StoreConfig {
    /// A SQLite file; it and its directory are made where they are absent.
    Sqlite {
        /// The file.
        path: PathBuf,
    },
    /// A schema in a PostgreSQL database; the schema is made where it is absent.
    Postgres {
        /// A connection string, `host=... user=... dbname=...` or `postgres://...`.
        url: String,
        /// The schema, one for each service.
        schema: String,
    },
}

/// How large the pages of a SQLite file are. It is decided when the file is made; PostgreSQL has a size of its own.
///
/// A page is what SQLite reads, logs and copies back, however little of it is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pages {
    /// 4 KiB: for rows that come in order, such as a log's, and for large ones.
    #[default]
    Usual,
    /// 1 KiB: for small rows of many owners. Each change lands on a few pages far from those of the change before it, and costs a quarter there.
    Small,
}

/// Which store a service uses, as a part of its configuration.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreSettings {
    /// The kind.
    pub kind: StoreKind,
    /// PostgreSQL's connection string; empty for SQLite.
    pub url: String,
}

/// The kinds of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// A file in the data directory.
    Sqlite,
    /// A schema in a PostgreSQL database.
    Postgres,
}

// === impl StoreConfig ===

impl StoreConfig {
    /// A SQLite file.
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self::Sqlite { path: path.into() }
    }

    /// A PostgreSQL schema.
    pub fn postgres(url: impl Into<String>, schema: impl Into<String>) -> Self {
        Self::Postgres { url: url.into(), schema: schema.into() }
    }
}

impl fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { path } => f.debug_struct("Sqlite").field("path", path).finish(),
            // A connection string has a password in it.
            Self::Postgres { schema, .. } => {
                f.debug_struct("Postgres").field("schema", schema).finish_non_exhaustive()
            }
        }
    }
}

// === impl Pages ===

impl Pages {
    pub(crate) const fn bytes(self) -> i64 {
        match self {
            Self::Usual => 4_096,
            Self::Small => 1_024,
        }
    }
}

// === impl StoreSettings ===

impl StoreSettings {
    /// The store of a service: `<service>.db` in its data directory, or the schema of its name.
    #[must_use]
    pub fn of(&self, service: &str, data_dir: &Path) -> StoreConfig {
        match self.kind {
            StoreKind::Sqlite => StoreConfig::sqlite(data_dir.join(format!("{service}.db"))),
            StoreKind::Postgres => StoreConfig::postgres(&self.url, service),
        }
    }
}

impl fmt::Debug for StoreSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL has a password in it.
        f.debug_struct("StoreSettings").field("kind", &self.kind).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        let url = "postgres://pathway:canary@localhost/pathway".to_owned();
        let settings = StoreSettings { kind: StoreKind::Postgres, url };
        let shown = format!("{settings:?} {:?}", settings.of("datasync", Path::new("data")));
        assert!(shown.contains("Postgres") && shown.contains("datasync"), "{shown}");
        assert!(!shown.contains("canary"), "{shown}");
    }
}
