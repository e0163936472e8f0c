//! The service: what it is built of, what it does for its callers, and how it runs.

mod goals;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use pathway_finance::{Currency, Period};
use pathway_kernel::{Clock, Fault};
use pathway_rpc::{Listener, Readiness, Routes, ServerConfig, ServerSettings, Target};
use pathway_runtime::{Component, Env, Security};
use tokio::sync::{Notify, broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::closer::Closer;
use crate::config::{Config, DEFAULTS};
use crate::error::AnalyticsError;
use crate::fact::Change;
use crate::follower::Follower;
use crate::grpc;
use crate::ledger::Applied;
use crate::messenger::Messenger;
use crate::rebuilder::Rebuilder;
use crate::recurring::RecurringSeries;
use crate::store::{
    Breakdown, Budget, By, ClosedPeriod, ClosedQuestion, ExplainedLine, Explanation, InsightFilter,
    NewBudgets, Question, Scope, SeriesQuestion, Spending, Store, Told,
};
use crate::subject::{Purchase, State};
use crate::summary::{Summary, TrendQuestion, Trends};
use crate::sweeper::Sweeper;
use crate::watch::Look;

/// The service of the figures.
#[derive(Debug)]
pub struct Analytics {
    env: Env,
    figures: Figures,
    follower: Follower,
    rebuilder: Rebuilder,
    security: Security,
    serving: ServerSettings,
    sweeper: Sweeper,
    messenger: Messenger,
    cors_origins: Vec<String>,
}

/// What analytics takes from outside.
#[derive(Debug)]
pub struct Deps {
    /// Time and chance.
    pub env: Env,
    /// The way to datasync; none for that of the configuration.
    pub datasync: Option<Target>,
    /// The way to notifications; none for that of the configuration.
    pub notifications: Option<Target>,
}

/// What the service does for its callers; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    pub(crate) store: Store,
    clock: Clock,
    default_currency: Currency,
    /// How far this process has followed imported history: wakes those who wait, who then read the store.
    followed: watch::Sender<i64>,
    /// The users whose figures changed: wakes those who follow them, who then read the store.
    pub(crate) changed: broadcast::Sender<String>,
    /// Says that a rebuild has begun.
    pub(crate) rebuilds: Arc<Notify>,
    pub(crate) heartbeat: Duration,
    pub(crate) closing: CancellationToken,
}

/// How often whoever waits looks without having been woken: another process may follow into a shared store.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How many wake-ups a slow follower may miss before it looks without one.
const WAKE_UPS: usize = 1024;

// === impl Deps ===

impl From<Env> for Deps {
    fn from(env: Env) -> Self {
        Self { env, datasync: None, notifications: None }
    }
}

// === impl Analytics ===

impl Component for Analytics {
    type Config = Config;
    type Deps = Deps;
    const NAME: &'static str = "analytics";
    const DEFAULTS: &'static str = DEFAULTS;

    async fn build(config: Config, deps: Deps) -> Result<Self, Fault> {
        let default_currency = Currency::parse(&config.default_currency)
            .map_err(|error| AnalyticsError::invalid("default_currency", error.to_string()))?;
        let datasync = match deps.datasync {
            Some(target) => target,
            None => Target::parse(&config.peers.datasync.url)?,
        };
        let security = Security::open(Self::NAME, &config.security, &deps.env.clock)?;
        let notifications = match deps.notifications {
            Some(target) => target,
            None => Target::parse(&config.peers.notifications.url)?,
        };
        let store = Store::open(&config.store_config()).await?;
        store.tell(&deps.env.telemetry);
        let followed = watch::Sender::new(store.followed().await?);
        let figures = Figures {
            store,
            clock: deps.env.clock.clone(),
            default_currency,
            followed,
            changed: broadcast::Sender::new(WAKE_UPS),
            rebuilds: Arc::default(),
            heartbeat: config.watch.heartbeat(),
            closing: CancellationToken::new(),
        };
        let dialer = deps.env.dialer(Self::NAME);
        let ways = config.resilience.of(&config.peers.datasync.resilience, "peers.datasync.resilience")?;
        let channel = security.channel(&dialer, "datasync", datasync, ways);
        let rebuilder = Rebuilder::new(channel.clone(), figures.clone(), deps.env.rng.clone());
        let follower = Follower::new(channel, figures.clone(), deps.env.rng.clone());
        let outgoing = figures.store.news().clone();
        let sweeper =
            Sweeper::new(figures.store.clone(), figures.clock.clone(), &config.recurring, outgoing.clone());
        let own = &config.peers.notifications.resilience;
        let ways = config.resilience.of(own, "peers.notifications.resilience")?;
        let channel = security.channel(&dialer, "notifications", notifications, ways);
        let messenger = Messenger::new(channel, figures.store.clone(), outgoing, deps.env.rng.clone());
        let (serving, cors_origins) = (config.server, config.cors_origins);
        Ok(Self {
            env: deps.env,
            figures,
            follower,
            rebuilder,
            security,
            serving,
            sweeper,
            messenger,
            cors_origins,
        })
    }

