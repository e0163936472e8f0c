//! Publishing from a pathway's step, once for each step.

use std::collections::BTreeMap;

use pathway_engine::{Position as From, Reservation, Standing};
use pathway_store::Tx;
use pathway_topics::{Append, NewEvent, Position};
use serde_json::{Value, json};
use tracing::Instrument as _;
use uuid::Uuid;

use super::Processing;
use super::appending::{Appended, Room, accept};
use crate::error::ProcessorError;
use crate::events::Envelope;
use crate::store::{Reserving, Stood, answer_in, reserve_in};

/// An event that a step publishes.
#[derive(Debug)]
pub(crate) struct StepEvent {
    pub(crate) topic: String,
    pub(crate) event: Envelope,
    /// The step's idempotency key.
    pub(crate) key: String,
    /// Where the event is that the step runs for.
    pub(crate) position: From,
}

/// The events of one topic, with the steps that publish them.
struct Batch {
    steps: Vec<Reservation>,
    events: Vec<NewEvent>,
}

/// Reserved and answered in one transaction, so nobody ever finds such a reservation without its answer.
const AT_ONCE: Reserving = Reserving { owner: Uuid::nil(), token: 0, now_us: 0, until_us: 0 };

// === impl Processing ===

impl Processing {
    /// Publishes the events of steps; answers for each where it is, also where it was published before, or everything that is wrong with it.
    pub(crate) async fn publish_steps(
        &self,
        steps: Vec<StepEvent>,
    ) -> Result<Vec<Result<Position, ProcessorError>>, ProcessorError> {
        let topic = steps.first().map(|step| step.topic.as_str()).unwrap_or_default();
        let span = self.publish_span(topic, steps.len());
        self.publish_all_steps(steps).instrument(span).await
    }

    async fn publish_all_steps(
        &self,
        steps: Vec<StepEvent>,
    ) -> Result<Vec<Result<Position, ProcessorError>>, ProcessorError> {
        let trace = pathway_telemetry::current();
        let now_us = self.clock.now_us();
        let mut results: Vec<Option<Result<Position, ProcessorError>>> = Vec::with_capacity(steps.len());
        let mut by_topic: BTreeMap<String, (Vec<usize>, bool, Batch)> = BTreeMap::new();
        for (at, step) in steps.into_iter().enumerate() {
            let event = step.event.within(&trace);
            let accepted =
                self.owner(&step.topic).and_then(|owner| accept(&owner, &step.topic, event, now_us));
            match accepted {
                Err(refused) => results.push(Some(Err(refused))),
                Ok(event) => {
                    results.push(None);
                    let is_own = step.position.epoch.ends_with(&format!("/{}", step.topic));
                    let batch = Batch { steps: Vec::new(), events: Vec::new() };
                    let (places, own, batch) =
                        by_topic.entry(step.topic).or_insert_with(|| (Vec::new(), false, batch));
                    places.push(at);
                    *own |= is_own;
                    batch.steps.push(Reservation { key: step.key, position: step.position });
                    batch.events.push(event);
                }
            }
        }
        for (topic, (places, is_own, batch)) in by_topic {
            let positions = self.append_once(&topic, is_own, batch).await?;
            for (at, position) in places.into_iter().zip(positions) {
                results[at] = Some(Ok(position));
            }
        }
        Ok(results.into_iter().map(|result| result.unwrap_or(Err(ProcessorError::Ending))).collect())
    }

    async fn append_once(
        &self,
        topic: &str,
        is_own: bool,
        batch: Batch,
    ) -> Result<Vec<Position>, ProcessorError> {
        let Batch { steps, events } = batch;
        // Whoever empties the topic counts them out, so they are counted in; a step's event is never one too many of its key.
        let mut room = Room::new(&self.admission, topic);
        events.iter().for_each(|event| room.count(&event.partition_key));
        // Checked before, so that the transaction cannot meet an unknown topic.
        let (topics, name) = (self.topics.clone(), topic.to_owned());
        let run = move |tx: &mut Tx<'_>| {
            let stood = reserve_in(tx, &steps, AT_ONCE, false)?;
            let is_new = |stood: &Stood| !matches!(stood, Stood::Known(Standing::Answered(_)));
            let fresh: Vec<bool> = stood.iter().map(is_new).collect();
            let new = events.iter().zip(&fresh).filter(|(_, fresh)| **fresh);
            let append: Append =
                topics.prepare_append(&name, new.map(|(event, _)| event.clone()).collect())?;
            let mut new = append.run(tx)?.into_iter();
            let mut positions = Vec::with_capacity(steps.len());
            for (step, stood) in steps.iter().zip(stood) {
                let position = match stood {
                    Stood::Known(Standing::Answered(answer)) => kept(&answer)?,
                    _ => {
                        let position = new.next().ok_or(ProcessorError::Ending)?;
                        let answer = json!({"partition": position.partition, "offset": position.offset});
                        answer_in(tx, step, &answer)?;
                        position
                    }
                };
                positions.push(position);
            }
            Ok((positions, Appended::These(fresh)))
        };
        // A pathway that waits for room in the topic that it empties would wait for ever.
        if is_own { self.append_at_once(room, run).await } else { self.append(room, run).await }
    }
}

fn kept(answer: &Value) -> Result<Position, ProcessorError> {
    let number = |name: &str| answer.get(name).and_then(Value::as_i64);
    let corrupt = || ProcessorError::Corrupt("a published step without its position".into());
    let partition = number("partition").and_then(|partition| i32::try_from(partition).ok());
    Ok(Position { partition: partition.ok_or_else(corrupt)?, offset: number("offset").ok_or_else(corrupt)? })
}
