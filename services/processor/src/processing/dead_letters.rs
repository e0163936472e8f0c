//! Redriving and discarding.

use std::collections::BTreeMap;

use pathway_topics::Position;
use uuid::Uuid;

use super::Processing;
use crate::error::ProcessorError;
use crate::events::Envelope;
use crate::store::{DeadLetter, Resolution};

// === impl Processing ===

impl Processing {
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
                Some(letter) if letter.resolution.is_some() => ProcessorError::Resolved,
                Some(letter) => {
                    let topic = letter.topic.clone();
                    let (places, events) = by_topic.entry(topic).or_default();
                    places.push(index);
                    events.push(resumed(letter)?.corrected(data));
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
}

/// The event with what its nodes had done, so that it goes on at the one that failed.
fn resumed(letter: DeadLetter) -> Result<Envelope, ProcessorError> {
    if letter.answers.is_empty() {
        return Ok(letter.event);
    }
    let done = serde_json::to_vec(&letter.answers).map_err(|error| ProcessorError::Corrupt(error.into()))?;
    Ok(Envelope { done, done_version: letter.version, ..letter.event })
}
