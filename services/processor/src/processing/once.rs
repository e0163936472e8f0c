//! Publishing once, whatever becomes of the answer.
//!
//! Events that are appended twice are run twice, so whoever may have to repeat a call names it. The answer is kept in the transaction that appends; what
//! the same call is answered later is that, also where the pathway that decides what is accepted has changed since.

use std::sync::Arc;

use pathway_kernel::Fault;
use pathway_store::{Once, Tx};
use pathway_topics::{NewEvent, Position};
use tracing::Instrument as _;

use super::Processing;
use crate::error::ProcessorError;
use crate::events::Envelope;

/// Makes the answer of what became of each event.
pub(crate) type Seal = fn(Vec<Result<Position, Arc<Fault>>>) -> Vec<u8>;

// === impl Processing ===

impl Processing {
    /// Appends events unless that was done before under this id; answers the sealed answer, or the one of then. Where no event is any good, nothing is done and nothing
    /// kept.
    pub(crate) async fn publish_once(
        &self,
        topic: &str,
        events: Vec<Envelope>,
        once: Once,
        seal: Seal,
    ) -> Result<Vec<u8>, ProcessorError> {
        let span = self.publish_span(topic, events.len());
        self.publish_all_once(topic, events, once, seal).instrument(span).await
    }

    async fn publish_all_once(
        &self,
        topic: &str,
        events: Vec<Envelope>,
        once: Once,
        seal: Seal,
    ) -> Result<Vec<u8>, ProcessorError> {
        // What was accepted before needs no room a second time.
        if let Some(before) = self.store.answered(&once).await? {
            return Ok(before);
        }
        let (mut good, mut refused) = (Vec::new(), Vec::new());
        for event in self.check(topic, events)? {
            refused.push(match event {
                Ok(event) => {
                    good.push(event);
                    None
                }
                Err(error) => Some(Arc::new(Fault::from(error))),
            });
        }
        if good.is_empty() {
            return Ok(seal(refused.into_iter().flatten().map(Err).collect()));
        }
        let keys: Vec<String> = good.iter().map(|event| event.partition_key.clone()).collect();
        let done = match self.admission.admit(topic, good.len()).await {
            Ok(()) => self.append_and_seal(topic, good, refused, once, seal).await,
            Err(refusal) => Err(refusal),
        };
        let (answer, appended) = match done {
            Ok(done) => done,
            Err(error) => {
                self.admission.release(topic, keys.iter().map(String::as_str));
                return Err(error);
            }
        };
        if appended {
            self.topics.notify_appended(topic, keys.len());
        } else {
            self.admission.release(topic, keys.iter().map(String::as_str));
        }
        Ok(answer)
    }

    /// The answer, and whether it is a new one.
    async fn append_and_seal(
        &self,
        topic: &str,
        good: Vec<NewEvent>,
        refused: Vec<Option<Arc<Fault>>>,
        once: Once,
        seal: Seal,
    ) -> Result<(Vec<u8>, bool), ProcessorError> {
        let append = self.topics.prepare_append(topic, good)?;
        let run = move |tx: &mut Tx<'_>| {
            if let Some(before) = once.begin(tx)? {
                return Ok((before, false));
            }
            let mut positions = append.run(tx)?.into_iter();
            let result = |refused: &Option<Arc<Fault>>| match refused {
                Some(fault) => Ok(Err(Arc::clone(fault))),
                None => positions.next().map(Ok).ok_or(ProcessorError::Ending),
            };
            let results = refused.iter().map(result).collect::<Result<Vec<_>, _>>()?;
            let answer = seal(results);
            once.end(tx, &answer)?;
            Ok::<_, ProcessorError>((answer, true))
        };
        self.store.db().write_locking(run).await
    }
}
