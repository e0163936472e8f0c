//! A transaction, as its closure sees it.

use crate::postgres::PgTx;
use crate::sqlite::SqliteTx;
use crate::{Row, StoreError, Val};

/// A transaction, as its closure sees it. It is committed where the closure answers `Ok` and rolled back otherwise.
///
/// **A failed statement dooms its transaction**: every later one is refused, and an `Ok` of the closure is not believed. PostgreSQL works like
/// that (worse: it answers the `COMMIT` of such a transaction with a friendly rollback); SQLite would go on, and a closure proven on the one
/// would lose rows on the other. A conflict that is expected is written as `ON CONFLICT`.
#[derive(Debug)]
pub struct Tx<'a> {
    session: Session<'a>,
    doomed: bool,
    /// The statements so far, where somebody wants to know.
    statements: Option<Vec<&'static str>>,
}

#[derive(Debug)]
enum Session<'a> {
    Sqlite(SqliteTx<'a>),
    Postgres(PgTx<'a>),
}

// === impl Tx ===

impl<'a> Tx<'a> {
    pub(crate) const fn sqlite(tx: SqliteTx<'a>) -> Self {
        Self { session: Session::Sqlite(tx), doomed: false, statements: None }
    }

    pub(crate) const fn postgres(tx: PgTx<'a>) -> Self {
        Self { session: Session::Postgres(tx), doomed: false, statements: None }
    }

    /// From now on, keeps what statements there were.
    pub(crate) fn remember_statements(&mut self) {
        self.statements = Some(Vec::new());
    }

    /// Those that were kept.
    pub(crate) fn statements(&self) -> &[&'static str] {
        self.statements.as_deref().unwrap_or_default()
    }

    /// What the transaction comes to, given what its closure answered.
    pub(crate) fn settle<T, E: From<StoreError>>(&self, answer: Result<T, E>) -> Result<T, E> {
        match answer {
            Ok(_) if self.doomed => Err(passed_over().into()),
            answer => answer,
        }
    }

    /// The rows that a statement answers.
    ///
    /// # Errors
    /// Where the store refuses it, or refused one before it.
    pub fn query(&mut self, sql: &'static str, params: &[Val]) -> Result<Vec<Row>, StoreError> {
        self.attempt(sql, |session| match session {
            Session::Sqlite(tx) => tx.query(sql, params),
            Session::Postgres(tx) => tx.query(sql, params),
        })
    }

    /// How many rows a statement changed.
    ///
    /// # Errors
    /// Where the store refuses it, or refused one before it.
    pub fn execute(&mut self, sql: &'static str, params: &[Val]) -> Result<u64, StoreError> {
        self.execute_many(sql, std::slice::from_ref(&params))
    }

    /// How many rows one statement changed, run for each of `rows` in order: prepared once, and pipelined in PostgreSQL.
    ///
    /// # Errors
    /// Where the store refuses one of them, or refused one before it.
    pub fn execute_many<P: AsRef<[Val]> + Sync>(
        &mut self,
        sql: &'static str,
        rows: &[P],
    ) -> Result<u64, StoreError> {
        if rows.is_empty() {
            return Ok(0);
        }
        self.attempt(sql, |session| match session {
            Session::Sqlite(tx) => tx.execute_many(sql, rows),
            Session::Postgres(tx) => tx.execute_many(sql, rows),
        })
    }

    /// The rows that one statement answers for each of `keys`, one list for each, in order.
    ///
    /// # Errors
    /// Where the store refuses one of them, or refused one before it.
    pub fn query_many<P: AsRef<[Val]> + Sync>(
        &mut self,
        sql: &'static str,
        keys: &[P],
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.attempt(sql, |session| match session {
            Session::Sqlite(tx) => keys.iter().map(|params| tx.query(sql, params.as_ref())).collect(),
            Session::Postgres(tx) => tx.query_many(sql, keys),
        })
    }

    /// Whether another transaction won a race against this one.
    pub(crate) const fn lost_race(&self) -> bool {
        match &self.session {
            Session::Sqlite(_) => false,
            Session::Postgres(tx) => tx.lost_race(),
        }
    }

    fn attempt<T>(
        &mut self,
        sql: &'static str,
        run: impl FnOnce(&mut Session<'a>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if self.doomed {
            return Err(passed_over());
        }
        if let Some(statements) = &mut self.statements {
            statements.push(sql);
        }
        let result = run(&mut self.session);
        self.doomed = result.is_err();
        result
    }
}

fn passed_over() -> StoreError {
    StoreError::internal("a failed statement was passed over by its transaction")
}
