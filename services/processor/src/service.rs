//! The service: what it is built of, what it does for its callers, and how it runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use pathway_engine::Tools;
use pathway_finance::{Currency, TimeZone};
use pathway_kernel::{Clock, Fault, Violation};
use pathway_rpc::{Channel, ChannelConfig, Listener, Routes, Server, ServerConfig, Target};
use pathway_runtime::{Component, Env};
use pathway_topics::{NewEvent, Position, Topics, TopicsConfig};
use prost::Message as _;
use tokio::sync::broadcast;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::config::{Config, DEFAULTS};
use crate::error::ProcessorError;
use crate::events::Envelope;
use crate::grpc;
use crate::pathways::{Shipped, shipped};
use crate::store::{Execution, Resolution, Store};
use crate::tools::{AnalyticsApply, DatasyncWrite, NotificationsSend, Reader};
use crate::worker::Worker;

/// The service of topics and pathways.
#[derive(Debug)]
pub struct Processor {
    processing: Processing,
    env: Env,
    keep_executions: i64,
    cors_origins: Vec<String>,
}

/// What the processor takes from outside.
#[derive(Debug)]
pub struct Deps {
    /// Time and chance.
    pub env: Env,
    /// Ways to the peers; none for those of the configuration.
    pub peers: Option<Peers>,
}

/// Ways to the peers.
#[derive(Debug, Clone)]
pub struct Peers {
    /// The records.
    pub datasync: Target,
    /// The figures.
    pub analytics: Target,
    /// The notices.
    pub notifications: Target,
}

/// What the service does for its callers; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Processing {
    pub(crate) store: Store,
    pub(crate) shipped: Arc<Vec<Arc<Shipped>>>,
    pub(crate) closing: CancellationToken,
    topics: Topics,
    clock: Clock,
    ended: broadcast::Sender<Arc<Vec<Execution>>>,
}

/// How many batches a slow watcher may fall behind.
const BEHIND: usize = 256;
/// How often old executions are removed.
const TRIM_EVERY: Duration = Duration::from_secs(60);

// === impl Deps ===

impl From<Env> for Deps {
    fn from(env: Env) -> Self {
        Self { env, peers: None }
    }
}

// === impl Processor ===

impl Component for Processor {
    type Config = Config;
    type Deps = Deps;
    const NAME: &'static str = "processor";
    const DEFAULTS: &'static str = DEFAULTS;

    async fn build(config: Config, deps: Deps) -> Result<Self, Fault> {
        let wrong = |field, error: &dyn std::fmt::Display| {
            ProcessorError::Invalid(vec![Violation::new(field, error.to_string())])
        };
        let reader = Reader {
            currency: Currency::parse(&config.default_currency).map_err(|e| wrong("default_currency", &e))?,
            zone: TimeZone::parse(&config.time_zone).map_err(|e| wrong("time_zone", &e))?,
        };
        let peers = match deps.peers {
            Some(peers) => peers,
            None => Peers {
                datasync: Target::parse(&config.peers.datasync)?,
                analytics: Target::parse(&config.peers.analytics)?,
                notifications: Target::parse(&config.peers.notifications)?,
            },
        };
        let channel = |name, target| Channel::new(name, target, ChannelConfig::default());
        let tools = Tools::default()
            .with(Arc::new(DatasyncWrite::new(channel("datasync", peers.datasync), reader)))
            .with(Arc::new(AnalyticsApply::new(channel("analytics", peers.analytics))))
            .with(Arc::new(NotificationsSend::new(channel("notifications", peers.notifications))));
        let shipped: Vec<Arc<Shipped>> = shipped(&config.topics, &tools)?.into_iter().map(Arc::new).collect();

        let store = Store::open(&config.store_config()).await?;
        let settings = TopicsConfig { partitions: config.topics.partitions };
        let topics = Topics::new(store.db(), settings, deps.env.clock.clone()).await?;
        for shipped in &shipped {
            topics.open(&shipped.topic).await?;
        }
        let processing = Processing {
            store,
            shipped: Arc::new(shipped),
            closing: CancellationToken::new(),
            topics,
            clock: deps.env.clock.clone(),
            ended: broadcast::Sender::new(BEHIND),
        };
        Ok(Self {
            processing,
            env: deps.env,
            keep_executions: config.executions.keep,
            cors_origins: config.cors_origins,
        })
    }

