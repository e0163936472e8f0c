//! The streams of a feed.
//!
//! A stream waits at its feed and holds as little as it can meanwhile: ten thousand of them wait for each one that moves. What it is handed it passes on as it is; it reads the
//! store where it begins, and where the numbers say that it missed something.

use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::NotificationsError;
use crate::feeds::{News, Update, Watcher};
use crate::notice::{ChangeKind, Stored};
use crate::notices::Notices;
use crate::store::{Listing, Page, Store, Which};

/// A stream of a feed's changes.
#[derive(Debug)]
struct Watch {
    store: Store,
    closing: CancellationToken,
    heartbeat_after: Duration,
    watcher: Watcher,
    /// What was read before the first message.
    first: Option<Page>,
    /// The last change that was told.
    last: i64,
    unread: i64,
    /// Whether the store may have more.
    is_behind: bool,
    beginning: Beginning,
    heartbeat: Instant,
}

/// How far the beginning of a feed was gone when a stream last looked.
#[derive(Debug)]
struct Beginning(i64);

/// A stream of a user's new notices.
#[derive(Debug)]
struct WatchNew {
    notices: Notices,
    watcher: Watcher,
    /// The place of the last one that was told.
    after: i64,
    beginning: Beginning,
}

/// The most changes that a stream reads at once.
const WATCH_PAGE: i64 = 256;

// === impl Notices ===

impl Notices {
    /// Follows a user's feed: what changed after `after`, then each change as it is committed, with none as a heartbeat. Ends when the service does,
    /// or after an error.
    pub(crate) async fn watch(
        &self,
        user_id: String,
        after: i64,
    ) -> Result<impl Stream<Item = Result<Arc<Update>, NotificationsError>> + Send + use<>, NotificationsError>
    {
        // Watched before it is read: what is committed in between is told twice, never missed.
        let watcher = self.feeds.watch(&user_id);
        let page = self.store.changes(user_id, after, WATCH_PAGE).await?;
        if after > page.last_change {
            return Err(NotificationsError::UnknownChange { last: page.last_change });
        }
        let mut beginning = Beginning(0);
        beginning.check(after, page.gone_change)?;
        let watch = Watch {
            store: self.store.clone(),
            closing: self.closing.clone(),
            heartbeat_after: self.heartbeat,
            watcher,
            unread: page.unread,
            first: Some(page),
            last: after,
            is_behind: true,
            beginning,
            heartbeat: Instant::now() + self.heartbeat,
        };
        Ok(unfold(Some(watch), |watch| async move {
            let mut watch = watch?;
            let closing = watch.closing.clone();
            match closing.run_until_cancelled(watch.next()).await? {
                Ok(update) => Some((Ok(update), Some(watch))),
                Err(error) => Some((Err(error), None)),
            }
        }))
    }

    /// Follows a user's new notices by their places: those after `after`, then each as it is committed, with none as a heartbeat.
    pub(crate) fn watch_new(
        &self,
        user_id: &str,
        after: i64,
    ) -> impl Stream<Item = Result<Vec<Stored>, NotificationsError>> + Send + use<> {
        let watch = WatchNew {
            notices: self.clone(),
            watcher: self.feeds.watch(user_id),
            after,
            beginning: Beginning(0),
        };
        unfold(Some(watch), |watch| async move {
            let mut watch = watch?;
            let closing = watch.notices.closing.clone();
            match closing.run_until_cancelled(watch.next()).await? {
                Ok(page) => Some((Ok(page), Some(watch))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}

// === impl Watch ===

impl Watch {
    /// The next changes, or none when it is time for a heartbeat.
    async fn next(&mut self) -> Result<Arc<Update>, NotificationsError> {
        loop {
            if self.is_behind {
                // In a box of its own: what a stream needs while it reads, it would hold while it waits.
                let changes = Box::pin(self.read()).await?;
                if !changes.is_empty() {
                    return Ok(self.update(changes));
                }
            }
            match tokio::time::timeout_at(self.heartbeat, self.watcher.next()).await {
                Ok(Some(news)) => {
                    if let Some(update) = self.take(&news) {
                        return Ok(update);
                    }
                }
                Ok(None) => self.is_behind = true,
                Err(_) => return Ok(self.update(Vec::new())),
            }
        }
    }

    /// What the store has beyond the last change.
    async fn read(&mut self) -> Result<Vec<Stored>, NotificationsError> {
        let page = match self.first.take() {
            Some(page) => page,
            None => self.store.changes(self.watcher.user_id().to_owned(), self.last, WATCH_PAGE).await?,
        };
        self.beginning.check(self.last, page.gone_change)?;
        self.unread = page.unread;
        self.is_behind = page.notices.len() >= usize::try_from(WATCH_PAGE).unwrap_or(usize::MAX);
        // A short page is all there was in its snapshot.
        let last =
            page.notices.last().filter(|_| self.is_behind).map_or(page.last_change, |stored| stored.change);
        self.last = self.last.max(last);
        Ok(page.notices)
    }

    /// What news tell a stream that is where they go on from. Older ones are known; newer ones leave a gap, to be read.
    fn take(&mut self, news: &News) -> Option<Arc<Update>> {
        if news.last <= self.last {
            return None;
        }
        match &news.update {
            Some(update) if news.before == self.last => {
                (self.last, self.unread) = (update.last, update.unread);
                self.heartbeat = Instant::now() + self.heartbeat_after;
                Some(Arc::clone(update))
            }
            _ => {
                self.is_behind = true;
                None
            }
        }
    }

    /// What this stream alone tells.
    fn update(&mut self, changes: Vec<Stored>) -> Arc<Update> {
        self.heartbeat = Instant::now() + self.heartbeat_after;
        Arc::new(Update { changes, last: self.last, unread: self.unread, ..Update::default() })
    }
}

// === impl WatchNew ===

impl WatchNew {
    /// The next new notices, or none when it is time for a heartbeat.
    async fn next(&mut self) -> Result<Vec<Stored>, NotificationsError> {
        let heartbeat = Instant::now() + self.notices.heartbeat;
        loop {
            let user_id = self.watcher.user_id().to_owned();
            let listing = Listing { user_id, after: self.after, limit: WATCH_PAGE, which: Which::All };
            let page = self.notices.store.list(listing).await?;
            self.beginning.check(self.after, page.gone_sequence)?;
            if let Some(last) = page.notices.last() {
                self.after = last.sequence;
                return Ok(page.notices);
            }
            loop {
                match tokio::time::timeout_at(heartbeat, self.watcher.next()).await {
                    Ok(Some(news)) if !may_be_new(&news, self.after) => {}
                    Ok(_) => break,
                    Err(_) => return Ok(Vec::new()),
                }
            }
        }
    }
}

// === impl Beginning ===

impl Beginning {
    /// Refuses to go on after a number, where more is gone than when this was asked last, and that would have come next. Who begins with nothing misses nothing.
    fn check(&mut self, after: i64, gone: i64) -> Result<(), NotificationsError> {
        if after > 0 && after < gone && self.0 < gone {
            return Err(NotificationsError::Gone);
        }
        self.0 = gone;
        Ok(())
    }
}

/// Whether news may tell of a notice after a place.
fn may_be_new(news: &News, after: i64) -> bool {
    let Some(update) = &news.update else { return true };
    // One that was created and ended by the same transaction was new too.
    update.changes.iter().any(|stored| stored.sequence > after || stored.change_kind == ChangeKind::Created)
}
