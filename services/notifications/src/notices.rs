//! What the service does for its callers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use pathway_kernel::{Clock, Violation};
use pathway_store::Once;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::error::NotificationsError;
use crate::feeds::Feeds;
use crate::notice::{Mark, Notice};
use crate::preferences::Preferences;
use crate::store::{Listing, Marked, MarkedAll, Page, Sent, Store};
use crate::templates::Templates;
use crate::tokens::{Purpose, Tokens};

/// What the service does for its callers; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Notices {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) heartbeat: Duration,
    /// Who watches what.
    pub(crate) feeds: Feeds,
    /// Says that something goes out.
    pub(crate) wake: Arc<Notify>,
    pub(crate) templates: Arc<Templates>,
    /// Reads what links in e-mails say.
    pub(crate) tokens: Tokens,
    /// The server's public key for push; empty where it is not configured.
    pub(crate) push_key: String,
    /// Ends the streams, so that a drain need not wait for those who would watch for ever.
    pub(crate) closing: CancellationToken,
}

// === impl Notices ===

impl Notices {
    /// Stores a batch; answers for each where it is or what is wrong with it.
    pub(crate) async fn send(
        &self,
        notices: Vec<Notice>,
    ) -> Result<Vec<Result<Sent, NotificationsError>>, NotificationsError> {
        let mut good = Vec::with_capacity(notices.len());
        let checked: Vec<Result<(), Vec<Violation>>> = notices
            .into_iter()
            .map(|notice| {
                let violations = notice.check();
                if violations.is_empty() {
                    good.push(notice);
                    Ok(())
                } else {
                    Err(violations)
                }
            })
            .collect();
        let mut sent = VecDeque::new();
        if !good.is_empty() {
            let all = self.store.send(good, self.clock.now_us()).await?;
            self.feeds.publish(all.news);
            if all.has_work {
                self.wake.notify_one();
            }
            sent.extend(all.sent);
        }
        let answer = |checked: Result<(), Vec<Violation>>| match checked {
            Ok(()) => sent.pop_front().ok_or(NotificationsError::Ending),
            Err(violations) => Err(NotificationsError::Invalid(violations)),
        };
        Ok(checked.into_iter().map(answer).collect())
    }

    /// Does what a link in an e-mail says; for `user_id` where that is known.
    pub(crate) async fn answer_for(
        &self,
        user_id: &str,
        purpose: Purpose,
        token: &str,
    ) -> Result<Preferences, NotificationsError> {
        let address = self.tokens.read(purpose, token).ok_or(NotificationsError::StrangeToken)?;
        if !user_id.is_empty() && user_id != address.user_id {
            return Err(NotificationsError::StrangeToken);
        }
        self.store.answer_for(address, purpose).await
    }

    /// A page of a user's notices with the unread count, from one snapshot.
    pub(crate) async fn list(&self, listing: Listing) -> Result<Page, NotificationsError> {
        self.store.list(listing).await
    }

    /// Marks notices; answers for each whether the user has it, and how many are unread then.
    pub(crate) async fn mark(
        &self,
        user_id: String,
        ids: Vec<Uuid>,
        mark: Mark,
    ) -> Result<Marked, NotificationsError> {
        let mut marked = self.store.mark(user_id, ids, mark, self.clock.now_us()).await?;
        self.feeds.publish(marked.news.take());
        Ok(marked)
    }

    /// Marks all up to a sequence as read; answers how many were unread before, and how many are then. A call that has an id is done once.
    pub(crate) async fn mark_all(
        &self,
        user_id: String,
        up_to: i64,
        once: Option<Once>,
    ) -> Result<MarkedAll, NotificationsError> {
        let mut marked = self.store.mark_all(user_id, up_to, self.clock.now_us(), once).await?;
        self.feeds.publish(marked.news.take());
        Ok(marked)
    }
}
