//! How events get into a topic, for all who publish: checked, counted, appended.

use std::collections::HashSet;

use pathway_engine::Pathway;
use pathway_kernel::Violation;
use pathway_store::Tx;
use pathway_topics::NewEvent;
use prost::Message as _;

use super::{Admission, Processing};
use crate::error::ProcessorError;
use crate::events::Envelope;

/// Events of one call, checked and counted.
#[derive(Debug)]
pub(super) struct Checked {
    /// Those that are any good, in the order given.
    pub(super) good: Vec<NewEvent>,
    /// For each event why it is not; none for a good one.
    pub(super) refused: Vec<Option<ProcessorError>>,
    pub(super) room: Room,
}

/// Room for events of these keys. It is given back where they are not appended after all, also where whoever publishes them goes away before that.
///
/// A write that was queued by then may still be made. Its events are not counted any more when they have been run, so too few are counted for a while, which lets in
/// a few more; counted for ever, they would shut a user out.
#[derive(Debug)]
pub(super) struct Room {
    admission: Admission,
    topic: String,
    keys: Vec<String>,
    /// The keys of events that there was no room for. None of their later events is let in, for none may overtake.
    full: HashSet<String>,
}

/// Which of the events of a room were appended.
#[derive(Debug)]
pub(super) enum Appended {
    All,
    Nothing,
    /// For each whether it was.
    These(Vec<bool>),
}

// === impl Room ===

impl Room {
    pub(super) fn new(admission: &Admission, topic: &str) -> Self {
        let (admission, topic) = (admission.clone(), topic.to_owned());
        Self { admission, topic, keys: Vec::new(), full: HashSet::new() }
    }

    /// Makes room for one more event of a key, or says when there will be.
    fn admit(&mut self, key: &str) -> Result<(), ProcessorError> {
        let admitted = self.admission.admit_key(&self.topic, key, self.full.contains(key));
        if admitted.is_ok() {
            self.keys.push(key.to_owned());
        } else {
            self.full.insert(key.to_owned());
        }
        admitted
    }

    /// Counts one more event of a key, whether there is room or not.
    pub(super) fn count(&mut self, key: &str) {
        self.admission.count_key(&self.topic, key);
        self.keys.push(key.to_owned());
    }

    /// Keeps the room of what was appended and gives back the rest; answers how many were.
    fn settle(mut self, appended: Appended) -> usize {
        let all = self.keys.len();
        match appended {
            Appended::All => self.keys.clear(),
            Appended::Nothing => {}
            Appended::These(appended) => {
                let mut appended = appended.into_iter();
                self.keys.retain(|_| !appended.next().unwrap_or(false));
            }
        }
        all - self.keys.len()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.admission.release(&self.topic, self.keys.iter().map(String::as_str));
    }
}

// === impl Processing ===

impl Processing {
    /// Which events are any good; there is room for those of their keys.
    pub(super) fn check(&self, topic: &str, events: Vec<Envelope>) -> Result<Checked, ProcessorError> {
        let owner = self.owner(topic)?;
        let trace = pathway_telemetry::current();
        let now_us = self.clock.now_us();
        let mut room = Room::new(&self.admission, topic);
        let (mut good, mut refused) = (Vec::with_capacity(events.len()), Vec::with_capacity(events.len()));
        for event in events {
            let accepted = accept(&owner, topic, event.within(&trace), now_us)
                .and_then(|event| room.admit(&event.partition_key).map(|()| event));
            refused.push(match accepted {
                Ok(event) => {
                    good.push(event);
                    None
                }
                Err(error) => Some(error),
            });
        }
        Ok(Checked { good, refused, room })
    }

