//! Following a topic.
//!
//! A subscription pulls: it reads a stretch of the log when its reader has taken the one before. So a slow reader costs no memory, and one that falls behind
//! what retention keeps is told how much it missed.

use std::collections::BTreeMap;
use std::time::Duration;

use pathway_topics::StoredEvent;
use prost::Message as _;
use tokio::sync::watch;

use super::Processing;
use crate::error::ProcessorError;
use crate::events::Envelope;

/// The most events of a stretch.
const MOST: usize = 512;
/// How often to look for events that another process appended.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Where partitions begin that are not named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// With the next event.
    Next,
    /// With the first that is still there.
    Earliest,
    /// With the first that was appended then or later, in microseconds since the Unix epoch.
    Since(i64),
}

/// A reader's place in a topic.
#[derive(Debug)]
pub(crate) struct Subscription {
    processing: Processing,
    topic: String,
    /// Only events with this key; empty for any.
    key: String,
    /// For each partition the offset to read next.
    next: BTreeMap<i32, i64>,
    /// The partition to look at first, so that a busy one does not hide the others.
    turn: i32,
    appended: watch::Receiver<u64>,
}

/// Events of one partition.
#[derive(Debug)]
pub(crate) struct Stretch {
    pub(crate) partition: i32,
    pub(crate) events: Vec<(StoredEvent, Envelope)>,
    /// The offset to go on from.
    pub(crate) next: i64,
    /// How many that were wanted had been removed.
    pub(crate) missed: i64,
}

// === impl Processing ===

impl Processing {
    /// Begins to follow a topic.
    pub(crate) async fn subscribe(
        &self,
        topic: &str,
        from: BTreeMap<i32, i64>,
        wanted: Wanted,
        key: String,
    ) -> Result<Subscription, ProcessorError> {
        if self.registry.known().of_topic(topic).next().is_none() {
            return Err(ProcessorError::UnknownTopic(topic.to_owned()));
        }
        // Listening comes before looking, or what is appended between the two would go unnoticed.
        let appended = self.topics.subscribe_appends(topic);
        let mut next = BTreeMap::new();
        for figures in self.topics.figures(topic).await?.partitions {
            let partition = figures.partition;
            let place = match (from.get(&partition), wanted) {
                (Some(offset), _) => (*offset).max(0),
                (None, Wanted::Next) => figures.end,
                (None, Wanted::Earliest) => figures.first,
                (None, Wanted::Since(at_us)) => self.topics.offset_at(topic, partition, at_us).await?,
            };
            next.insert(partition, place);
        }
        Ok(Subscription { processing: self.clone(), topic: topic.to_owned(), key, next, turn: 0, appended })
    }
}

// === impl Subscription ===

impl Subscription {
    /// For each partition the offset that is read next.
    pub(crate) fn places(&self) -> impl Iterator<Item = (i32, i64)> {
        self.next.iter().map(|(partition, offset)| (*partition, *offset))
    }

    /// The next stretch; waits until there is one.
    pub(crate) async fn read(&mut self) -> Result<Stretch, ProcessorError> {
        loop {
            self.appended.borrow_and_update();
            let partitions = self.processing.topics.partitions();
            for step in 0..partitions {
                let partition = (self.turn + step) % partitions;
                if let Some(stretch) = self.read_partition(partition).await? {
                    self.turn = (partition + 1) % partitions;
                    return Ok(stretch);
                }
            }
            let heard = self.appended.changed();
            if self.processing.store.db().is_shared() {
                // Time running out only means looking again.
                let _ = tokio::time::timeout(LOOK_AGAIN, heard).await;
            } else {
                // The sender lives in the processing that we hold.
                let _ = heard.await;
            }
        }
    }

    /// Reads what is there. The place moves with the answer only, so a reader that is dropped in between has lost nothing.
    async fn read_partition(&mut self, partition: i32) -> Result<Option<Stretch>, ProcessorError> {
        let Some(&place) = self.next.get(&partition) else { return Ok(None) };
        let events = self.processing.topics.fetch(&self.topic, partition, place, MOST).await?;
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(None) };
        let (missed, next) = (first.offset - place, last.offset + 1);
        self.next.insert(partition, next);
        let mut events: Vec<(StoredEvent, Envelope)> = events.into_iter().map(opened).collect();
        if !self.key.is_empty() {
            events.retain(|(_, envelope)| self.key_of(envelope).as_deref() == Some(self.key.as_str()));
        }
        Ok(Some(Stretch { partition, next, missed, events }))
    }

    /// The key that an event was published with, or that the topic's pathway finds in it.
    fn key_of(&self, envelope: &Envelope) -> Option<String> {
        if !envelope.partition_key.is_empty() {
            return Some(envelope.partition_key.clone());
        }
        let known = self.processing.registry.known();
        let owner = known.of_topic(&self.topic).find_map(|line| line.active())?;
        owner.definition().key(&envelope.parse().ok()?).ok()
    }
}

fn opened(stored: StoredEvent) -> (StoredEvent, Envelope) {
    let envelope = Envelope::decode(&*stored.payload).unwrap_or_default();
    (stored, envelope)
}
