//! How much may wait.
//!
//! # Why refuse at all
//! A log takes events faster than pathways run them. Without a bound a publisher that is faster for long enough fills the disk, and everybody's events wait
//! behind its own. So beyond a bound a publish is refused with the time after which there will be room, and nothing of it is accepted: the publisher keeps its
//! events, and knows that it must.
//!
//! # Why a bound for each key as well
//! Events of one key run in order in one partition, so a flood of one user delays those who share the partition, and nobody may overtake. What bounds
//! their delay is how much of the flood is let in: at 17,000 events a second, 100,000 events are six seconds.
//!
//! # Why it costs nothing
//! Nobody counts the log for each publish. What waited when it was last looked at, and all that was accepted since, cannot be less than what waits now; only
//! when that comes near the bound does it pay to look again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pathway_topics::Topics;
use tokio::time::Instant;

use crate::config::TopicsSettings;
use crate::error::ProcessorError;
use crate::store::is_replay;

/// The longest that a publisher is asked to wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The shortest that a publisher is asked to wait.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// What is let in; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    topics: Topics,
    most: i64,
    most_of_a_key: i64,
    state: Arc<Mutex<HashMap<String, Waiting>>>,
}

/// What waits in a topic, as far as it is known.
#[derive(Debug, Default)]
struct Waiting {
    /// At most this many.
    events: i64,
    /// How many waited when that was counted, and when.
    counted: Option<(i64, Instant)>,
    /// How many were accepted since.
    accepted: i64,
    /// How many are run in a second, as of the last two counts.
    per_second: i64,
    /// How many of each key wait, of those that this process accepted.
    keys: HashMap<String, i64>,
}

// === impl Admission ===

impl Admission {
    pub(crate) fn new(topics: Topics, settings: &TopicsSettings) -> Self {
        let (most, most_of_a_key) = (settings.most_waiting.max(1), settings.most_waiting_per_key.max(1));
        Self { topics, most, most_of_a_key, state: Arc::default() }
    }

    /// Makes room for `count` more events of `topic`, or says when there will be.
    pub(crate) async fn admit(&self, topic: &str, count: usize) -> Result<(), ProcessorError> {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let is_near = {
            let mut state = self.lock();
            let waiting = state.entry(topic.to_owned()).or_default();
            waiting.counted.is_none() || waiting.events.saturating_add(count) > self.most / 2
        };
        if is_near {
            let figures = self.topics.figures(topic).await?;
            // A replay reads again what has been run: it does not wait for room.
            let waiting = figures.groups.iter().filter(|group| !is_replay(&group.group));
            let counted = waiting.map(|group| group.events).max().unwrap_or(0);
            self.lock().entry(topic.to_owned()).or_default().recount(counted);
        }
        let mut state = self.lock();
        let waiting = state.entry(topic.to_owned()).or_default();
        let over = waiting.events.saturating_add(count) - self.most;
        if over > 0 {
            return Err(ProcessorError::Overloaded { retry_after: waiting.time_for(over) });
        }
        waiting.events += count;
        waiting.accepted += count;
        Ok(())
    }

    /// Makes room for one more event of a key, or says when there will be. There is none where the key `is_full` already.
    pub(super) fn admit_key(&self, topic: &str, key: &str, is_full: bool) -> Result<(), ProcessorError> {
        let mut state = self.lock();
        let waiting = state.entry(topic.to_owned()).or_default();
        let of_key = waiting.keys.get(key).copied().unwrap_or(0);
        if of_key >= self.most_of_a_key || is_full {
            // Half of them must go before it pays to come again.
            return Err(ProcessorError::Flood { retry_after: waiting.time_for(of_key / 2) });
        }
        waiting.count(key);
        Ok(())
    }

    /// Counts one more event of a key, whether there is room or not.
    pub(super) fn count_key(&self, topic: &str, key: &str) {
        self.lock().entry(topic.to_owned()).or_default().count(key);
    }

    /// Notes that events of these keys have been processed, or were not appended after all.
    pub(crate) fn release<'a, I: Iterator<Item = &'a str>>(&self, topic: &str, keys: I) {
        let mut state = self.lock();
        let Some(waiting) = state.get_mut(topic) else { return };
        for key in keys {
            // What an earlier process accepted was not counted.
            let Some(count) = waiting.keys.get_mut(key) else { continue };
            *count -= 1;
            if *count <= 0 {
                waiting.keys.remove(key);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Waiting>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Waiting ===

impl Waiting {
    fn count(&mut self, key: &str) {
        match self.keys.get_mut(key) {
            Some(count) => *count += 1,
            None => {
                self.keys.insert(key.to_owned(), 1);
            }
        }
    }

    fn recount(&mut self, counted: i64) {
        let now = Instant::now();
        if let Some((before, at)) = self.counted {
            let run = before.saturating_add(self.accepted).saturating_sub(counted).max(0);
            let milliseconds =
                i64::try_from(now.saturating_duration_since(at).as_millis()).unwrap_or(i64::MAX);
            if milliseconds >= 100 {
                self.per_second = run.saturating_mul(1_000) / milliseconds;
                self.counted = Some((counted, now));
                self.accepted = 0;
            }
        } else {
            self.counted = Some((counted, now));
            self.accepted = 0;
        }
        self.events = counted;
    }

    /// How long it takes until so many have been run.
    fn time_for(&self, events: i64) -> Duration {
        if self.per_second <= 0 {
            return Duration::from_secs(1);
        }
        let milliseconds = events.saturating_mul(1_000) / self.per_second;
        Duration::from_millis(milliseconds.unsigned_abs()).clamp(SHORTEST_WAIT, LONGEST_WAIT)
    }
}
