//! Starting, listing and cancelling replays.

use pathway_kernel::new_id;
use pathway_store::Once;
use uuid::Uuid;

use super::Processing;
use crate::error::ProcessorError;
use crate::store::{Replay, ReplayState};

// === impl Processing ===

impl Processing {
    /// Begins to run the events of a pathway's topic once more that were accepted at an instant or later. An empty version means the one that is active. Where the
    /// call was done before, `seal`ed is what it was answered.
    pub(crate) async fn start_replay(
        &self,
        pathway: &str,
        version: &str,
        from_us: i64,
        rate: i64,
        once: Option<Once>,
        seal: fn(&Replay) -> Vec<u8>,
    ) -> Result<Vec<u8>, ProcessorError> {
        if let Some(once) = &once
            && let Some(before) = self.store.answered(once).await?
        {
            return Ok(before);
        }
        let chosen = self.pathway(pathway, version).await?.chosen;
        let topic = chosen.topic;
        // One that was never activated may read a topic that nobody has opened.
        self.topics.open(&topic).await?;
        let (mut starts, mut ends, mut total) = (Vec::new(), Vec::new(), 0_i64);
        for figures in self.topics.figures(&topic).await?.partitions {
            let start = self.topics.offset_at(&topic, figures.partition, from_us).await?.min(figures.end);
            total += figures.end - start;
            starts.push(start);
            ends.push(figures.end);
        }
        let now_us = self.clock.now_us();
        let replay = Replay {
            id: new_id(now_us),
            topic,
            pathway: chosen.version.name,
            version: chosen.version.version,
            from_us,
            rate: rate.max(0),
            ends,
            total,
            done: 0,
            failed: 0,
            state: ReplayState::Running,
            started_at_us: now_us,
            ended_at_us: 0,
        };
        let answer = seal(&replay);
        let kept = once.map(|once| (once, answer.clone()));
        if let Some(before) = self.store.add_replay(&replay, starts, kept).await? {
            return Ok(before);
        }
        self.replays.notify_one();
        Ok(answer)
    }

    /// Ends a replay before its end. A batch that is under way is refused when it comes to be kept.
    pub(crate) async fn cancel_replay(&self, id: Uuid) -> Result<Replay, ProcessorError> {
        let replay = self.store.replay(id).await?.ok_or(ProcessorError::UnknownReplay)?;
        if !self.store.end_replay(&replay, ReplayState::Cancelled, self.clock.now_us()).await? {
            return Err(ProcessorError::ReplayEnded);
        }
        self.replays.notify_one();
        self.store.replay(id).await?.ok_or(ProcessorError::UnknownReplay)
    }
}
