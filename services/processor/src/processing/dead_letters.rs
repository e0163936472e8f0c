//! Redriving and discarding.

use std::collections::{BTreeMap, HashSet};

use pathway_store::Tx;
use pathway_topics::{NewEvent, Position};
use tracing::Instrument as _;
use uuid::Uuid;

use super::Processing;
use crate::error::ProcessorError;
use crate::events::Envelope;
use crate::store::{DeadLetter, Resolution, resolve_in};

/// A dead letter's event, to be published again.
struct Letter {
    id: Uuid,
    event: Envelope,
}

// === impl Processing ===

impl Processing {
    /// Publishes the events of dead letters again, as they were or with other data; answers for each where it is now or why it was refused.
    ///
    /// An event and the note that its letter is redriven are one transaction: a crash, a repeat or another who redrives the same at once publishes nothing twice. Topics
    /// come one after the other, and where one fails as a whole, those before it stand.
    pub(crate) async fn redrive(
        &self,
        items: Vec<(Uuid, Option<Vec<u8>>)>,
    ) -> Result<Vec<Result<(String, Position), ProcessorError>>, ProcessorError> {
        let ids: Vec<Uuid> = items.iter().map(|(id, _)| *id).collect();
        let found = self.store.find_dead_letters(&ids).await?;
        let mut results: Vec<Result<(String, Position), ProcessorError>> = Vec::with_capacity(items.len());
        let mut by_topic: BTreeMap<String, (Vec<usize>, Vec<Letter>)> = BTreeMap::new();
        let mut seen = HashSet::new();
        for ((index, (id, data)), found) in items.into_iter().enumerate().zip(found) {
            // Replaced where it is published below.
            results.push(Err(match found {
                None => ProcessorError::UnknownDeadLetter,
                Some(letter) if letter.resolution.is_some() || !seen.insert(id) => ProcessorError::Resolved,
                Some(letter) => {
                    let (places, letters) = by_topic.entry(letter.topic.clone()).or_default();
                    places.push(index);
                    letters.push(Letter { id, event: resumed(letter)?.corrected(data) });
                    ProcessorError::Ending
                }
            }));
        }
        for (topic, (places, letters)) in by_topic {
            // A topic that takes nothing is its letters' affair, not that of the others.
            if self.owner(&topic).is_err() {
                for place in places {
                    if let Err(refused) = self.owner(&topic) {
                        results[place] = Err(refused);
                    }
                }
                continue;
            }
            let span = self.publish_span(&topic, letters.len());
            let published = self.redrive_in(&topic, letters).instrument(span).await?;
            for (place, published) in places.into_iter().zip(published) {
                results[place] = published.map(|position| (topic.clone(), position));
            }
        }
        Ok(results)
    }

    /// Publishes the letters of one topic and notes that they are redriven.
    async fn redrive_in(
        &self,
        topic: &str,
        letters: Vec<Letter>,
    ) -> Result<Vec<Result<Position, ProcessorError>>, ProcessorError> {
        let (ids, events): (Vec<Uuid>, Vec<Envelope>) =
            letters.into_iter().map(|letter| (letter.id, letter.event)).unzip();
        let checked = self.check(topic, events)?;
        let good: Vec<(Uuid, NewEvent)> = ids
            .into_iter()
            .zip(&checked)
            .filter_map(|(id, event)| Some((id, event.as_ref().ok()?.clone())))
            .collect();
        let keys: Vec<String> = good.iter().map(|(_, event)| event.partition_key.clone()).collect();
        let done = match self.admission.admit(topic, good.len()).await {
            Ok(()) => self.append_and_resolve(topic, good).await,
            Err(refused) => Err(refused),
        };
        let positions = match done {
            Ok(positions) => positions,
            Err(error) => {
                self.admission.release(topic, keys.iter().map(String::as_str));
                return Err(error);
            }
        };
        let appended = positions.iter().flatten().count();
        if appended > 0 {
            self.topics.notify_appended(topic, appended);
        }
        let late = keys.iter().zip(&positions).filter(|(_, position)| position.is_none());
        self.admission.release(topic, late.map(|(key, _)| key.as_str()));
        let mut positions = positions.into_iter();
        let result = |event: Result<NewEvent, ProcessorError>| {
            event.and_then(|_| positions.next().flatten().ok_or(ProcessorError::Resolved))
        };
        Ok(checked.into_iter().map(result).collect())
    }

    /// Where each event is now; none for one whose letter somebody else has resolved meanwhile.
    async fn append_and_resolve(
        &self,
        topic: &str,
        letters: Vec<(Uuid, NewEvent)>,
    ) -> Result<Vec<Option<Position>>, ProcessorError> {
        if letters.is_empty() {
            return Ok(Vec::new());
        }
        let (topics, name, now_us) = (self.topics.clone(), topic.to_owned(), self.clock.now_us());
        let run = move |tx: &mut Tx<'_>| {
            let ids: Vec<Uuid> = letters.iter().map(|(id, _)| *id).collect();
            let resolved = resolve_in(tx, &ids, &Resolution::Redriven, now_us)?;
            let ours = letters.iter().zip(&resolved).filter(|(_, is_ours)| **is_ours);
            let events: Vec<NewEvent> = ours.map(|((_, event), _)| event.clone()).collect();
            let mut positions = topics.prepare_append(&name, events)?.run(tx)?.into_iter();
            let position = |is_ours: &bool| if *is_ours { positions.next() } else { None };
            Ok::<_, ProcessorError>(resolved.iter().map(position).collect())
        };
        self.store.db().write_locking(run).await
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
}

/// The event with what its nodes had done, so that it goes on at the one that failed.
fn resumed(letter: DeadLetter) -> Result<Envelope, ProcessorError> {
    if letter.answers.is_empty() {
        return Ok(letter.event);
    }
    let done = serde_json::to_vec(&letter.answers).map_err(|error| ProcessorError::Corrupt(error.into()))?;
    Ok(Envelope { done, done_version: letter.version, ..letter.event })
}
