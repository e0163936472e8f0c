//! Running a transaction until it is decided.
//!
//! A serializable transaction that PostgreSQL cannot fit in with the others fails with a *serialization failure*, and running it again is
//! the documented answer: nothing of it was kept, and the other one is done by now. The waits between attempts grow and differ by chance,
//! so that two which collided do not collide again.
//!
//! A commit whose answer is lost with its connection is *not* run again: it may have been kept. Its caller hears that the store cannot be
//! reached, and finds out by doing the same thing again, which every operation of the mesh is made for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use deadpool_postgres::Object;
use pathway_kernel::Rng;
use tokio::runtime::Handle;

use super::{Isolation, PgTx};
use crate::{StoreError, Tx};

/// How often a transaction that lost a race is run before the caller is told.
const ATTEMPTS: u32 = 12;
/// The wait after the first lost race, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(2);
const LONGEST_WAIT: Duration = Duration::from_millis(250);

enum Attempt<T, E> {
    /// Decided, one way or the other.
    Done(Result<T, E>),
    /// Undone, because of another transaction.
    LostRace(E),
    /// The connection is in a state that nobody knows.
    Broken(E),
}

/// Runs a transaction until it commits, fails for good, or has lost too many races.
pub(super) fn run<T, E: From<StoreError>>(
    handle: &Handle,
    client: Object,
    isolation: Isolation,
    transaction: &impl Fn(&mut Tx<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let rng = Rng::system();
    let mut wait = FIRST_WAIT;
    let mut attempts = 1;
    loop {
        match attempt(handle, &client, isolation, transaction) {
            Attempt::Done(result) => return result,
            Attempt::LostRace(error) if attempts == ATTEMPTS => return Err(error),
            Attempt::LostRace(_) => {
                handle.block_on(tokio::time::sleep(wait.mul_f64(0.5 + rng.unit() / 2.0)));
                wait = (wait * 2).min(LONGEST_WAIT);
                attempts += 1;
            }
            Attempt::Broken(error) => {
                // The pool must not hand it on.
                drop(Object::take(client));
                return Err(error);
            }
        }
    }
}

fn attempt<T, E: From<StoreError>>(
    handle: &Handle,
    client: &Object,
    isolation: Isolation,
    transaction: &impl Fn(&mut Tx<'_>) -> Result<T, E>,
) -> Attempt<T, E> {
    let step = |sql| handle.block_on(client.batch_execute(sql)).map_err(StoreError::from);
    if let Err(error) = step(isolation.begin()) {
        return Attempt::Broken(error.into());
    }
    let mut tx = Tx::postgres(PgTx::new(handle, client));
    // Unwinding past here would give the connection back with its transaction open, and the next would commit the half of this one.
    let ran = catch_unwind(AssertUnwindSafe(|| transaction(&mut tx)));
    let answer = ran.unwrap_or_else(|_| Err(StoreError::internal("a transaction panicked").into()));
    let result = tx.settle(answer);
    let ended = step(if result.is_ok() { "COMMIT" } else { "ROLLBACK" });
    match (ended, result) {
        (Err(error @ StoreError::Conflict(_)), _) => Attempt::LostRace(error.into()),
        // A deferred constraint speaks up at the end; the transaction is over and the connection is well.
        (Err(error @ StoreError::Constraint(_)), _) => Attempt::Done(Err(error.into())),
        (Err(error), _) => Attempt::Broken(error.into()),
        (Ok(()), Err(error)) if tx.lost_race() => Attempt::LostRace(error),
        (Ok(()), result) => Attempt::Done(result),
    }
}

// === impl Isolation ===

impl Isolation {
    const fn begin(self) -> &'static str {
        match self {
            Self::Serializable => "BEGIN ISOLATION LEVEL SERIALIZABLE",
            Self::ReadCommitted => "BEGIN ISOLATION LEVEL READ COMMITTED",
            Self::Snapshot => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
    }
}
