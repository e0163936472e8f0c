//! The service: what it is built of, what it does for its callers, and how it runs.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::unfold;
use pathway_kernel::{Clock, Fault, Violation};
use pathway_rpc::{Listener, Routes, Server, ServerConfig};
use pathway_runtime::{Component, Env};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::config::{Config, DEFAULTS};
use crate::error::NotificationsError;
use crate::grpc;
use crate::notice::{Notice, Stored};
use crate::store::{Listing, Page, Sent, Store};

/// The service of the notices.
#[derive(Debug)]
pub struct Notifications {
    notices: Notices,
    cors_origins: Vec<String>,
}

/// What the service does for its callers; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Notices {
    store: Store,
    clock: Clock,
    heartbeat: Duration,
    /// The users who got something: wakes their streams, which then read the store.
    sent: broadcast::Sender<String>,
    /// Ends the streams, so that a drain need not wait for those who would watch for ever.
    closing: CancellationToken,
}

/// How many wake-ups a slow stream may miss before it looks without one.
const WAKE_UPS: usize = 1024;
/// The most notices that a stream reads at once.
const WATCH_PAGE: i64 = 256;

// === impl Notifications ===

impl Component for Notifications {
    type Config = Config;
    type Deps = Env;
    const NAME: &'static str = "notifications";
    const DEFAULTS: &'static str = DEFAULTS;

    async fn build(config: Config, env: Env) -> Result<Self, Fault> {
        let notices = Notices {
            store: Store::open(&config.store_config()).await?,
            clock: env.clock,
            heartbeat: config.watch.heartbeat(),
            sent: broadcast::Sender::new(WAKE_UPS),
            closing: CancellationToken::new(),
        };
        Ok(Self { notices, cors_origins: config.cors_origins })
    }

    fn routes(&self) -> Routes {
        grpc::routes(self.notices.clone())
    }

    async fn run(self, listener: Listener, shutdown: CancellationToken) -> Result<(), Fault> {
        let config = ServerConfig { cors_origins: self.cors_origins.clone(), ..ServerConfig::default() };
        let closing = self.notices.closing.clone();
        let told = async move {
            shutdown.cancelled().await;
            closing.cancel();
        };
        Server::new(config, self.routes()).serve(listener, told).await
    }
}

// === impl Notices ===

impl Notices {
    /// Stores a batch; answers for each where it is or what is wrong with it.
    pub(crate) async fn send(
        &self,
        notices: Vec<Notice>,
    ) -> Result<Vec<Result<Sent, NotificationsError>>, NotificationsError> {
        let checked: Vec<Result<Notice, Vec<Violation>>> = notices
            .into_iter()
            .map(|notice| {
                let violations = notice.check();
                if violations.is_empty() { Ok(notice.titled()) } else { Err(violations) }
            })
            .collect();
        let good: Vec<Notice> = checked.iter().filter_map(|notice| notice.as_ref().ok().cloned()).collect();
        let users: BTreeSet<String> = good.iter().map(|notice| notice.user_id.clone()).collect();
        let mut sent =
            if good.is_empty() { Vec::new() } else { self.store.send(good, self.clock.now_us()).await? }
                .into_iter();
        for user in users {
            // Nobody may be listening.
            let _ = self.sent.send(user);
        }
        let answer = |notice: Result<Notice, Vec<Violation>>| match notice {
            Ok(_) => sent.next().ok_or(NotificationsError::Ending),
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
        read: bool,
    ) -> Result<(Vec<bool>, i64), NotificationsError> {
        self.store.mark(user_id, ids, read).await
    }

    /// Marks all up to a sequence as read; answers how many were unread before, and how many are then.
    pub(crate) async fn mark_all(
        &self,
        user_id: String,
        up_to: i64,
    ) -> Result<(i64, i64), NotificationsError> {
        self.store.mark_all(user_id, up_to).await
    }

    /// Follows a user's notices: those stored after `after`, then each as it is committed, with none as a heartbeat. Ends when the service does, or
    /// after an error.
    ///
    /// A wake-up only says that there may be something to read, so one that is missed or comes twice loses and doubles nothing.
    pub(crate) fn watch(
        &self,
        user_id: String,
        after: i64,
    ) -> impl Stream<Item = Result<Vec<Stored>, NotificationsError>> + Send + use<> {
        let state = (self.clone(), self.sent.subscribe(), user_id, Some(after));
        unfold(state, |(notices, mut sent, user_id, cursor)| async move {
            let after = cursor?;
            let page = tokio::select! {
                () = notices.closing.cancelled() => return None,
                page = notices.next_page(&mut sent, &user_id, after) => page,
            };
            let cursor = page.as_ref().ok().map(|page| page.last().map_or(after, |notice| notice.sequence));
            Some((page, (notices, sent, user_id, cursor)))
        })
    }

    /// The next notices, or none when it is time for a heartbeat.
    async fn next_page(
        &self,
        sent: &mut broadcast::Receiver<String>,
        user_id: &str,
        after: i64,
    ) -> Result<Vec<Stored>, NotificationsError> {
        let heartbeat = tokio::time::sleep(self.heartbeat);
        tokio::pin!(heartbeat);
        let mut is_due = false;
        loop {
            let listing =
                Listing { user_id: user_id.to_owned(), after, limit: WATCH_PAGE, unread_only: false };
            let page = self.store.list(listing).await?;
            if is_due || !page.notices.is_empty() {
                return Ok(page.notices);
            }
            tokio::select! {
                () = &mut heartbeat => is_due = true,
                woken = woken(sent, user_id) => woken?,
            }
        }
    }
}

/// Waits until this user may have got something.
async fn woken(sent: &mut broadcast::Receiver<String>, user_id: &str) -> Result<(), NotificationsError> {
    loop {
        match sent.recv().await {
            Ok(user) if user != user_id => {}
            // Some wake-ups were missed; this user's may have been among them.
            Ok(_) | Err(RecvError::Lagged(_)) => return Ok(()),
            Err(RecvError::Closed) => return Err(NotificationsError::Ending),
        }
    }
}
