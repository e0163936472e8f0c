//! Calls that are done once, however often they come (AIP-155).
//!
//! A caller that has lost an answer cannot know whether its call was done. Most writes may simply be repeated, because they say what is to be: a record with this
//! identity, this version active. For those that say what is to *happen*, such as appending events, the caller names its call by a `request_id`. The answer is
//! kept under it in the transaction that does the work, so there is no moment at which the one is there without the other; and the same call again
//! is answered from there.
//!
//! # What is the same call
//! The same method, id and request. Another request under a known id is a mistake of the caller's, and is refused: to answer it with what another request
//! came to would be worse than any error. The requests are compared by their SHA-256.
//!
//! # For how long
//! [`WINDOW`]: long enough for a client that was away over night, and short enough that the table stays small. What is older goes when the next call is kept.
//!
//! # What is not kept
//! A call that failed as a whole has changed nothing, and may be done when it comes again under its id.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::{Migration, StoreError, Tx, Val};

/// How long an answer is kept.
pub const WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// The table of answers, for a service to add to its own; the number is reserved for it.
pub const REQUESTS: Migration =
    Migration { number: 910, name: "requests", sql: include_str!("../migrations/910_requests.sql") };

/// A call that is done once.
#[derive(Debug, Clone)]
pub struct Once {
    method: &'static str,
    request_id: String,
    digest: Vec<u8>,
    now_us: i64,
}

/// The row without its answer comes first: of two such calls at once, the second waits for the first, and then finds it.
const RESERVE: &str =
    "INSERT INTO requests (method, request_id, digest, answer, at_us) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (method, request_id) DO NOTHING";
const FIND: &str =
    "SELECT digest, answer FROM requests WHERE method = $1 AND request_id = $2 AND at_us >= $3";
const KEEP: &str = "UPDATE requests SET answer = $3 WHERE method = $1 AND request_id = $2";
const FORGET: &str = "DELETE FROM requests WHERE at_us < $1";

// === impl Once ===

impl Once {
    /// The call of a method with this id and this encoded request, without its id.
    #[must_use]
    pub fn new(method: &'static str, request_id: &str, request: &[u8], now_us: i64) -> Self {
        let digest = Sha256::digest(request).to_vec();
        Self { method, request_id: request_id.to_ascii_lowercase(), digest, now_us }
    }

    /// The same, among a user's own ids: what another has used stands in nobody's way, and nobody learns of it.
    #[must_use]
    pub fn of(mut self, user_id: &str) -> Self {
        self.request_id = format!("{user_id}/{}", self.request_id);
        self
    }

    /// What the same call was answered before, if it was done.
    ///
    /// # Errors
    /// [`StoreError::RequestIdReused`] where another request had this id; or what the store answers.
    pub fn find(&self, tx: &mut Tx<'_>) -> Result<Option<Vec<u8>>, StoreError> {
        let key = [self.method.into(), Val::from(&self.request_id), self.oldest().into()];
        match tx.query(FIND, &key)?.first() {
            None => Ok(None),
            Some(row) if row.blob(0)? == self.digest => Ok(Some(row.blob(1)?.to_vec())),
            Some(_) => Err(StoreError::RequestIdReused),
        }
    }

    /// Begins the call, in the transaction that does it. Where this answers something, it was done before and must not be done again.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn begin(&self, tx: &mut Tx<'_>) -> Result<Option<Vec<u8>>, StoreError> {
        tx.execute(FORGET, &[self.oldest().into()])?;
        let row = [
            self.method.into(),
            Val::from(&self.request_id),
            Val::from(self.digest.as_slice()),
            Val::Blob(Vec::new()),
            self.now_us.into(),
        ];
        if tx.execute(RESERVE, &row)? > 0 { Ok(None) } else { self.find(tx) }
    }

    /// Keeps the answer, in the same transaction.
    ///
    /// # Errors
    /// What the store answers.
    pub fn end(&self, tx: &mut Tx<'_>, answer: &[u8]) -> Result<(), StoreError> {
        tx.execute(KEEP, &[self.method.into(), Val::from(&self.request_id), Val::from(answer)])?;
        Ok(())
    }

    fn oldest(&self) -> i64 {
        self.now_us.saturating_sub(i64::try_from(WINDOW.as_micros()).unwrap_or(i64::MAX))
    }
}
