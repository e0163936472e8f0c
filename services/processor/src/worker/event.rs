//! An event on its way from the log into a run.

use std::collections::HashMap;
use std::sync::Arc;

use pathway_engine::{Definition, Input, Position};
use pathway_kernel::stable_id;
use pathway_topics::StoredEvent;
use prost::Message as _;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::Worker;
use crate::events::Envelope;

/// An event that is to be run, with what its history needs.
pub(super) struct Event {
    pub(super) stored: StoredEvent,
    pub(super) envelope: Envelope,
    pub(super) execution_id: Uuid,
    /// What keeps it in order with others.
    pub(super) key: String,
    data: Value,
}

// === impl Event ===

impl Event {
    pub(super) fn read(worker: &Worker, definition: &Definition, stored: StoredEvent) -> Self {
        // What was appended was an envelope; anything else has no data and fails by its schema, as a dead letter.
        let envelope = Envelope::decode(&*stored.payload).unwrap_or_default();
        let data = serde_json::from_slice(&envelope.data).unwrap_or(Value::Null);
        let key = if envelope.partition_key.is_empty() {
            // It had one when it was published; where the version says otherwise now, it is alone.
            definition.key(&data).unwrap_or_else(|_| stored.offset.to_string())
        } else {
            envelope.partition_key.clone()
        };
        let (partition, offset) = (stored.partition.to_string(), stored.offset.to_string());
        let epoch = worker.processing.topics.epoch();
        let parts =
            [epoch, worker.group.as_str(), worker.topic.as_str(), partition.as_str(), offset.as_str()];
        let execution_id = stable_id(stored.appended_at_us, &parts);
        Self { stored, envelope, execution_id, key, data }
    }

    /// What the engine is given. The data goes with it, and what an earlier run of the same version has done.
    pub(super) fn input(&mut self, epoch: &Arc<str>, version: &str) -> Input {
        let is_resumed = !self.envelope.done.is_empty() && self.envelope.done_version == version;
        let done: Map<String, Value> = if is_resumed {
            serde_json::from_slice(&self.envelope.done).unwrap_or_default()
        } else {
            Map::new()
        };
        Input {
            event_id: self.envelope.id.clone(),
            position: Position {
                epoch: Arc::clone(epoch),
                partition: self.stored.partition,
                offset: self.stored.offset,
            },
            data: std::mem::take(&mut self.data),
            done,
        }
    }
}

/// Cuts a batch at the first event that is one too many, of all or of its key. What follows stays behind it, in order.
pub(super) fn limit(events: &mut Vec<Event>, definition: &Definition) {
    let limits = definition.limits();
    let mut end = events.len().min(limits.batch);
    if limits.per_key < end {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        let keys = events.iter().map(|event| event.key.as_str());
        let mut counted = keys.map(|key| {
            let count = counts.entry(key).or_default();
            *count += 1;
            *count
        });
        end = counted.position(|count| count > limits.per_key).unwrap_or(end).min(end);
    }
    events.truncate(end);
}
