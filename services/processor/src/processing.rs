//! What the service does for its callers.

mod admission;
mod appending;
mod dead_letters;
mod ends;
mod once;
mod pathways;
mod replays;
mod steps;
mod subscription;
mod traces;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use futures_util::future::try_join_all;
use pathway_engine::{Pathway, Tools};
use pathway_kernel::Clock;
use pathway_telemetry::Telemetry;
use pathway_topics::{Position, TopicFigures, Topics};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use crate::config::TopicsSettings;
use crate::error::ProcessorError;
use crate::events::Envelope;
use crate::metrics::Metrics;
use crate::registry::{Line, Registry};
use crate::store::Store;
pub(crate) use admission::Admission;
use appending::{Appended, Checked};
pub(crate) use ends::{EndedBatch, Ends};
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
    pub(crate) ends: Ends,
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
        let Checked { good, refused, room } = self.check(topic, events)?;
        let mut positions = Vec::new();
        if !good.is_empty() {
            let append = self.topics.prepare_append(topic, good)?;
            positions = self.append(room, move |tx| Ok((append.run(tx)?, Appended::All))).await?;
        }
        let mut positions = positions.into_iter();
        let result = |refused: Option<ProcessorError>| match refused {
            Some(refused) => Err(refused),
            None => positions.next().ok_or(ProcessorError::Ending),
        };
        Ok(refused.into_iter().map(result).collect())
    }

    /// The span of a publish. A topic is known before it is told: its name would be the caller's own words else.
    fn publish_span(&self, topic: &str, events: usize) -> Span {
        if self.owner(topic).is_ok() { traces::publish(topic, events) } else { Span::none() }
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
