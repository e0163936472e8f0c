//! Looking for what comes again, and for what has not come.
//!
//! No change of a record says that something is missing: only the clock does. So a task looks at users again, a few in each round: first those with
//! a series whose next line may be late, then those whose lines have changed. After each the task rests for as long as so many lines are worth, so
//! that the share of the processor which it takes is bounded, however long histories are and however much comes in; series are
//! found some time after their lines, which is no loss for what comes once a week at most.

use std::time::Duration;

use pathway_kernel::{Clock, Fault};
use tokio::time::MissedTickBehavior;

use crate::config::RecurringConfig;
use crate::error::AnalyticsError;
use crate::messenger::Outgoing;
use crate::recurring::scan;
use crate::store::Store;

/// Scans users in rounds.
#[derive(Debug)]
pub(crate) struct Sweeper {
    store: Store,
    clock: Clock,
    every: Duration,
    users: i64,
    per_line: Duration,
    outgoing: Outgoing,
}

// === impl Sweeper ===

impl Sweeper {
    pub(crate) fn new(store: Store, clock: Clock, config: &RecurringConfig, outgoing: Outgoing) -> Self {
        Self {
            store,
            clock,
            every: config.every(),
            users: config.users_per_round(),
            per_line: config.per_line(),
            outgoing,
        }
    }

    /// Scans for ever.
    pub(crate) async fn run(self) {
        let mut rounds = tokio::time::interval(self.every);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            if let Err(error) = self.round().await {
                let fault = Fault::from(error);
                let (code, reason) = (fault.code().name(), fault.reason());
                tracing::warn!(code, reason, "a round of looking for series has failed");
            }
        }
    }

    async fn round(&self) -> Result<(), AnalyticsError> {
        for user_id in self.store.to_scan(self.clock.now_us(), self.users).await? {
            let now_us = self.clock.now_us();
            let Some(looked) = self.store.load_scan(user_id.clone(), now_us).await? else { continue };
            let rest = self.per_line * u32::try_from(looked.lines.len()).unwrap_or(u32::MAX);
            let scanned = scan(&user_id, looked.lines, &looked.known, looked.today);
            let announced = self.store.store_scan(user_id, looked.sequence, scanned, now_us).await?;
            if announced.is_some_and(|count| count > 0) {
                self.outgoing.wake();
            }
            tokio::time::sleep(rest).await;
        }
        Ok(())
    }
}
