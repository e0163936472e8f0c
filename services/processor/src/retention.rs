//! Forgetting: old executions, and events that everybody has processed.

use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::config::ExecutionsConfig;
use crate::error::ProcessorError;
use crate::processing::Processing;
use crate::store::Trim;

/// How often it is looked for what may go.
const EVERY: Duration = Duration::from_secs(60);
/// A day in microseconds.
const DAY_US: i64 = 24 * 60 * 60 * 1_000_000;
/// A MiB in bytes.
const MIB: i64 = 1024 * 1024;

/// Removes what the configuration no longer keeps, in pieces that hold nobody up.
#[derive(Debug)]
pub(crate) struct Retention {
    processing: Processing,
    executions: ExecutionsConfig,
}

// === impl Retention ===

impl Retention {
    pub(crate) const fn new(processing: Processing, executions: ExecutionsConfig) -> Self {
        Self { processing, executions }
    }

    pub(crate) async fn run(self) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            told("executions", self.executions().await);
            told("events", self.events().await);
        }
    }

    async fn executions(&self) -> Result<u64, ProcessorError> {
        let before_us = self.before(self.executions.keep_days).unwrap_or(0);
        self.processing.store.trim(Trim { keep: self.executions.keep, before_us }).await
    }

    async fn events(&self) -> Result<u64, ProcessorError> {
        let (topics, settings) = (&self.processing.topics, &self.processing.topic_names);
        let mut names: Vec<String> =
            self.processing.registry.known().lines().iter().map(|line| line.topic().to_owned()).collect();
        names.sort();
        names.dedup();
        let mut removed = 0;
        for topic in names {
            if let Some(before_us) = self.before(settings.keep_days) {
                removed += topics.truncate(&topic, before_us).await?;
            }
            if settings.keep_mib > 0 {
                removed += topics.truncate_to_size(&topic, settings.keep_mib.saturating_mul(MIB)).await?;
            }
            self.calls(&topic).await?;
        }
        Ok(removed)
    }

    /// What was called for an event goes with it.
    async fn calls(&self, topic: &str) -> Result<(), ProcessorError> {
        let log = format!("{}/{topic}", self.processing.topics.epoch());
        for partition in self.processing.topics.figures(topic).await?.partitions {
            if partition.first > 0 {
                self.processing.store.forget_calls(log.clone(), partition.partition, partition.first).await?;
            }
        }
        Ok(())
    }

    /// The instant so many days ago; none where there is no bound.
    fn before(&self, days: i64) -> Option<i64> {
        let age_us = days.max(0).saturating_mul(DAY_US);
        (age_us > 0).then(|| self.processing.clock.now_us().saturating_sub(age_us))
    }
}

fn told(what: &'static str, removed: Result<u64, ProcessorError>) {
    match removed {
        Ok(0) => {}
        Ok(removed) => tracing::info!(what, removed, "removed what is no longer kept"),
        Err(error) => {
            tracing::warn!(
                what,
                error = &error as &dyn std::error::Error,
                "could not remove what is no longer kept"
            );
        }
    }
}
