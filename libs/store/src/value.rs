//! Values and rows, the same for both stores.

use crate::StoreError;

/// A value in a statement or a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Val {
    /// SQL NULL.
    Null,
    /// BIGINT.
    I64(i64),
    /// DOUBLE PRECISION.
    F64(f64),
    /// TEXT.
    Text(String),
    /// BLOB, BYTEA in PostgreSQL.
    Blob(Vec<u8>),
}

/// A row of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Row(pub(crate) Vec<Val>);

// === impl Val ===

impl From<i64> for Val {
    fn from(value: i64) -> Self {
        Self::I64(value)
    }
}

impl From<i32> for Val {
    fn from(value: i32) -> Self {
        Self::I64(value.into())
    }
}

impl From<bool> for Val {
    fn from(value: bool) -> Self {
        Self::I64(value.into())
    }
}

impl From<f64> for Val {
    fn from(value: f64) -> Self {
        Self::F64(value)
    }
}

impl From<&str> for Val {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<&String> for Val {
    fn from(value: &String) -> Self {
        Self::Text(value.clone())
    }
}

impl From<String> for Val {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<Vec<u8>> for Val {
    fn from(value: Vec<u8>) -> Self {
        Self::Blob(value)
    }
}

impl From<&[u8]> for Val {
    fn from(value: &[u8]) -> Self {
        Self::Blob(value.to_vec())
    }
}

impl From<[u8; 16]> for Val {
    fn from(value: [u8; 16]) -> Self {
        Self::Blob(value.to_vec())
    }
}

impl<T: Into<Self>> From<Option<T>> for Val {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

// === impl Row ===

impl Row {
    /// Its columns.
    #[must_use]
    pub fn values(&self) -> &[Val] {
        &self.0
    }

    /// Its columns, given away: the way to take a large value without a copy.
    #[must_use]
    pub fn into_values(self) -> Vec<Val> {
        self.0
    }

    fn value(&self, index: usize, expected: &'static str) -> Result<&Val, StoreError> {
        self.0.get(index).ok_or(StoreError::Column { index, expected })
    }

    /// A BIGINT.
    ///
    /// # Errors
    /// Where the column is something else.
    pub fn i64(&self, index: usize) -> Result<i64, StoreError> {
        self.opt_i64(index)?.ok_or(StoreError::Column { index, expected: "BIGINT" })
    }

    /// A BIGINT that holds an `i32`.
    ///
    /// # Errors
    /// Where the column is something else or too large.
    pub fn i32(&self, index: usize) -> Result<i32, StoreError> {
        i32::try_from(self.i64(index)?).map_err(|_| StoreError::Column { index, expected: "a 32-bit number" })
    }

    /// A BIGINT that holds a truth value.
    ///
    /// # Errors
    /// Where the column is something else.
    pub fn bool(&self, index: usize) -> Result<bool, StoreError> {
        Ok(self.i64(index)? != 0)
    }

    /// A BIGINT or NULL.
    ///
    /// # Errors
    /// Where the column is something else.
    pub fn opt_i64(&self, index: usize) -> Result<Option<i64>, StoreError> {
        match self.value(index, "BIGINT")? {
            Val::I64(value) => Ok(Some(*value)),
            Val::Null => Ok(None),
            _ => Err(StoreError::Column { index, expected: "BIGINT" }),
        }
    }

    /// A TEXT.
    ///
    /// # Errors
    /// Where the column is something else.
    pub fn text(&self, index: usize) -> Result<&str, StoreError> {
        self.opt_text(index)?.ok_or(StoreError::Column { index, expected: "TEXT" })
    }

    /// A TEXT or NULL.
    ///
    /// # Errors
    /// Where the column is something else.
    pub fn opt_text(&self, index: usize) -> Result<Option<&str>, StoreError> {
        match self.value(index, "TEXT")? {
            Val::Text(value) => Ok(Some(value)),
            Val::Null => Ok(None),
            _ => Err(StoreError::Column { index, expected: "TEXT" }),
        }
    }

    /// A BLOB.
    ///
    /// # Errors
    /// Where the column is something else.
    pub fn blob(&self, index: usize) -> Result<&[u8], StoreError> {
        match self.value(index, "BLOB")? {
            Val::Blob(value) => Ok(value),
            _ => Err(StoreError::Column { index, expected: "BLOB" }),
        }
    }

    /// A BLOB of 16 bytes: an id.
    ///
    /// # Errors
    /// Where the column is something else.
    pub fn id(&self, index: usize) -> Result<[u8; 16], StoreError> {
        self.blob(index)?.try_into().map_err(|_| StoreError::Column { index, expected: "an id of 16 bytes" })
    }
}
