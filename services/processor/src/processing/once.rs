//! Publishing once, whatever becomes of the answer.
//!
//! Events that are appended twice are run twice, so whoever may have to repeat a call names it. The answer is kept in the transaction that appends; what
//! the same call is answered later is that, also where the pathway that decides what is accepted has changed since.

use std::sync::Arc;

use pathway_kernel::Fault;
use pathway_store::{Once, Tx};
use pathway_topics::Position;
use tracing::Instrument as _;

use super::{Appended, Checked, Processing};
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
        let Checked { good, refused, room } = self.check(topic, events)?;
        let refused: Vec<Option<Arc<Fault>>> =
            refused.into_iter().map(|error| error.map(|error| Arc::new(Fault::from(error)))).collect();
        if good.is_empty() {
            return Ok(seal(refused.into_iter().flatten().map(Err).collect()));
        }
        let append = self.topics.prepare_append(topic, good)?;
        let seal_and_append = move |tx: &mut Tx<'_>| {
            if let Some(before) = once.begin(tx)? {
                return Ok((before, Appended::Nothing));
            }
            let mut positions = append.run(tx)?.into_iter();
            let result = |refused: &Option<Arc<Fault>>| match refused {
                Some(fault) => Ok(Err(Arc::clone(fault))),
                None => positions.next().map(Ok).ok_or(ProcessorError::Ending),
            };
            let results = refused.iter().map(result).collect::<Result<Vec<_>, ProcessorError>>()?;
            let answer = seal(results);
            once.end(tx, &answer)?;
            Ok((answer, Appended::All))
        };
        self.append(room, seal_and_append).await
    }
}
