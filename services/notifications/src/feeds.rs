//! Who watches which feed, and the way from a commit to them.
//!
//! A commit is handed to the watchers of its user and to nobody else: with one channel for all, ten thousand streams would wake for each notice, and all
//! but one go back to sleep. What they are handed is the changes themselves, once for all of a user's devices and encoded once, so that a stream which is
//! up to date reads nothing and writes nothing of its own. One that is not (it has just come, it was slow, a commit overtook another on the way here, another process
//! made the change) sees so by the numbers and reads the store, which is the truth in any case: news may be lost, doubled or
//! late without harm.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use tokio::sync::broadcast;

use crate::notice::Stored;

/// The feeds that somebody watches; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Feeds(Arc<Mutex<HashMap<String, broadcast::Sender<Arc<News>>>>>);

/// What one transaction changed of one feed.
#[derive(Debug, Clone)]
pub(crate) struct News {
    pub(crate) user_id: String,
    /// The feed's last change before.
    pub(crate) before: i64,
    /// The feed's last change.
    pub(crate) last: i64,
    /// What a stream tells that is up to date; none where it was too much to hand on, or is not known here.
    pub(crate) update: Option<Arc<Update>>,
}

/// Changes of a feed, or none as a heartbeat.
#[derive(Debug, Default)]
pub(crate) struct Update {
    /// In order.
    pub(crate) changes: Vec<Stored>,
    /// Where to resume.
    pub(crate) last: i64,
    /// How many notices are unread.
    pub(crate) unread: i64,
    /// The same as it is sent: whichever stream comes first writes it, for all.
    pub(crate) encoded: OnceLock<Bytes>,
}

/// A place at a feed; leaving it leaves the feed.
#[derive(Debug)]
pub(crate) struct Watcher {
    user_id: String,
    news: Option<broadcast::Receiver<Arc<News>>>,
    feeds: Feeds,
}

/// How many news a slow stream may miss before it reads the store. Few: an entry is kept until the slowest has taken it.
const BEHIND: usize = 4;

// === impl Feeds ===

impl Feeds {
    /// Watches a user's feed from now on.
    pub(crate) fn watch(&self, user_id: &str) -> Watcher {
        let mut feeds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let news = match feeds.get(user_id) {
            Some(feed) => feed.subscribe(),
            None => {
                let (feed, news) = broadcast::channel(BEHIND);
                feeds.insert(user_id.to_owned(), feed);
                news
            }
        };
        Watcher { user_id: user_id.to_owned(), news: Some(news), feeds: self.clone() }
    }

    /// Whose feeds somebody watches.
    pub(crate) fn watched(&self) -> Vec<String> {
        let feeds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        feeds.keys().cloned().collect()
    }

    /// Hands news to those who watch.
    pub(crate) fn publish(&self, news: impl IntoIterator<Item = News>) {
        let feeds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for news in news {
            if let Some(feed) = feeds.get(&news.user_id) {
                // The last watcher may be leaving.
                let _ = feed.send(Arc::new(news));
            }
        }
    }
}

// === impl Watcher ===

impl Watcher {
    /// Whose feed it is.
    pub(crate) fn user_id(&self) -> &str {
        &self.user_id
    }

    /// Waits for the next news; none where some were missed.
    pub(crate) async fn next(&mut self) -> Option<Arc<News>> {
        // It is taken away only when this is dropped, and the feed lives as long as one watcher does.
        self.news.as_mut()?.recv().await.ok()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut feeds = self.feeds.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.news = None;
        if feeds.get(&self.user_id).is_some_and(|feed| feed.receiver_count() == 0) {
            feeds.remove(&self.user_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_test::{assert_pending, task};

    use super::*;

    fn news(user: &str, last: i64) -> News {
        News { user_id: user.to_owned(), before: last - 1, last, update: None }
    }

    #[test]
    fn only_the_users_own_watchers_wake() {
        let feeds = Feeds::default();
        let (mut one, mut two, mut other) = (feeds.watch("u"), feeds.watch("u"), feeds.watch("v"));
        let mut waiting = task::spawn(other.next());
        assert_pending!(waiting.poll());
        feeds.publish([news("u", 1), news("nobody", 1)]);
        for watcher in [&mut one, &mut two] {
            let mut next = task::spawn(watcher.next());
            assert!(matches!(next.poll(), std::task::Poll::Ready(Some(news)) if news.last == 1));
        }
        assert!(!waiting.is_woken());
    }

    #[test]
    fn a_feed_that_nobody_watches_is_forgotten() {
        let feeds = Feeds::default();
        let (one, two) = (feeds.watch("u"), feeds.watch("u"));
        drop(one);
        assert_eq!(feeds.0.lock().unwrap().len(), 1);
        drop(two);
        assert!(feeds.0.lock().unwrap().is_empty());
    }

    #[test]
    fn who_missed_some_is_told_so() {
        let feeds = Feeds::default();
        let mut slow = feeds.watch("u");
        feeds.publish((1..=i64::try_from(BEHIND).unwrap() + 1).map(|n| news("u", n)));
        assert!(matches!(task::spawn(slow.next()).poll(), std::task::Poll::Ready(None)));
        assert!(matches!(task::spawn(slow.next()).poll(), std::task::Poll::Ready(Some(_))));
    }
}
