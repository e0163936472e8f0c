//! The writer: one thread, one connection, and as few trips to the disk as there can be.
//!
//! # Why group commit
//!
//! A commit is durable once the disk says so, and the disk takes its time: between 0.1 and 10 ms for an `fsync`, against some 10 µs for the
//! transaction itself. A store that answers after its own `fsync` therefore does a few hundred transactions a second, and its processor
//! idles. There are three ways out:
//!
//! - *Do not wait.* `synchronous=NORMAL` acknowledges what a power cut takes back. A backbone that loses acknowledged events is none.
//! - *Make callers batch.* They do where they can, but a hundred users who each publish one event share no code that could.
//! - *Let the disk's slowness do the batching.* While it works for one group, the next gathers in the queue.
//!
//! This is the third. The thread takes the transaction at the head of the queue, opens a SQLite transaction, and runs in it whatever else has
//! arrived; when the queue is empty or the group is full, it commits, **and only then answers anyone**. Nobody waits for company: a lone
//! transaction finds the queue empty and commits at once, so an idle store answers in one `fsync`, and a busy one needs one for hundreds.
//! There is no timer to tune, because load is the timer.
//!
//! # Why savepoints
//!
//! Strangers who share a commit must not share a fate. Each transaction runs in a `SAVEPOINT` of its own: its error, or its panic, rolls back
//! to where it began and leaves the work of those before it as it was. A savepoint costs no I/O, but SQLite copies each page that is changed
//! under one; so whoever has nothing before it to leave as it was, the first of a group, goes without. What is lost by it is isolation *within*
//! the group: a transaction sees what its predecessors wrote before that is durable. That is harmless, since the group stands or falls
//! as one: whoever built on a neighbour's row is acknowledged by the same commit as the neighbour, or not at all.
//!
//! So there are three fates:
//!
//! | what happens | who learns of it |
//! |---|---|
//! | a transaction answers an error, or panics | that transaction; its savepoint is rolled back |
//! | SQLite gives the whole group up on its own (a full disk, an I/O error), or the `COMMIT` fails | every member that had succeeded: none of it is kept |
//! | the process dies | nobody was told that it is done; the log recovers to the last commit |
//!
//! The second is easily missed. After some failures SQLite rolls back everything rather than the statement, leaving no transaction
//! open, and the next member's `SAVEPOINT` would silently begin one of its own. So the thread asks after each member whether the group
//! is still there.
//!
//! A closure runs on the thread that everybody waits for. It should compute what it can before it asks for the transaction.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use pathway_telemetry::Telemetry;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::{SqliteTx, step};
use crate::observer::Observer;
use crate::{StoreError, Tx};

/// How many transactions may wait here; more wait at their callers', which is what slows an eager producer down.
const QUEUE: usize = 1_024;
/// How many transactions share a commit: enough to make the disk's share of each small, few enough that the first is not kept waiting by
/// those that came after it.
const GROUP: usize = 256;

/// The writer thread; it ends, after what waits is done, when this is closed or dropped.
#[derive(Debug)]
pub(crate) struct Writer {
    // Taken on drop: the thread ends once no sender is left.
    queue: Option<mpsc::Sender<Message>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

enum Message {
    Run(Box<dyn Member>),
    /// Take no more, and end once what waits is done.
    Close,
}

/// A transaction on its way through a group. Its types are its own affair; the thread knows these steps.
trait Member: Send {
    /// How long it has waited.
    fn waited(&self) -> Duration;

    /// Runs it and keeps what it answers; says whether it left anything to commit. It needs no savepoint where it is the first to do so. An error
    /// says that the *group* is lost, not that the member is.
    fn run(&mut self, connection: &Connection, is_first: bool) -> Result<bool, StoreError>;

    /// Answers the caller, given what became of the group.
    fn acknowledge(self: Box<Self>, group: Result<(), StoreError>);
}

struct Request<F, T, E> {
    transaction: F,
    queued: Instant,
    outcome: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

struct Thread {
    connection: Connection,
    queue: mpsc::Receiver<Message>,
    observer: Arc<Observer>,
}

// === impl Writer ===

impl Writer {
    pub(super) fn start(connection: Connection, observer: Arc<Observer>) -> Result<Self, StoreError> {
        let (sender, queue) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || Thread { connection, queue, observer }.run())
            .map_err(StoreError::internal)?;
        Ok(Self { queue: Some(sender), thread: Mutex::new(Some(thread)) })
    }

    pub(super) async fn write<T, E, F>(&self, transaction: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        let queue = self.queue.as_ref().ok_or_else(StoreError::closed)?;
        let (reply, answer) = oneshot::channel();
        let request = Box::new(Request { transaction, queued: Instant::now(), outcome: None, reply });
        queue.send(Message::Run(request)).await.map_err(|_| StoreError::closed())?;
        answer.await.map_err(|_| StoreError::closed())?
    }