    fn routes(&self) -> Routes {
        grpc::routes(self.processing.clone())
    }

    async fn run(self, listener: Listener, shutdown: CancellationToken) -> Result<(), Fault> {
        let tasks = TaskTracker::new();
        let closing = self.processing.closing.clone();
        for shipped in self.processing.shipped.iter() {
            for partition in 0..self.processing.topics.partitions() {
                tasks.spawn(self.worker(shipped, partition).run(closing.clone()));
            }
        }
        let (store, keep) = (self.processing.store.clone(), self.keep_executions);
        tasks.spawn(closing.clone().run_until_cancelled_owned(trim(store, keep)));
        tasks.close();

        let config = ServerConfig { cors_origins: self.cors_origins.clone(), ..ServerConfig::default() };
        let told = async move {
            shutdown.cancelled().await;
            closing.cancel();
        };
        let served = Server::new(config, self.routes()).serve(listener, told).await;
        self.processing.closing.cancel();
        tasks.wait().await;
        served
    }
}

impl Processor {
    fn worker(&self, shipped: &Arc<Shipped>, partition: i32) -> Worker {
        Worker {
            partition,
            shipped: Arc::clone(shipped),
            topics: self.processing.topics.clone(),
            store: self.processing.store.clone(),
            clock: self.env.clock.clone(),
            rng: self.env.rng.clone(),
            ended: self.processing.ended.clone(),
        }
    }
}

async fn trim(store: Store, keep: i64) {
    let mut ticks = tokio::time::interval(TRIM_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match store.trim(keep).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "removed old executions"),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not remove old executions");
            }
        }
    }
}

// === impl Processing ===

impl Processing {
    /// Appends events; answers for each where it is or everything that is wrong with it.
    pub(crate) async fn publish(
        &self,
        topic: &str,
        events: Vec<Envelope>,
    ) -> Result<Vec<Result<Position, ProcessorError>>, ProcessorError> {
        let shipped = self.shipped(topic)?;
        let traceparent = pathway_telemetry::current_traceparent().unwrap_or_default();
        let now_us = self.clock.now_us();
        let checked: Vec<Result<NewEvent, ProcessorError>> = events
            .into_iter()
            .map(|event| accept(shipped, Envelope { traceparent: traceparent.clone(), ..event }, now_us))
            .collect();
        let good: Vec<NewEvent> = checked.iter().filter_map(|event| event.as_ref().ok().cloned()).collect();
        let positions =
            if good.is_empty() { Vec::new() } else { self.topics.append(&shipped.topic, good).await? };
        let mut positions = positions.into_iter();
        Ok(checked
            .into_iter()
            .map(|event| event.and_then(|_| positions.next().ok_or(ProcessorError::Ending)))
            .collect())
    }