    /// Appends events in the transaction that `work` fills, once the topic has room for them, and wakes those who wait for them.
    pub(super) async fn append<T, W>(&self, room: Room, work: W) -> Result<T, ProcessorError>
    where
        T: Send + 'static,
        W: Fn(&mut Tx<'_>) -> Result<(T, Appended), ProcessorError> + Send + 'static,
    {
        self.admission.admit(&room.topic, room.keys.len()).await?;
        self.append_at_once(room, work).await
    }

    /// The same, however much waits in the topic.
    pub(super) async fn append_at_once<T, W>(&self, room: Room, work: W) -> Result<T, ProcessorError>
    where
        T: Send + 'static,
        W: Fn(&mut Tx<'_>) -> Result<(T, Appended), ProcessorError> + Send + 'static,
    {
        let (answer, appended) = self.store.db().write_locking(work).await?;
        let topic = room.topic.clone();
        let appended = room.settle(appended);
        if appended > 0 {
            self.topics.notify_appended(&topic, appended);
        }
        Ok(answer)
    }
}

/// An event for the log, or everything that is wrong with it.
pub(super) fn accept(
    owner: &Pathway,
    topic: &str,
    event: Envelope,
    now_us: i64,
) -> Result<NewEvent, ProcessorError> {
    let data = match event.parse() {
        Ok(data) => data,
        Err(violation) => {
            let others = event.check(&event.partition_key);
            return Err(ProcessorError::Invalid(std::iter::once(violation).chain(others).collect()));
        }
    };
    let mut violations = owner.check_input(&data);
    let event = event.completed(topic, &data, now_us);
    let partition_key = match event.partition_key.as_str() {
        "" if violations.is_empty() => owner.definition().key(&data).unwrap_or_else(|fault| {
            violations.push(Violation::new("partition_key", fault.message().to_owned()));
            String::new()
        }),
        // Given; or to be taken from an input that is wrong, which has been told.
        given => given.to_owned(),
    };
    // What the schema says about a field is enough about it.
    let known: Vec<String> = violations.iter().map(|violation| violation.field.clone()).collect();
    let texts = event.check(&partition_key).into_iter();
    violations.extend(texts.filter(|violation| !known.contains(&violation.field)));
    if !violations.is_empty() {
        return Err(ProcessorError::Invalid(violations));
    }
    Ok(NewEvent { partition_key, payload: event.encode_to_vec() })
}

#[cfg(test)]
mod tests {
    use pathway_kernel::Clock;
    use pathway_store::Db;
    use pathway_store::testing::Scratch;
    use pathway_topics::{MIGRATIONS, Topics, TopicsConfig};

    use super::*;
    use crate::config::TopicsSettings;

    /// Two events of a key may wait.
    async fn admission(scratch: &Scratch) -> Admission {
        let db = Db::open(&scratch.config(), MIGRATIONS.to_vec()).await.unwrap();
        let topics = Topics::new(db, TopicsConfig::default(), Clock::system()).await.unwrap();
        let settings = TopicsSettings {
            transactions: String::new(),
            notifications: String::new(),
            analytics: String::new(),
            partitions: 8,
            keep_days: 0,
            keep_mib: 0,
            most_waiting: 100,
            most_waiting_per_key: 2,
        };
        Admission::new(topics, &settings)
    }

    /// How many more events of the key are let in.
    fn free(admission: &Admission) -> usize {
        let mut room = Room::new(admission, "t");
        (0..9).filter(|_| room.admit("asha").is_ok()).count()
    }

    #[tokio::test]
    async fn room_that_is_not_taken_is_given_back() {
        let scratch = Scratch::sqlite();
        let admission = admission(&scratch).await;
        let mut room = Room::new(&admission, "t");
        assert!(room.admit("asha").is_ok() && room.admit("asha").is_ok());
        assert!(room.admit("asha").is_err() && room.admit("ben").is_ok());
        assert_eq!(free(&admission), 0);
        // As where a publisher hangs up.
        drop(room);
        assert_eq!(free(&admission), 2);

        let mut room = Room::new(&admission, "t");
        room.admit("asha").unwrap();
        room.admit("asha").unwrap();
        assert_eq!(room.settle(Appended::These(vec![true, false])), 1);
        assert_eq!(free(&admission), 1);
        admission.release("t", std::iter::once("asha"));
        assert_eq!(free(&admission), 2);
    }

    #[tokio::test]
    async fn what_a_step_publishes_takes_nobodys_room() {
        let scratch = Scratch::sqlite();
        let admission = admission(&scratch).await;
        for _ in 0..2 {
            let mut room = Room::new(&admission, "t");
            room.admit("asha").unwrap();
            assert_eq!(room.settle(Appended::All), 1);
        }
        // It is let in although there is no room, and counted, so that its end makes room for nobody.
        let mut room = Room::new(&admission, "t");
        room.count("asha");
        assert_eq!(room.settle(Appended::All), 1);
        admission.release("t", std::iter::once("asha"));
        assert_eq!(free(&admission), 0);
    }
}
