//! Statements over a connection, prepared once and pipelined.

use std::error::Error;
use std::fmt;

use bytes::BytesMut;
use deadpool_postgres::Object;
use futures_util::future::try_join_all;
use tokio::runtime::Handle;
use tokio_postgres::Statement;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::{Row, StoreError, Val};

/// A connection inside a transaction, driven from a blocking thread.
pub(crate) struct PgTx<'a> {
    handle: &'a Handle,
    client: &'a Object,
    lost_race: bool,
}

// === impl PgTx ===

impl<'a> PgTx<'a> {
    pub(super) const fn new(handle: &'a Handle, client: &'a Object) -> Self {
        Self { handle, client, lost_race: false }
    }

    /// Whether a statement failed because of another transaction, whatever the closure made of it.
    pub(crate) const fn lost_race(&self) -> bool {
        self.lost_race
    }

    pub(crate) fn query(&mut self, sql: &'static str, params: &[Val]) -> Result<Vec<Row>, StoreError> {
        let mut answers = self.query_many(sql, std::slice::from_ref(&params))?;
        Ok(answers.pop().unwrap_or_default())
    }

    pub(crate) fn query_many<P: AsRef<[Val]>>(
        &mut self,
        sql: &'static str,
        keys: &[P],
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        let client = self.client;
        let statement = self.prepare(sql, keys)?;
        let result = self.handle.block_on(async {
            // Polled together, the requests go out together: one round trip for all of them.
            let answers = keys.iter().map(|key| {
                let params = as_params(key.as_ref());
                let statement = &statement;
                async move { client.query(statement, &params).await }
            });
            try_join_all(answers).await
        });
        let answers = self.noting(result)?;
        answers.iter().map(|rows| rows.iter().map(from_postgres).collect()).collect()
    }

    pub(crate) fn execute_many<P: AsRef<[Val]>>(
        &mut self,
        sql: &'static str,
        rows: &[P],
    ) -> Result<u64, StoreError> {
        let client = self.client;
        let statement = self.prepare(sql, rows)?;
        let result = self.handle.block_on(async {
            let changes = rows.iter().map(|row| {
                let params = as_params(row.as_ref());
                let statement = &statement;
                async move { client.execute(statement, &params).await }
            });
            try_join_all(changes).await
        });
        Ok(self.noting(result)?.into_iter().sum())
    }

    /// Prepares a statement once for each connection, and sees that each row has a value for each parameter: the driver would panic.
    fn prepare<P: AsRef<[Val]>>(&mut self, sql: &'static str, rows: &[P]) -> Result<Statement, StoreError> {
        let statement = self.handle.block_on(self.client.prepare_cached(sql));
        let statement = self.noting(statement)?;
        let expected = statement.params().len();
        match rows.iter().map(|row| row.as_ref().len()).find(|given| *given != expected) {
            Some(given) => {
                Err(StoreError::internal(format!("a statement of {expected} parameters was given {given}")))
            }
            None => Ok(statement),
        }
    }

    fn noting<T>(&mut self, result: Result<T, tokio_postgres::Error>) -> Result<T, StoreError> {
        let result = result.map_err(StoreError::from);
        self.lost_race |= matches!(result, Err(StoreError::Conflict(_)));
        result
    }
}

impl fmt::Debug for PgTx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PgTx")
    }
}

fn as_params(values: &[Val]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

impl ToSql for Val {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::I64(value) if *ty == Type::INT4 => i32::try_from(*value)?.to_sql(ty, out),
            Self::I64(value) => value.to_sql_checked(ty, out),
            Self::F64(value) => value.to_sql_checked(ty, out),
            Self::Text(value) => value.to_sql_checked(ty, out),
            Self::Blob(value) => value.to_sql_checked(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        // Each value checks its own type, because a `Val` may be any of them.
        true
    }

    to_sql_checked!();
}

fn from_postgres(row: &tokio_postgres::Row) -> Result<Row, StoreError> {
    let value = |index: usize| -> Result<Val, StoreError> {
        let ty = row.columns()[index].type_();
        Ok(match *ty {
            Type::INT8 => row.try_get::<_, Option<i64>>(index)?.into(),
            Type::INT4 => row.try_get::<_, Option<i32>>(index)?.into(),
            Type::FLOAT8 => row.try_get::<_, Option<f64>>(index)?.into(),
            Type::TEXT | Type::VARCHAR => row.try_get::<_, Option<String>>(index)?.into(),
            Type::BYTEA => row.try_get::<_, Option<Vec<u8>>>(index)?.into(),
            Type::BOOL => row.try_get::<_, Option<bool>>(index)?.into(),
            _ => {
                return Err(StoreError::Column { index, expected: "BIGINT, DOUBLE PRECISION, TEXT or BLOB" });
            }
        })
    };
    Ok(Row((0..row.len()).map(value).collect::<Result<_, _>>()?))
}
