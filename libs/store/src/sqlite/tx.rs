//! Statements over a connection, through its cache of prepared ones.
//!
//! To SQLite, `$2` is not the second parameter but a parameter *named* `$2`, and it gets the index at which it first occurs: in
//! `SET a = $2 WHERE b = $1` the index of `$2` is 1. Binding by position would swap the two and say nothing. So each statement is asked for
//! the places of its names, once for a whole batch.

use std::fmt;

use rusqlite::types::{ToSql, ToSqlOutput, Value, ValueRef};
use rusqlite::{CachedStatement, Connection};

use crate::{Row, StoreError, Val};

/// A connection inside a transaction.
pub(crate) struct SqliteTx<'a>(pub(crate) &'a Connection);

// === impl SqliteTx ===

impl SqliteTx<'_> {
    pub(crate) fn query(&mut self, sql: &'static str, params: &[Val]) -> Result<Vec<Row>, StoreError> {
        let mut statement = self.0.prepare_cached(sql)?;
        let places = places(&statement, params.len())?;
        bind(&mut statement, &places, params)?;
        let columns = statement.column_count();
        let (mut rows, mut answer) = (statement.raw_query(), Vec::new());
        while let Some(row) = rows.next()? {
            let values =
                (0..columns).map(|index| row.get_ref(index).map_err(StoreError::from).and_then(from_sqlite));
            answer.push(Row(values.collect::<Result<_, _>>()?));
        }
        Ok(answer)
    }

    pub(crate) fn execute_many<P: AsRef<[Val]>>(
        &mut self,
        sql: &'static str,
        rows: &[P],
    ) -> Result<u64, StoreError> {
        let Some(first) = rows.first() else { return Ok(0) };
        let mut statement = self.0.prepare_cached(sql)?;
        let places = places(&statement, first.as_ref().len())?;
        let mut changed = 0;
        for row in rows {
            bind(&mut statement, &places, row.as_ref())?;
            // To its end, so that a `RETURNING` which nobody reads is no mistake, as it is none in PostgreSQL.
            let mut answers = statement.raw_query();
            while answers.next()?.is_some() {}
            drop(answers);
            changed += self.0.changes();
        }
        Ok(changed)
    }
}

impl fmt::Debug for SqliteTx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqliteTx")
    }
}

/// Where each parameter is bound: `$1` to `$count`, each of them used and no other, which PostgreSQL demands too. SQLite would bind NULL to
/// one that was forgotten.
fn places(statement: &CachedStatement<'_>, count: usize) -> Result<Vec<usize>, StoreError> {
    let expected = statement.parameter_count();
    if expected != count {
        return Err(StoreError::internal(format!("a statement of {expected} parameters was given {count}")));
    }
    (1..=count)
        .map(|number| {
            let place = statement.parameter_index(&format!("${number}"))?;
            place.ok_or_else(|| StoreError::internal(format!("the statement has no parameter ${number}")))
        })
        .collect()
}

fn bind(statement: &mut CachedStatement<'_>, places: &[usize], params: &[Val]) -> Result<(), StoreError> {
    let (expected, given) = (places.len(), params.len());
    if expected != given {
        // The row before it would lend its values.
        return Err(StoreError::internal(format!(
            "a row of {given} parameters stands among rows of {expected}"
        )));
    }
    for (place, value) in places.iter().zip(params) {
        statement.raw_bind_parameter(*place, value)?;
    }
    Ok(())
}

fn from_sqlite(value: ValueRef<'_>) -> Result<Val, StoreError> {
    Ok(match value {
        ValueRef::Null => Val::Null,
        ValueRef::Integer(value) => Val::I64(value),
        ValueRef::Real(value) => Val::F64(value),
        ValueRef::Text(text) => Val::Text(
            std::str::from_utf8(text).map_err(|error| StoreError::Internal(error.into()))?.to_owned(),
        ),
        ValueRef::Blob(bytes) => Val::Blob(bytes.to_vec()),
    })
}

impl ToSql for Val {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::I64(value) => ToSqlOutput::Owned(Value::Integer(*value)),
            Self::F64(value) => ToSqlOutput::Owned(Value::Real(*value)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Blob(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}
