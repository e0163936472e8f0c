//! The workers: one for each partition of each pathway, as pathways come.

use std::collections::HashSet;
use std::time::Duration;

use pathway_kernel::Rng;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::processing::Processing;
use crate::worker::Worker;

/// How often to look for pathways that another process activated over the same database.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Starts a pathway's workers when it is first activated.
#[derive(Debug)]
pub(crate) struct Workers {
    processing: Processing,
    rng: Rng,
    /// The pathways that have their workers, by name and topic.
    started: HashSet<(String, String)>,
    tasks: TaskTracker,
}

// === impl Workers ===

impl Workers {
    pub(crate) fn new(processing: Processing, rng: Rng) -> Self {
        Self { processing, rng, started: HashSet::new(), tasks: TaskTracker::new() }
    }

    /// Works until `shutdown`, and until every worker has ended.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let _ = shutdown.clone().run_until_cancelled(self.start_as_they_come(&shutdown)).await;
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn start_as_they_come(&mut self, shutdown: &CancellationToken) {
        let mut changed = self.processing.registry.subscribe();
        loop {
            // Marked as seen before it is read: what changes after that wakes us again.
            changed.borrow_and_update();
            self.start_new(shutdown);
            if self.processing.store.db().is_shared() {
                let heard = tokio::time::timeout(LOOK_AGAIN, changed.changed()).await;
                if heard.is_err()
                    && let Err(error) = self.processing.registry.current().await
                {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "could not look for new pathways"
                    );
                }
            } else {
                // The sender lives in the processing that we hold.
                let _ = changed.changed().await;
            }
        }
    }

    fn start_new(&mut self, shutdown: &CancellationToken) {
        for line in self.processing.registry.known().lines() {
            if !self.started.insert((line.name().to_owned(), line.topic().to_owned())) {
                continue;
            }
            for partition in 0..self.processing.topics.partitions() {
                let worker = Worker {
                    partition,
                    pathway: line.name().to_owned(),
                    group: line.name().to_owned(),
                    replay: None,
                    topic: line.topic().to_owned(),
                    processing: self.processing.clone(),
                    rng: self.rng.clone(),
                };
                self.tasks.spawn(worker.run(shutdown.clone()));
            }
        }
    }
}
