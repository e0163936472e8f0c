//! The service: what it is built of, what it does for its callers, and how it runs.

use std::time::Duration;

use pathway_finance::{Currency, Period};
use pathway_kernel::{Clock, Fault};
use pathway_rpc::{ChannelConfig, Listener, Routes, ServerConfig, Target};
use pathway_runtime::{Component, Env, Security};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::config::{Config, DEFAULTS};
use crate::error::AnalyticsError;
use crate::fact::Change;
use crate::follower::Follower;
use crate::grpc;
use crate::ledger::Applied;
use crate::store::{
    Budget, ExplainedLine, Explanation, InsightFilter, NewBudgets, Question, Scope, Spending, Store, Told,
};
use crate::subject::State;
use crate::summary::{Summary, TrendQuestion, Trends};

/// The service of the figures.
#[derive(Debug)]
pub struct Analytics {
    env: Env,
    figures: Figures,
    follower: Follower,
    security: Security,
    cors_origins: Vec<String>,
}

/// What analytics takes from outside.
#[derive(Debug)]
pub struct Deps {
    /// Time and chance.
    pub env: Env,
    /// The way to datasync; none for that of the configuration.
    pub datasync: Option<Target>,
}

/// What the service does for its callers; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    store: Store,
    clock: Clock,
    default_currency: Currency,
    /// How far this process has followed imported history: wakes those who wait, who then read the store.
    followed: watch::Sender<i64>,
    closing: CancellationToken,
}

/// How often whoever waits looks without having been woken: another process may follow into a shared store.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

// === impl Deps ===

impl From<Env> for Deps {
    fn from(env: Env) -> Self {
        Self { env, datasync: None }
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
            None => Target::parse(&config.peers.datasync)?,
        };
        let security = Security::open(Self::NAME, &config.security, &deps.env.clock)?;
        let store = Store::open(&config.store_config()).await?;
        let followed = watch::Sender::new(store.followed().await?);
        let figures = Figures {
            store,
            clock: deps.env.clock.clone(),
            default_currency,
            followed,
            closing: CancellationToken::new(),
        };
        let dialer = deps.env.dialer(Self::NAME);
        let channel = security.shown(dialer.channel("datasync", datasync, ChannelConfig::default()));
        let follower = Follower::new(channel, figures.clone(), deps.env.rng.clone());
        Ok(Self { env: deps.env, figures, follower, security, cors_origins: config.cors_origins })
    }

    fn routes(&self) -> Routes {
        grpc::routes(self.figures.clone())
    }

    async fn run(self, listener: Listener, shutdown: CancellationToken) -> Result<(), Fault> {
        let config = ServerConfig {
            cors_origins: self.cors_origins.clone(),
            guard: self.security.guard(),
            ..ServerConfig::default()
        };
        let (routes, closing) = (self.routes(), self.figures.closing.clone());
        let tasks = TaskTracker::new();
        tasks.spawn(closing.clone().run_until_cancelled_owned(self.follower.run()));
        tasks.close();
        let told = {
            let closing = closing.clone();
            async move {
                shutdown.cancelled().await;
                closing.cancel();
            }
        };
        let served = self.env.server(config, routes).serve(listener, told).await;
        closing.cancel();
        tasks.wait().await;
        served
    }
}

// === impl Figures ===

impl Figures {
    /// Applies a batch in one transaction and answers for each change what became of it.
    pub(crate) async fn apply(&self, changes: Vec<Change>) -> Result<Vec<Applied>, AnalyticsError> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        self.store.apply(changes, self.clock.now_us()).await
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
        let applied = self.store.follow(changes, next, self.clock.now_us()).await?;
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

    /// A user's spending in a period.
    pub(crate) async fn spending(&self, scope: Scope) -> Result<Spending, AnalyticsError> {
        self.store.spending(scope, self.default_currency).await
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

    /// The lines behind a number.
    pub(crate) async fn explain(&self, question: Question) -> Result<Explanation, AnalyticsError> {
        self.store.explain(question, self.default_currency).await
    }

    /// Sets limits and answers the budgets as they were set.
    pub(crate) async fn set_budgets(&self, new: NewBudgets) -> Result<Vec<Budget>, AnalyticsError> {
        self.store.set_budgets(new, self.clock.now_us()).await
    }

    /// A user's budgets that are in force, by category.
    pub(crate) async fn budgets(&self, user_id: String) -> Result<Vec<Budget>, AnalyticsError> {
        self.store.budgets(user_id, self.clock.now_us()).await
    }
}
