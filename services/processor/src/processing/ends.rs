//! Executions as they end, told to whoever watches.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

use crate::store::Execution;

/// Tells of executions; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Ends {
    sender: broadcast::Sender<EndedBatch>,
    /// How many executions have been told of.
    told: Arc<Mutex<u64>>,
}

/// The executions of a batch that has ended.
#[derive(Debug, Clone)]
pub(crate) struct EndedBatch {
    pub(crate) executions: Arc<Vec<Execution>>,
    /// How many executions had been told of before, since the process was started: whoever missed batches knows by it how many executions that were.
    pub(crate) before: u64,
}

/// How many batches a slow watcher may fall behind.
const BEHIND: usize = 256;

// === impl Ends ===

impl Ends {
    pub(crate) fn new() -> Self {
        Self::keeping(BEHIND)
    }

    fn keeping(behind: usize) -> Self {
        Self { sender: broadcast::Sender::new(behind), told: Arc::default() }
    }

    /// The batches that end from now on, and how many executions have been told of until now.
    pub(crate) fn watch(&self) -> (broadcast::Receiver<EndedBatch>, u64) {
        let told = self.lock();
        (self.sender.subscribe(), *told)
    }

    /// Tells of a batch.
    pub(crate) fn tell(&self, executions: Arc<Vec<Execution>>) {
        // Counted and sent as one, so that counts arrive in their order.
        let mut told = self.lock();
        let before = *told;
        *told += u64::try_from(executions.len()).unwrap_or_default();
        // Nobody may be watching.
        let _ = self.sender.send(EndedBatch { executions, before });
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Ends {
    /// One that keeps so few batches that a test can fall behind.
    pub(crate) fn of_few(behind: usize) -> Self {
        Self::keeping(behind)
    }
}
