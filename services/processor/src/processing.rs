//! What the service does for its callers.

mod admission;
mod dead_letters;
mod once;
mod pathways;
mod replays;
mod steps;
mod subscription;
mod traces;

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex};

use futures_util::future::try_join_all;
use pathway_engine::{Pathway, Tools};
use pathway_kernel::{Clock, Violation};
use pathway_telemetry::Telemetry;
use pathway_topics::{NewEvent, Position, TopicFigures, Topics};
use prost::Message as _;
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use crate::config::TopicsSettings;
use crate::error::ProcessorError;
use crate::events::Envelope;
use crate::metrics::Metrics;
use crate::registry::{Line, Registry};
use crate::store::{Execution, Store};
pub(crate) use admission::Admission;
pub(crate) use pathways::{History, Kept, Pinned};
pub(crate) use steps::StepEvent;
pub(crate) use subscription::{Stretch, Subscription, Wanted};

/// What the service does for its callers; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Processing {
    pub(crate) store: Store,
    pub(crate) registry: Registry,
    pub(crate) tools: Tools,
    pub(crate) topic_names: TopicsSettings,
    pub(crate) admission: Admission,
    pub(crate) closing: CancellationToken,
    pub(crate) topics: Topics,
    pub(crate) clock: Clock,
    pub(crate) telemetry: Telemetry,
    pub(crate) metrics: Metrics,
    pub(crate) ended: broadcast::Sender<Arc<Vec<Execution>>>,
    /// Wakes who runs replays.
    pub(crate) replays: Arc<Notify>,
    /// Versions that steps have asked for.
    pub(crate) pinned: Arc<Mutex<Pinned>>,
}

// === impl Processing ===

impl Processing {
    /// Appends events; answers for each where it is or everything that is wrong with it.
    pub(crate) async fn publish(
        &self,
        topic: &str,
        events: Vec<Envelope>,
    ) -> Result<Vec<Result<Position, ProcessorError>>, ProcessorError> {
        let span = self.publish_span(topic, events.len());
        self.publish_all(topic, events).instrument(span).await
    }

    async fn publish_all(
        &self,
        topic: &str,
        events: Vec<Envelope>,
    ) -> Result<Vec<Result<Position, ProcessorError>>, ProcessorError> {
        let checked = self.check(topic, events)?;
        let good: Vec<NewEvent> = checked.iter().filter_map(|event| event.as_ref().ok().cloned()).collect();
        let positions = if good.is_empty() { Vec::new() } else { self.append(topic, good).await? };
        let mut positions = positions.into_iter();
        Ok(checked
            .into_iter()
            .map(|event| event.and_then(|_| positions.next().ok_or(ProcessorError::Ending)))
            .collect())
    }

    /// The span of a publish. A topic is known before it is told: its name would be the caller's own words else.
    fn publish_span(&self, topic: &str, events: usize) -> Span {
        if self.owner(topic).is_ok() { traces::publish(topic, events) } else { Span::none() }
    }

    /// Which events are any good; there is room for those of their keys.
    fn check(
        &self,
        topic: &str,
        events: Vec<Envelope>,
    ) -> Result<Vec<Result<NewEvent, ProcessorError>>, ProcessorError> {
        let owner = self.owner(topic)?;
        let trace = pathway_telemetry::current();
        let now_us = self.clock.now_us();
        // An event that is let in must not overtake one of its key that was not.
        let mut full = HashSet::new();
        let checked = events
            .into_iter()
            .map(|event| {
                let event = event.within(&trace);
                let event = accept(&owner, topic, event, now_us)?;
                let admitted = self.admission.admit_key(topic, &event.partition_key, &full);
                if admitted.is_err() {
                    full.insert(event.partition_key.clone());
                }
                admitted.map(|()| event)
            })
            .collect();
        Ok(checked)
    }

    /// Waits until these events have been processed.
    pub(crate) async fn await_processed(
        &self,
        topic: &str,
        positions: Vec<Position>,
    ) -> Result<(), ProcessorError> {
        let known = self.registry.known();
        let lines: Vec<&Arc<Line>> = known.of_topic(topic).collect();
        if lines.is_empty() {
            return Err(ProcessorError::UnknownTopic(topic.to_owned()));
        }
        let all = lines.iter().flat_map(|line| {
            positions.iter().map(|position| {
                self.topics.await_committed(topic, line.name(), position.partition, position.offset)
            })
        });
        let waited = self.closing.run_until_cancelled(try_join_all(all)).await;
        waited.ok_or(ProcessorError::Ending)?.map_err(ProcessorError::from).map(|_| ())
    }

    /// The topics that pathways read, by name, with their figures.
    pub(crate) async fn topics(&self) -> Result<Vec<(String, TopicFigures)>, ProcessorError> {
        let current = self.registry.current().await?;
        let names: BTreeSet<&str> = current.lines().iter().map(|line| line.topic()).collect();
        let mut topics = Vec::with_capacity(names.len());
        for name in names {
            topics.push((name.to_owned(), self.topics.figures(name).await?));
        }
        Ok(topics)
    }

    /// Executions as they end.
    pub(crate) fn watch(&self) -> broadcast::Receiver<Arc<Vec<Execution>>> {
        self.ended.subscribe()
    }

    async fn append(&self, topic: &str, events: Vec<NewEvent>) -> Result<Vec<Position>, ProcessorError> {
        let keys: Vec<String> = events.iter().map(|event| event.partition_key.clone()).collect();
        let appended = match self.admission.admit(topic, events.len()).await {
            Ok(()) => self.topics.append(topic, events).await.map_err(ProcessorError::from),
            Err(refused) => Err(refused),
        };
        if appended.is_err() {
            self.admission.release(topic, keys.iter().map(String::as_str));
        }
        appended
    }

    /// The pathway that decides what a topic takes.
    fn owner(&self, topic: &str) -> Result<Arc<Pathway>, ProcessorError> {
        let known = self.registry.known();
        let owner = known.of_topic(topic).find_map(|line| line.active().map(Arc::clone));
        owner.ok_or_else(|| match known.of_topic(topic).next() {
            Some(line) => {
                ProcessorError::InactiveTopic { topic: topic.to_owned(), pathway: line.name().to_owned() }
            }
            None => ProcessorError::UnknownTopic(topic.to_owned()),
        })
    }
}

/// An event for the log, or everything that is wrong with it.
fn accept(owner: &Pathway, topic: &str, event: Envelope, now_us: i64) -> Result<NewEvent, ProcessorError> {
    let data = event.parse().map_err(|violation| ProcessorError::Invalid(vec![violation]))?;
    let violations = owner.check_input(&data);
    if !violations.is_empty() {
        return Err(ProcessorError::Invalid(violations));
    }
    let event = event.completed(topic, &data, now_us);
    let partition_key = if event.partition_key.is_empty() {
        owner.definition().key(&data).map_err(|fault| {
            ProcessorError::Invalid(vec![Violation::new("partition_key", fault.message().to_owned())])
        })?
    } else {
        event.partition_key.clone()
    };
    let violations = event.check(&partition_key);
    if !violations.is_empty() {
        return Err(ProcessorError::Invalid(violations));
    }
    Ok(NewEvent { partition_key, payload: event.encode_to_vec() })
}