    /// Publishes the events of dead letters again, as they were or with other data; answers for each where it is now or why it was refused.
    ///
    /// They are published first and marked after that. A crash between the two leaves a dead letter that can be redriven once more, which changes
    /// nothing: what an event has done is not done again.
    pub(crate) async fn redrive(
        &self,
        items: Vec<(Uuid, Option<Vec<u8>>)>,
    ) -> Result<Vec<Result<(String, Position), ProcessorError>>, ProcessorError> {
        let ids: Vec<Uuid> = items.iter().map(|(id, _)| *id).collect();
        let found = self.store.find_dead_letters(&ids).await?;
        let mut results: Vec<Result<(String, Position), ProcessorError>> = Vec::with_capacity(items.len());
        let mut by_topic: BTreeMap<String, (Vec<usize>, Vec<Envelope>)> = BTreeMap::new();
        for ((index, (_, data)), found) in items.into_iter().enumerate().zip(found) {
            // Replaced where it is published below.
            results.push(Err(match found {
                None => ProcessorError::UnknownDeadLetter,
                Some((_, false)) => ProcessorError::Resolved,
                Some((letter, true)) => {
                    let (places, events) = by_topic.entry(letter.topic).or_default();
                    places.push(index);
                    events.push(letter.event.corrected(data));
                    ProcessorError::Ending
                }
            }));
        }
        let mut redriven = Vec::new();
        for (topic, (places, events)) in by_topic {
            for (place, published) in places.into_iter().zip(self.publish(&topic, events).await?) {
                if published.is_ok() {
                    redriven.push(ids[place]);
                }
                results[place] = published.map(|position| (topic.clone(), position));
            }
        }
        if !redriven.is_empty() {
            self.store.resolve(redriven, Resolution::Redriven, self.clock.now_us()).await?;
        }
        Ok(results)
    }

    /// Puts dead letters aside for good; answers for each whether that was done.
    pub(crate) async fn discard(
        &self,
        ids: Vec<Uuid>,
        reason: String,
    ) -> Result<Vec<Result<(), ProcessorError>>, ProcessorError> {
        let found = self.store.find_dead_letters(&ids).await?;
        let resolution = Resolution::Discarded { reason };
        let discarded = self.store.resolve(ids, resolution, self.clock.now_us()).await?;
        let result = |(found, discarded): (Option<_>, bool)| match (found, discarded) {
            (None, _) => Err(ProcessorError::UnknownDeadLetter),
            (Some(_), false) => Err(ProcessorError::Resolved),
            (Some(_), true) => Ok(()),
        };
        Ok(found.into_iter().zip(discarded).map(result).collect())
    }

    /// Waits until these events have been processed.
    pub(crate) async fn await_processed(
        &self,
        topic: &str,
        positions: Vec<Position>,
    ) -> Result<(), ProcessorError> {
        let shipped = self.shipped(topic)?;
        let group = shipped.pathway.definition().name();
        let all = positions.into_iter().map(|position| {
            self.topics.await_committed(&shipped.topic, group, position.partition, position.offset)
        });
        let waited = self.closing.run_until_cancelled(try_join_all(all)).await;
        waited.ok_or(ProcessorError::Ending)?.map_err(ProcessorError::from).map(|_| ())
    }

    /// Executions as they end.
    pub(crate) fn watch(&self) -> broadcast::Receiver<Arc<Vec<Execution>>> {
        self.ended.subscribe()
    }

    fn shipped(&self, topic: &str) -> Result<&Shipped, ProcessorError> {
        let found = self.shipped.iter().find(|shipped| shipped.topic == topic);
        found.map(Arc::as_ref).ok_or_else(|| ProcessorError::UnknownTopic(topic.to_owned()))
    }
}

/// An event for the log, or everything that is wrong with it.
fn accept(shipped: &Shipped, event: Envelope, now_us: i64) -> Result<NewEvent, ProcessorError> {
    let data = event.parse().map_err(|violation| ProcessorError::Invalid(vec![violation]))?;
    let violations = shipped.pathway.check_input(&data);
    if !violations.is_empty() {
        return Err(ProcessorError::Invalid(violations));
    }
    let event = event.completed(&shipped.topic, &data, now_us);
    let partition_key = if event.partition_key.is_empty() {
        shipped.pathway.definition().key(&data).map_err(|fault| {
            ProcessorError::Invalid(vec![Violation::new("partition_key", fault.message().to_owned())])
        })?
    } else {
        event.partition_key.clone()
    };
    Ok(NewEvent { partition_key, payload: event.encode_to_vec() })
}
