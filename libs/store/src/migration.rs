//! Embedded, numbered migrations.
//!
//! A migration that has been applied is history: its checksum is kept, and a program that carries another text under the same number, or that
//! lacks one which the store has, refuses to start. Guessing would risk the data.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use sha2::{Digest as _, Sha256};

use crate::StoreError;

/// One step of a schema.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Its place in the order; unique.
    pub number: i64,
    /// What it does, for people.
    pub name: &'static str,
    /// Statements in the dialects' common part.
    pub sql: &'static str,
}

/// Where the applied ones are kept; made before anything else.
pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (number BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL)";
pub(crate) const APPLIED: &str = "SELECT number, checksum FROM schema_migrations ORDER BY number";
pub(crate) const RECORD: &str = "INSERT INTO schema_migrations (number, name, checksum) VALUES ($1, $2, $3)";

// === impl Migration ===

impl Migration {
    /// SHA-256 of its text, in hexadecimal.
    pub(crate) fn checksum(&self) -> String {
        let mut hex = String::with_capacity(64);
        for byte in Sha256::digest(self.sql) {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }

    /// The failure of its statements, in the database's words.
    pub(crate) fn failed(&self, cause: &dyn Display) -> StoreError {
        let Self { number, name, .. } = self;
        StoreError::Migration(format!(
            "migration {number} ({name}) failed, and the schema is as it was: {cause}"
        ))
    }
}

/// What is left to apply, in order.
pub(crate) fn pending<'a>(
    wanted: &'a [Migration],
    applied: &[(i64, String)],
) -> Result<Vec<&'a Migration>, StoreError> {
    let mut by_number = BTreeMap::new();
    for migration in wanted {
        if by_number.insert(migration.number, migration).is_some() {
            return Err(StoreError::Migration(format!(
                "two migrations have the number {}",
                migration.number
            )));
        }
    }
    for (number, checksum) in applied {
        match by_number.remove(number) {
            None => {
                return Err(StoreError::Migration(format!(
                    "the store has migration {number}, which this program lacks: it belongs to a newer version"
                )));
            }
            Some(migration) if migration.checksum() != *checksum => {
                return Err(StoreError::Migration(format!(
                    "migration {number} ({}) differs from the one that was applied: restore its text and add a new one",
                    migration.name
                )));
            }
            Some(_) => {}
        }
    }
    Ok(by_number.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Migration = Migration { number: 1, name: "one", sql: "SELECT 1" };
    const TWO: Migration = Migration { number: 2, name: "two", sql: "SELECT 2" };

    #[test]
    fn what_is_missing_is_applied_in_order() {
        let numbers: Vec<i64> = pending(&[TWO, ONE], &[]).unwrap().iter().map(|m| m.number).collect();
        assert_eq!(numbers, [1, 2]);
        assert_eq!(pending(&[ONE, TWO], &[(1, ONE.checksum())]).unwrap().len(), 1);
    }

    #[test]
    fn a_changed_a_missing_and_a_doubled_one_are_refused() {
        assert!(pending(&[ONE], &[(1, TWO.checksum())]).unwrap_err().to_string().contains("differs"));
        assert!(pending(&[ONE], &[(2, TWO.checksum())]).unwrap_err().to_string().contains("newer"));
        assert!(pending(&[ONE, ONE], &[]).unwrap_err().to_string().contains("two"));
    }
}