    fn routes(&self) -> Routes {
        grpc::routes(self.figures.clone())
    }

    fn readiness(&self) -> Readiness {
        let store = self.figures.store.clone();
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
        let (routes, closing) = (self.routes(), self.figures.closing.clone());
        let tasks = TaskTracker::new();
        tasks.spawn(closing.clone().run_until_cancelled_owned(self.follower.run()));
        tasks.spawn(closing.clone().run_until_cancelled_owned(self.rebuilder.run()));
        tasks.spawn(closing.clone().run_until_cancelled_owned(self.sweeper.run()));
        tasks.spawn(closing.clone().run_until_cancelled_owned(self.messenger.run()));
        let closer = Closer::new(self.figures.clone());
        tasks.spawn(closing.clone().run_until_cancelled_owned(closer.run()));
        tasks.close();
        let server = self.env.server(config, routes).with_closing(closing);
        let served = server.serve(listener, shutdown.cancelled_owned()).await;
        tasks.wait().await;
        served
    }
}

// === impl Figures ===

impl Figures {
    /// The service over a store, and nothing around it.
    #[cfg(test)]
    pub(crate) fn over(store: Store, clock: Clock, default_currency: Currency, heartbeat: Duration) -> Self {
        let (followed, changed) = (watch::Sender::new(0), broadcast::Sender::new(WAKE_UPS));
        let closing = CancellationToken::new();
        Self {
            store,
            clock,
            default_currency,
            followed,
            changed,
            rebuilds: Arc::default(),
            heartbeat,
            closing,
        }
    }

