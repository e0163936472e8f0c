//! Redriving and discarding.

use std::collections::{BTreeMap, HashSet};

use pathway_store::Tx;
use pathway_topics::{NewEvent, Position};
use tracing::Instrument as _;
use uuid::Uuid;

use super::{Appended, Checked, Processing};
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
        let mut results: Vec<Option<Result<(String, Position), ProcessorError>>> =
            Vec::with_capacity(items.len());
        let mut by_topic: BTreeMap<String, (Vec<usize>, Vec<Letter>)> = BTreeMap::new();
        let mut seen = HashSet::new();
        for ((index, (id, data)), found) in items.into_iter().enumerate().zip(found) {
            results.push(match found {
                None => Some(Err(ProcessorError::UnknownDeadLetter)),
                Some(letter) if letter.resolution.is_some() || !seen.insert(id) => {
                    Some(Err(ProcessorError::Resolved))
                }
                Some(letter) => {
                    let (places, letters) = by_topic.entry(letter.topic.clone()).or_default();
                    places.push(index);
                    letters.push(Letter { id, event: resumed(letter)?.corrected(data) });
                    None
                }
            });
        }
        for (topic, (places, letters)) in by_topic {
            let span = self.publish_span(&topic, letters.len());
            let published = self.redrive_in(&topic, letters).instrument(span).await?;
            for (place, published) in places.into_iter().zip(published) {
                results[place] = Some(published.map(|position| (topic.clone(), position)));
            }
        }
        Ok(results.into_iter().map(|result| result.unwrap_or(Err(ProcessorError::Ending))).collect())
    }

    /// Publishes the letters of one topic and notes that they are redriven. Where the topic takes nothing, each of them is refused: that is their affair, not that of
    /// other topics' letters.
    async fn redrive_in(
        &self,
        topic: &str,
        letters: Vec<Letter>,
    ) -> Result<Vec<Result<Position, ProcessorError>>, ProcessorError> {
        let (ids, events): (Vec<Uuid>, Vec<Envelope>) =
            letters.into_iter().map(|letter| (letter.id, letter.event)).unzip();
        let Checked { good, refused, room } = match self.check(topic, events) {
            Ok(checked) => checked,
            Err(ProcessorError::InactiveTopic { topic, pathway }) => {
                let refused =
                    || ProcessorError::InactiveTopic { topic: topic.clone(), pathway: pathway.clone() };
                return Ok(ids.iter().map(|_| Err(refused())).collect());
            }
            Err(ProcessorError::UnknownTopic(topic)) => {
                return Ok(ids.iter().map(|_| Err(ProcessorError::UnknownTopic(topic.clone()))).collect());
            }
            Err(error) => return Err(error),
        };
        let mut positions = Vec::new();
        if !good.is_empty() {
            let ids = ids.into_iter().zip(&refused).filter(|(_, refused)| refused.is_none());
            let (ids, topics, topic) =
                (ids.map(|(id, _)| id).collect::<Vec<_>>(), self.topics.clone(), topic.to_owned());
            let now_us = self.clock.now_us();
            let resolve_and_append = move |tx: &mut Tx<'_>| {
                // Somebody else may have resolved some of them meanwhile.
                let ours = resolve_in(tx, &ids, &Resolution::Redriven, now_us)?;
                let events = good.iter().zip(&ours).filter(|(_, is_ours)| **is_ours);
                let events: Vec<NewEvent> = events.map(|(event, _)| event.clone()).collect();
                let mut positions = topics.prepare_append(&topic, events)?.run(tx)?.into_iter();
                let position = |is_ours: &bool| if *is_ours { positions.next() } else { None };
                let positions: Vec<Option<Position>> = ours.iter().map(position).collect();
                Ok((positions, Appended::These(ours)))
            };
            positions = self.append(room, resolve_and_append).await?;
        }
        let mut positions = positions.into_iter();
        let result = |refused: Option<ProcessorError>| match refused {
            Some(refused) => Err(refused),
            None => positions.next().flatten().ok_or(ProcessorError::Resolved),
        };
        Ok(refused.into_iter().map(result).collect())
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
