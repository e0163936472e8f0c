//! Waking those who wait within this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// A cursor's name: topic, group, partition.
type Cursor = (String, String, i32);

/// Who waits for what; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signals(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// For each topic, how many events this process has appended.
    appends: Mutex<HashMap<String, watch::Sender<u64>>>,
    /// For each cursor, the furthest that this process has heard of.
    cursors: Mutex<HashMap<Cursor, watch::Sender<i64>>>,
}

// === impl Signals ===

impl Signals {
    pub(crate) fn appended(&self, topic: &str, events: u64) {
        self.appends(topic).send_modify(|count| *count = count.wrapping_add(events));
    }

    pub(crate) fn subscribe_appends(&self, topic: &str) -> watch::Receiver<u64> {
        self.appends(topic).subscribe()
    }

    pub(crate) fn committed(&self, topic: &str, group: &str, partition: i32, next: i64) {
        // Two commits may report in the other order; a cursor that seemed to go back would leave somebody waiting.
        self.cursor(topic, group, partition).send_if_modified(|known| {
            let further = next > *known;
            *known = next.max(*known);
            further
        });
    }

    pub(crate) fn subscribe_cursor(&self, topic: &str, group: &str, partition: i32) -> watch::Receiver<i64> {
        self.cursor(topic, group, partition).subscribe()
    }

    fn appends(&self, topic: &str) -> watch::Sender<u64> {
        let mut appends = self.0.appends.lock().unwrap_or_else(PoisonError::into_inner);
        appends.entry(topic.to_owned()).or_default().clone()
    }

    fn cursor(&self, topic: &str, group: &str, partition: i32) -> watch::Sender<i64> {
        let mut cursors = self.0.cursors.lock().unwrap_or_else(PoisonError::into_inner);
        cursors.entry((topic.to_owned(), group.to_owned(), partition)).or_default().clone()
    }
}
