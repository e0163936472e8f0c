//! What the service does for its callers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::unfold;
use pathway_kernel::{Clock, Violation};
use pathway_store::Once;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::error::NotificationsError;
use crate::feeds::{Feeds, News, Watcher};
use crate::notice::{ChangeKind, Mark, Notice, Stored};
use crate::store::{Listing, Marked, MarkedAll, Page, Sent, Store, Which};
use crate::templates::Templates;

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
    /// The server's public key for push; empty where it is not configured.
    pub(crate) push_key: String,
    /// Ends the streams, so that a drain need not wait for those who would watch for ever.
    pub(crate) closing: CancellationToken,
}

/// Changes of a feed, or none as a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Update {
    pub(crate) changes: Vec<Arc<Stored>>,
    /// Where to resume.
    pub(crate) last: i64,
    pub(crate) unread: i64,
}

/// A stream of a feed's changes.
#[derive(Debug)]
struct Watch {
    notices: Notices,
    watcher: Watcher,
    user_id: String,
    /// The last change that was told.
    last: i64,
    unread: i64,
    /// Whether the store may have more.
    is_behind: bool,
    heartbeat: Instant,
}

/// The most changes that a stream reads at once.
const WATCH_PAGE: i64 = 256;

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

    /// Follows a user's feed: what changed after `after`, then each change as it is committed, with none as a heartbeat. Ends when the service does,
    /// or after an error.
    pub(crate) async fn watch(
        &self,
        user_id: String,
        after: i64,
    ) -> Result<impl Stream<Item = Result<Update, NotificationsError>> + Send + use<>, NotificationsError>
    {
        // Watched before it is read: what is committed in between is told twice, never missed.
        let watcher = self.feeds.watch(&user_id);
        let page = self.store.changes(user_id.clone(), after, 1).await?;
        if after > page.last_change {
            return Err(NotificationsError::UnknownChange { last: page.last_change });
        }
        let watch = Watch {
            notices: self.clone(),
            watcher,
            user_id,
            last: after,
            unread: page.unread,
            is_behind: true,
            heartbeat: Instant::now() + self.heartbeat,
        };
        Ok(unfold(Some(watch), |watch| async move {
            let mut watch = watch?;
            let closing = watch.notices.closing.clone();
            match closing.run_until_cancelled(watch.next()).await? {
                Ok(update) => Some((Ok(update), Some(watch))),
                Err(error) => Some((Err(error), None)),
            }
        }))
    }

    /// Follows a user's new notices by their places: those after `after`, then each as it is committed, with none as a heartbeat.
    pub(crate) fn watch_new(
        &self,
        user_id: String,
        after: i64,
    ) -> impl Stream<Item = Result<Vec<Stored>, NotificationsError>> + Send + use<> {
        let watcher = self.feeds.watch(&user_id);
        unfold(Some((self.clone(), watcher, user_id, after)), |state| async move {
            let (notices, mut watcher, user_id, after) = state?;
            let closing = notices.closing.clone();
            match closing.run_until_cancelled(notices.next_new(&mut watcher, &user_id, after)).await? {
                Ok(page) => {
                    let after = page.last().map_or(after, |notice| notice.sequence);
                    Some((Ok(page), Some((notices, watcher, user_id, after))))
                }
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    /// The next new notices, or none when it is time for a heartbeat.
    async fn next_new(
        &self,
        watcher: &mut Watcher,
        user_id: &str,
        after: i64,
    ) -> Result<Vec<Stored>, NotificationsError> {
        let heartbeat = Instant::now() + self.heartbeat;
        let mut is_due = false;
        loop {
            let listing =
                Listing { user_id: user_id.to_owned(), after, limit: WATCH_PAGE, which: Which::All };
            let page = self.store.list(listing).await?;
            if is_due || !page.notices.is_empty() {
                return Ok(page.notices);
            }
            is_due = loop {
                match tokio::time::timeout_at(heartbeat, watcher.next()).await {
                    Ok(Some(news)) if !may_be_new(&news, after) => {}
                    Ok(_) => break false,
                    Err(_) => break true,
                }
            };
        }
    }
}

/// Whether news may tell of a notice after a place.
fn may_be_new(news: &News, after: i64) -> bool {
    let Some(changes) = &news.changes else { return true };
    // One that was created and ended by the same transaction was new too.
    changes.iter().any(|stored| stored.sequence > after || stored.change_kind == ChangeKind::Created)
}

// === impl Watch ===

impl Watch {
    /// The next changes, or none when it is time for a heartbeat.
    async fn next(&mut self) -> Result<Update, NotificationsError> {
        loop {
            if self.is_behind {
                let page = self.read().await?;
                if !page.is_empty() {
                    return Ok(self.update(page));
                }
            }
            match tokio::time::timeout_at(self.heartbeat, self.watcher.next()).await {
                Ok(Some(news)) => {
                    if let Some(changes) = self.take(&news) {
                        return Ok(self.update(changes));
                    }
                }
                Ok(None) => self.is_behind = true,
                Err(_) => {
                    // Another process may have changed the feed, of which no news come here.
                    let page = self.read().await?;
                    return Ok(self.update(page));
                }
            }
        }
    }

    /// What the store has beyond the last change.
    async fn read(&mut self) -> Result<Vec<Arc<Stored>>, NotificationsError> {
        let page = self.notices.store.changes(self.user_id.clone(), self.last, WATCH_PAGE).await?;
        self.unread = page.unread;
        self.is_behind = page.notices.len() >= usize::try_from(WATCH_PAGE).unwrap_or(usize::MAX);
        // A short page is all there was in its snapshot.
        let last =
            page.notices.last().filter(|_| self.is_behind).map_or(page.last_change, |stored| stored.change);
        self.last = self.last.max(last);
        Ok(page.notices.into_iter().map(Arc::new).collect())
    }

    /// The changes of news that go on where this stream is. Older ones are known; newer ones leave a gap, to be read.
    fn take(&mut self, news: &News) -> Option<Vec<Arc<Stored>>> {
        if news.last <= self.last {
            return None;
        }
        match &news.changes {
            Some(changes) if news.before == self.last => {
                self.last = news.last;
                self.unread = news.unread;
                Some(changes.to_vec())
            }
            _ => {
                self.is_behind = true;
                None
            }
        }
    }

    fn update(&mut self, changes: Vec<Arc<Stored>>) -> Update {
        self.heartbeat = Instant::now() + self.notices.heartbeat;
        Update { changes, last: self.last, unread: self.unread }
    }
}
