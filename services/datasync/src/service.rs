//! The service: what it is built of, what it does for its callers, and how it runs.

use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::unfold;
use pathway_finance::{Currency, Period};
use pathway_kernel::{Clock, Fault};
use pathway_rpc::{Listener, Readiness, Routes, ServerConfig, ServerSettings};
use pathway_runtime::{Component, Env, Security};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::config::{Config, DEFAULTS};
use crate::error::DatasyncError;
use crate::grpc;
use crate::import::{self, Defaults, Format, Mapping, Rejected};
use crate::records::{Change, Origin, Outcome, Part, Record, Write};
use crate::store::{FeedPage, Imported, Listing, Paired, Store, Tied};

/// The service of the records.
#[derive(Debug)]
pub struct Datasync {
    env: Env,
    records: Records,
    security: Security,
    serving: ServerSettings,
    cors_origins: Vec<String>,
}

/// What the service does for its callers; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    store: Store,
    clock: Clock,
    mapping: Arc<Mapping>,
    default_currency: Currency,
    heartbeat: Duration,
    /// The last sequence that this process wrote: wakes those who follow the feed, who then read the store.
    written: watch::Sender<i64>,
    /// Ends the streams, so that a drain need not wait for those who would follow for ever.
    closing: CancellationToken,
}

/// A statement to import.
#[derive(Debug, Clone)]
pub(crate) struct StatementFile {
    pub(crate) user_id: String,
    pub(crate) account: String,
    /// None for the service's default.
    pub(crate) currency: Option<Currency>,
    pub(crate) format: Format,
    pub(crate) content: Vec<u8>,
}

/// What an import did, with what it could not read.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) imported: Imported,
    pub(crate) rejected: Vec<Rejected>,
}

/// The most changes that a follower gets at once.
const FOLLOW_PAGE: i64 = 512;

// === impl Datasync ===

impl Component for Datasync {
    type Config = Config;
    type Deps = Env;
    const NAME: &'static str = "datasync";
    const DEFAULTS: &'static str = DEFAULTS;

    async fn build(config: Config, env: Env) -> Result<Self, Fault> {
        let default_currency = Currency::parse(&config.default_currency)
            .map_err(|error| DatasyncError::invalid("default_currency", error.to_string()))?;
        let mapping = Mapping::load(config.import.mapping_file()).map_err(DatasyncError::from)?;
        let security = Security::open(Self::NAME, &config.security, &env.clock)?;
        let store = Store::open(&config.store_config()).await?;
        store.tell(&env.telemetry);
        let head = store.head().await?;
        let records = Records {
            store,
            clock: env.clock.clone(),
            mapping: Arc::new(mapping),
            default_currency,
            heartbeat: config.feed.heartbeat(),
            written: watch::Sender::new(head),
            closing: CancellationToken::new(),
        };
        Ok(Self { env, records, security, serving: config.server, cors_origins: config.cors_origins })
    }

    fn routes(&self) -> Routes {
        grpc::routes(self.records.clone())
    }

    fn readiness(&self) -> Readiness {
        let store = self.records.store.clone();
        Readiness::new(move || {
            let store = store.clone();
            async move { Ok(store.ping().await?) }
        })
    }

    async fn run(self, listener: Listener, shutdown: CancellationToken) -> Result<(), Fault> {
        let config = ServerConfig {
            cors_origins: self.cors_origins.clone(),
            guard: self.security.guard(),
            tls: self.security.tls(),
            readiness: self.readiness(),
            ..self.serving.config()
        };
        let server = self.env.server(config, self.routes()).with_closing(self.records.closing.clone());
        server.serve(listener, shutdown.cancelled_owned()).await
    }
}

// === impl Records ===

impl Records {
    /// Writes a batch in one transaction, in order, and answers as many outcomes.
    pub(crate) async fn write(&self, writes: Vec<Write>) -> Result<Vec<Outcome>, DatasyncError> {
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        let outcomes = self.store.write(writes, self.clock.now_us()).await?;
        let last =
            outcomes.iter().filter_map(|outcome| outcome.change.as_ref()).map(|change| change.sequence).max();
        self.wake(last.unwrap_or_default());
        Ok(outcomes)
    }

    /// Imports a statement in one transaction.
    pub(crate) async fn import(&self, file: StatementFile) -> Result<Summary, DatasyncError> {
        let mapping = Arc::clone(&self.mapping);
        let currency = file.currency.unwrap_or(self.default_currency);
        // A large file takes a while to read: not on a thread that serves others.
        let read = tokio::task::spawn_blocking(move || {
            let defaults = Defaults { user_id: file.user_id, account: file.account, currency };
            import::read(&file.content, file.format, &defaults, &mapping)
        });
        let statement = read.await.map_err(|_| DatasyncError::Interrupted)??;
        let imported = self.store.import(statement.lines, self.clock.now_us()).await?;
        self.wake(imported.sequence);
        tracing::info!(
            added = imported.added,
            unchanged = imported.unchanged,
            quarantined = imported.quarantined,
            rejected = statement.rejected.len(),
            "imported a statement"
        );
        Ok(Summary { imported, rejected: statement.rejected })
    }