    /// Applies a batch in one transaction and answers for each change what became of it.
    pub(crate) async fn apply(&self, changes: Vec<Change>) -> Result<Vec<Applied>, AnalyticsError> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let users: BTreeSet<String> = changes.iter().map(|change| change.fact.user_id.clone()).collect();
        let applied = self.store.apply(changes, self.clock.now_us()).await;
        self.wake(users);
        applied
    }

    /// How far imported history has been followed.
    pub(crate) async fn followed(&self) -> Result<i64, AnalyticsError> {
        self.store.followed().await
    }

    /// Applies a run of imported history, and moves the cursor with it.
    pub(crate) async fn follow(
        &self,
        changes: Vec<Change>,
        next: i64,
    ) -> Result<Vec<Applied>, AnalyticsError> {
        let users: BTreeSet<String> = changes.iter().map(|change| change.fact.user_id.clone()).collect();
        let applied = self.store.follow(changes, next, self.clock.now_us()).await?;
        self.wake(users);
        self.followed.send_replace(next);
        Ok(applied)
    }

    /// Waits until imported history has been followed up to a sequence; answers how far it is then.
    pub(crate) async fn await_followed(&self, sequence: i64) -> Result<i64, AnalyticsError> {
        let mut followed = self.followed.subscribe();
        loop {
            // Marked as seen before the store is read: what is followed after that wakes us again.
            followed.borrow_and_update();
            let reached = self.store.followed().await?;
            if reached >= sequence {
                return Ok(reached);
            }
            tokio::select! {
                () = self.closing.cancelled() => return Err(AnalyticsError::Ending),
                // The sender lives as long as we do; a wait that ends without news looks again.
                _ = tokio::time::timeout(LOOK_AGAIN, followed.changed()) => {}
            }
        }
    }

    /// Wakes those who follow these users.
    pub(crate) fn wake(&self, users: impl IntoIterator<Item = String>) {
        // Without a follower, there is nobody to tell.
        if self.changed.receiver_count() > 0 {
            for user_id in users {
                let _ = self.changed.send(user_id);
            }
        }
    }

    /// What there is after a mark, with the mark that it is as of; everything, without one.
    pub(crate) async fn look(&self, scope: Scope, after: Option<i64>) -> Result<(i64, Look), AnalyticsError> {
        self.store.look(scope, after, self.default_currency, self.clock.now_us()).await
    }

    /// Has what is touched of a user kept until an instant.
    pub(crate) async fn attend(&self, user_id: String, until_us: i64) -> Result<(), AnalyticsError> {
        self.store.attend(user_id, until_us).await
    }

    /// Whether other processes may change figures too.
    pub(crate) fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    /// The time, in microseconds since the Unix epoch.
    pub(crate) fn now_us(&self) -> i64 {
        self.clock.now_us()
    }

    /// A user's spending in a period.
    pub(crate) async fn spending(&self, scope: Scope) -> Result<Spending, AnalyticsError> {
        self.store.spending(scope, self.default_currency).await
    }

    /// A period's totals, per account or per merchant.
    pub(crate) async fn breakdown(&self, scope: Scope, by: By) -> Result<Breakdown, AnalyticsError> {
        self.store.breakdown(scope, by, self.default_currency).await
    }

    /// Trends over a range.
    pub(crate) async fn trends(&self, question: TrendQuestion) -> Result<Trends, AnalyticsError> {
        self.store.trends(question, self.default_currency).await
    }

    /// A period, without one the month that it is for the user, beside the one before it and the budgets.
    pub(crate) async fn summary(
        &self,
        user_id: String,
        period: Option<Period>,
        currency: Option<Currency>,
    ) -> Result<Summary, AnalyticsError> {
        self.store.summary(user_id, period, currency, self.default_currency, self.clock.now_us()).await
    }

    /// What a user was told, newest first.
    pub(crate) async fn insights(&self, filter: InsightFilter) -> Result<Vec<Told>, AnalyticsError> {
        self.store.insights(filter).await
    }

    /// One thing that a user was told.
    pub(crate) async fn insight(&self, user_id: String, key: String) -> Result<Told, AnalyticsError> {
        self.store.insight(user_id, key).await?.ok_or(AnalyticsError::UnknownInsight)
    }

    /// What comes again and again, by when it is expected next.
    pub(crate) async fn recurring(
        &self,
        question: SeriesQuestion,
    ) -> Result<Vec<RecurringSeries>, AnalyticsError> {
        self.store.recurring(question).await
    }

    /// Sets what has become of an insight, and answers it.
    pub(crate) async fn set_state(
        &self,
        user_id: String,
        key: String,
        state: State,
    ) -> Result<Told, AnalyticsError> {
        self.store.set_state(user_id, key, state).await?.ok_or(AnalyticsError::UnknownInsight)
    }

    /// A user's lines by their records, those that count.
    pub(crate) async fn lines(
        &self,
        user_id: String,
        record_ids: Vec<Uuid>,
    ) -> Result<Vec<ExplainedLine>, AnalyticsError> {
        self.store.lines(user_id, record_ids).await
    }

    /// A purchase that stands out, then the lines that it was compared with.
    pub(crate) async fn compared(
        &self,
        user_id: String,
        purchase: Purchase,
    ) -> Result<Vec<ExplainedLine>, AnalyticsError> {
        self.store.compared(user_id, purchase).await
    }

    /// The lines behind a number.
    pub(crate) async fn explain(&self, question: Question) -> Result<Explanation, AnalyticsError> {
        self.store.explain(question, self.default_currency).await
    }

    /// Sets limits and answers the budgets as they were set.
    pub(crate) async fn set_budgets(&self, new: NewBudgets) -> Result<Vec<Budget>, AnalyticsError> {
        let user_id = new.user_id.clone();
        let set = self.store.set_budgets(new, self.clock.now_us()).await;
        self.wake([user_id]);
        set
    }

    /// Closes what has ended of some users' budgets; answers how many users that were, at most `most`.
    pub(crate) async fn close_due(&self, most: i64) -> Result<usize, AnalyticsError> {
        let users = self.store.close_due(most, self.clock.now_us()).await?;
        let count = users.len();
        // Another period is under way: those who follow see that its budgets begin anew.
        self.wake(users);
        Ok(count)
    }

    /// What periods of a user's budgets came to, newest first.
    pub(crate) async fn closed(&self, question: ClosedQuestion) -> Result<Vec<ClosedPeriod>, AnalyticsError> {
        self.store.closed(question).await
    }

    /// A user's budgets that are in force, by category.
    pub(crate) async fn budgets(&self, user_id: String) -> Result<Vec<Budget>, AnalyticsError> {
        self.store.budgets(user_id, self.clock.now_us()).await
    }
}