    /// Tells how many transactions wait, whenever it is asked.
    pub(super) fn tell(&self, telemetry: &Telemetry) {
        let Some(queue) = self.queue.as_ref().map(mpsc::Sender::downgrade) else { return };
        let length = move || queue.upgrade().map(|queue| queue.max_capacity() - queue.capacity());
        // It is asked for as long as the meter is; a store that is closed has nothing to say.
        let _ = telemetry
            .meter()
            .u64_observable_gauge("pathway.store.queue.length")
            .with_unit("{transaction}")
            .with_description("Transactions that wait for the writer")
            .with_callback(move |gauge| {
                if let Some(length) = length() {
                    gauge.observe(u64::try_from(length).unwrap_or(u64::MAX), &[]);
                }
            })
            .build();
    }

    /// Finishes what waits and closes the file.
    pub(super) async fn close(&self) {
        if let Some(queue) = &self.queue {
            // Where this fails, somebody else has closed it.
            let _ = queue.send(Message::Close).await;
        }
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // A transaction may own the last handle, and its thread cannot wait for itself.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }
}

// === impl Thread ===

impl Thread {
    fn run(mut self) {
        while let Some(message) = self.queue.blocking_recv() {
            match message {
                Message::Run(first) => self.commit_group(first),
                Message::Close => self.queue.close(),
            }
        }
        // Lets the next start skip the log's replay; failing to is harmless.
        let _ = self.connection.execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE);");
    }

    fn commit_group(&mut self, first: Box<dyn Member>) {
        let mut group = vec![first];
        match self.run_group(&mut group) {
            Ok(()) => {
                group.into_iter().for_each(|member| member.acknowledge(Ok(())));
            }
            Err(error) => {
                self.roll_back();
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    transactions = group.len(),
                    "a group commit failed"
                );
                let error = Arc::new(error);
                group.into_iter().for_each(|member| member.acknowledge(Err(StoreError::shared(&error))));
            }
        }
    }

    /// Runs the group and whoever joins it, and commits. The group comes to hold everybody who must hear of the result.
    fn run_group(&mut self, group: &mut Vec<Box<dyn Member>>) -> Result<(), StoreError> {
        // Immediate: the lock is taken before the first member runs, so none ever fails for want of it.
        step(&self.connection, "BEGIN IMMEDIATE")?;
        let (mut ran, mut is_first) = (0, true);
        while let Some(member) = group.get_mut(ran) {
            self.observer.waited(member.waited());
            is_first &= !member.run(&self.connection, is_first)?;
            ran += 1;
            if ran < GROUP {
                group.extend(self.next_in_queue());
            }
        }
        let begun = Instant::now();
        step(&self.connection, "COMMIT")?;
        self.observer.committed(group.len(), begun.elapsed());
        Ok(())
    }

    fn next_in_queue(&mut self) -> Option<Box<dyn Member>> {
        match self.queue.try_recv().ok()? {
            Message::Run(member) => Some(member),
            Message::Close => {
                self.queue.close();
                None
            }
        }
    }

    /// Without this the next group would find itself inside a failed one.
    fn roll_back(&self) {
        if self.connection.is_autocommit() {
            return;
        }
        if let Err(error) = step(&self.connection, "ROLLBACK") {
            tracing::error!(error = &error as &dyn std::error::Error, "a rollback failed");
        }
    }
}

// === impl Request ===

impl<F, T, E> Member for Request<F, T, E>
where
    F: Fn(&mut Tx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn waited(&self) -> Duration {
        self.queued.elapsed()
    }

    fn run(&mut self, connection: &Connection, is_first: bool) -> Result<bool, StoreError> {
        if !is_first {
            step(connection, "SAVEPOINT member")?;
        }
        let mut tx = Tx::sqlite(SqliteTx(connection));
        let ran = catch_unwind(AssertUnwindSafe(|| (self.transaction)(&mut tx)));
        let answer = ran.unwrap_or_else(|_| Err(StoreError::internal("a transaction panicked").into()));
        let outcome = tx.settle(answer);
        let succeeded = outcome.is_ok();
        self.outcome = Some(outcome);

        if connection.is_autocommit() {
            return Err(StoreError::Unavailable("a failure inside the group rolled all of it back".into()));
        }
        match (is_first, succeeded) {
            (true, true) => {}
            (true, false) => {
                step(connection, "ROLLBACK")?;
                step(connection, "BEGIN IMMEDIATE")?;
            }
            (false, true) => step(connection, "RELEASE member")?,
            (false, false) => {
                step(connection, "ROLLBACK TO member")?;
                step(connection, "RELEASE member")?;
            }
        }
        Ok(succeeded)
    }

    fn acknowledge(self: Box<Self>, group: Result<(), StoreError>) {
        let answer = match (self.outcome, group) {
            // Its own error says more than what became of the others.
            (Some(Err(error)), _) => Err(error),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (_, Err(error)) => Err(error.into()),
            (None, Ok(())) => Err(StoreError::internal("a transaction was passed over").into()),
        };
        // A caller that went away has its transaction committed all the same.
        let _ = self.reply.send(answer);
    }
}
