//! What the service does for its callers.

mod dead_letters;

use std::sync::Arc;

use futures_util::future::try_join_all;
use pathway_kernel::{Clock, Violation};
use pathway_topics::{NewEvent, Position, Topics};
use prost::Message as _;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::error::ProcessorError;
use crate::events::Envelope;
use crate::pathways::Shipped;
use crate::store::{Execution, Store};

/// What the service does for its callers; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Processing {
    pub(crate) store: Store,
    pub(crate) shipped: Arc<Vec<Arc<Shipped>>>,
    pub(crate) closing: CancellationToken,
    pub(crate) topics: Topics,
    pub(crate) clock: Clock,
    pub(crate) ended: broadcast::Sender<Arc<Vec<Execution>>>,
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