    /// Splits a user's line.
    pub(crate) async fn split(
        &self,
        user_id: String,
        id: Uuid,
        parts: Vec<Part>,
    ) -> Result<Tied, DatasyncError> {
        let tied = self.store.split(user_id, id, parts, self.clock.now_us()).await?;
        self.wake(tied.sequence);
        Ok(tied)
    }

    /// Pairs the legs of a user's transfers in a period, where it is certain which they are.
    pub(crate) async fn pair_all(&self, user_id: String, period: Period) -> Result<Paired, DatasyncError> {
        let paired = self.store.pair_all(user_id, period, self.clock.now_us()).await?;
        self.wake(paired.sequence);
        Ok(paired)
    }

    /// Pairs two of a user's lines.
    pub(crate) async fn pair(&self, user_id: String, ids: [Uuid; 2]) -> Result<Tied, DatasyncError> {
        let tied = self.store.pair(user_id, ids, self.clock.now_us()).await?;
        self.wake(tied.sequence);
        Ok(tied)
    }

    /// Takes a user's pair apart.
    pub(crate) async fn unpair(&self, user_id: String, id: Uuid) -> Result<Tied, DatasyncError> {
        let tied = self.store.unpair(user_id, id, self.clock.now_us()).await?;
        self.wake(tied.sequence);
        Ok(tied)
    }

    /// A page of a user's records.
    pub(crate) async fn list(&self, listing: &Listing) -> Result<Vec<Arc<Record>>, DatasyncError> {
        self.store.list(listing).await
    }

    /// At most `limit` versions of a user's record after one, oldest first.
    pub(crate) async fn versions(
        &self,
        user_id: &str,
        id: Uuid,
        after: i64,
        limit: i64,
    ) -> Result<Vec<Change>, DatasyncError> {
        let changes = self.store.versions(user_id, id, after, limit).await?;
        // A record has its first version for as long as it is there.
        if changes.is_empty() && after <= 0 { Err(DatasyncError::UnknownRecord) } else { Ok(changes) }
    }

    /// At most `limit` changes after a sequence.
    pub(crate) async fn changes(
        &self,
        after: i64,
        limit: i64,
        origin: Option<Origin>,
    ) -> Result<FeedPage, DatasyncError> {
        self.store.changes(after, limit, origin).await
    }

    /// Follows the feed: what is there after `after`, then what is committed, with an empty page as a heartbeat. Ends when the service does,
    /// or after an error.
    ///
    /// A wake-up only says that there may be something to read. So a wake-up that is missed or that comes twice loses and doubles nothing.
    pub(crate) fn follow(
        &self,
        after: i64,
        origin: Option<Origin>,
    ) -> impl Stream<Item = Result<FeedPage, DatasyncError>> + Send + use<> {
        let state = (self.clone(), self.written.subscribe(), Some(after));
        unfold(state, move |(records, mut written, cursor)| async move {
            let after = cursor?;
            let closing = records.closing.clone();
            let page = tokio::select! {
                () = closing.cancelled() => return None,
                page = records.next_page(&mut written, after, origin) => page,
            };
            let cursor = page.as_ref().ok().map(|page| page.next);
            Some((page, (records, written, cursor)))
        })
    }

    /// The next page that has changes, or an empty one when it is time for a heartbeat.
    async fn next_page(
        &self,
        written: &mut watch::Receiver<i64>,
        mut after: i64,
        origin: Option<Origin>,
    ) -> Result<FeedPage, DatasyncError> {
        let heartbeat = tokio::time::sleep(self.heartbeat);
        tokio::pin!(heartbeat);
        let mut is_due = false;
        loop {
            // Marked as seen before the store is read: what is written after that wakes us again.
            written.borrow_and_update();
            let page = self.store.changes(after, FOLLOW_PAGE, origin).await?;
            if is_due || !page.changes.is_empty() {
                return Ok(page);
            }
            after = page.next;
            tokio::select! {
                () = &mut heartbeat => is_due = true,
                changed = written.changed() => changed.map_err(|_| DatasyncError::Interrupted)?,
            }
        }
    }

    fn wake(&self, sequence: i64) {
        self.written.send_if_modified(|written| {
            let is_news = sequence > *written;
            *written = sequence.max(*written);
            is_news
        });
    }
}
