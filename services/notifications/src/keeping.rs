//! How long things are kept: at the start and every hour, what is kept no longer is removed, a few rows in a transaction, so that nobody waits for it.

use std::time::Duration;

use pathway_kernel::Clock;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::error::NotificationsError;
use crate::feeds::Feeds;
use crate::store::Store;

/// Removes what is kept no longer.
#[derive(Debug, Clone)]
pub(crate) struct Keeping {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) feeds: Feeds,
    /// For how long a message that has ended is kept; none for ever.
    pub(crate) messages: Option<Duration>,
    /// For how long a notice is kept; none for ever.
    pub(crate) notices: Option<Duration>,
    /// How many notices of a user are kept, besides those which must be; none for any number.
    pub(crate) per_user: Option<i64>,
}

const EVERY: Duration = Duration::from_secs(3600);

// === impl Keeping ===

impl Keeping {
    /// Works until `closing`.
    pub(crate) async fn run(self, closing: CancellationToken) {
        let sweeping = async {
            loop {
                if let Err(error) = self.sweep().await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "cannot remove what is old");
                }
                tokio::time::sleep(EVERY).await;
            }
        };
        closing.run_until_cancelled(sweeping).await;
    }

    /// Removes all that is kept no longer. Messages first: those that have ended keep no notice.
    async fn sweep(&self) -> Result<(), NotificationsError> {
        if let Some(keep) = self.messages {
            while self.store.forget(self.before_us(keep)).await? {}
        }
        if let Some(keep) = self.notices {
            let before_us = self.before_us(keep);
            let mut after = Some(Uuid::nil());
            while let Some(place) = after {
                let swept = self.store.remove_old(before_us, place).await?;
                self.feeds.publish(swept.news);
                after = swept.next;
            }
            while self.store.remove_old_keys(before_us).await? {}
        }
        if let Some(keep) = self.per_user {
            let mut after = Some(String::new());
            while let Some(place) = after {
                let (users, next) = self.store.long_feeds(place, keep).await?;
                for user_id in users {
                    self.shorten(user_id, keep).await?;
                }
                after = next;
            }
        }
        Ok(())
    }

    async fn shorten(&self, user_id: String, keep: i64) -> Result<(), NotificationsError> {
        let mut after = Some(0);
        while let Some(place) = after {
            let swept = self.store.remove_many(user_id.clone(), keep, place).await?;
            self.feeds.publish(swept.news);
            after = swept.next;
        }
        Ok(())
    }

    fn before_us(&self, keep: Duration) -> i64 {
        self.clock.now_us().saturating_sub(i64::try_from(keep.as_micros()).unwrap_or(i64::MAX))
    }
}
