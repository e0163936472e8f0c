//! Appending a batch.

use std::collections::BTreeMap;

use pathway_store::{Tx, Val};

use crate::{NewEvent, Position, Topics, TopicsError, schema};

/// A batch on its way into a topic, sorted by partition; within one, in the order given.
///
/// It is for whoever keeps something with the events, in their transaction: [`run`](Self::run) within [`Db::write_locking`](pathway_store::Db::write_locking),
/// and [`Topics::notify_appended`] once that has committed.
#[derive(Debug)]
pub struct Append {
    topic: String,
    appended_at_us: i64,
    events: Vec<NewEvent>,
    /// For each partition, which of the events go there. The order of the keys is the order of the locks.
    plan: BTreeMap<i32, Vec<usize>>,
}

// === impl Topics ===

impl Topics {
    /// Appends all of `events` in one transaction and answers where they are, in the order given. Once this answers, they are on disk.
    ///
    /// # Errors
    /// Where there is no such topic or the database fails; then none of them was appended, unless the database went away in the middle of
    /// its answer.
    pub async fn append(&self, topic: &str, events: Vec<NewEvent>) -> Result<Vec<Position>, TopicsError> {
        let append = self.prepare_append(topic, events)?;
        if append.events.is_empty() {
            return Ok(Vec::new());
        }
        let appended = append.events.len();
        let positions = self.db.write_locking(move |tx| append.run(tx)).await?;
        self.notify_appended(topic, appended);
        Ok(positions)
    }

    /// A batch to be appended in a transaction of the caller's.
    ///
    /// # Errors
    /// Where there is no such topic.
    pub fn prepare_append(&self, topic: &str, events: Vec<NewEvent>) -> Result<Append, TopicsError> {
        self.check_topic(topic)?;
        let mut plan: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
        for (index, event) in events.iter().enumerate() {
            plan.entry(self.partition_of(&event.partition_key)).or_default().push(index);
        }
        Ok(Append { topic: topic.to_owned(), appended_at_us: self.clock.now_us(), events, plan })
    }

    /// Wakes those who wait for events of `topic`, after `appended` of them were committed.
    pub fn notify_appended(&self, topic: &str, appended: usize) {
        self.signals.appended(topic, u64::try_from(appended).unwrap_or(u64::MAX));
    }
}

// === impl Append ===

impl Append {
    /// Appends the events and answers where they are, in the order given.
    ///
    /// # Errors
    /// Where the database fails; then the transaction does too.
    pub fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Position>, TopicsError> {
        let mut positions = vec![Position { partition: 0, offset: 0 }; self.events.len()];
        let mut rows = Vec::with_capacity(self.events.len());
        for (&partition, members) in &self.plan {
            let first = self.advance(tx, partition, members)?;
            for (offset, &index) in (first..).zip(members) {
                let (Some(event), Some(position)) = (self.events.get(index), positions.get_mut(index)) else {
                    continue;
                };
                *position = Position { partition, offset };
                rows.push([
                    Val::from(&self.topic),
                    partition.into(),
                    offset.into(),
                    self.appended_at_us.into(),
                    Val::from(event.payload.as_slice()),
                ]);
            }
        }
        tx.execute_many(schema::INSERT_EVENT, &rows)?;
        Ok(positions)
    }

    /// Takes the next offsets of a partition, one for each of `members`, and answers the first.
    fn advance(&self, tx: &mut Tx<'_>, partition: i32, members: &[usize]) -> Result<i64, TopicsError> {
        let bytes: usize =
            members.iter().filter_map(|&index| self.events.get(index)).map(|event| event.payload.len()).sum();
        let [count, bytes] = [members.len(), bytes].map(|number| i64::try_from(number).unwrap_or(i64::MAX));
        let params = [Val::from(&self.topic), partition.into(), count.into(), bytes.into()];
        let rows = tx.query(schema::ADVANCE, &params)?;
        // Opened, and yet not there: somebody removed it behind our back.
        let row = rows.first().ok_or_else(|| TopicsError::UnknownTopic(self.topic.clone()))?;
        Ok(row.i64(0)? - count)
    }
}
