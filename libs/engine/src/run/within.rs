//! The time that a batch has.

use std::time::Duration;

use tokio::time::Instant;

/// When the batch began and when it must have ended.
#[derive(Clone, Copy)]
pub(super) struct Within {
    pub(super) begun: Instant,
    pub(super) until: Option<Instant>,
    /// How many pathways wait for this one.
    pub(super) depth: u32,
}

// === impl Within ===

impl Within {
    /// Whether there is time for this wait.
    pub(super) fn leaves(&self, wait: Duration) -> bool {
        self.until.is_none_or(|until| Instant::now() + wait < until)
    }
}
