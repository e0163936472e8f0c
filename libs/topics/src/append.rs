//! Appending a batch.

use std::collections::BTreeMap;

use pathway_store::{Tx, Val};

use crate::{NewEvent, Position, Topics, TopicsError, schema};

/// A batch, sorted by partition; within one, in the order given.
struct Batch {
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
        self.check_topic(topic)?;
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let appended = u64::try_from(events.len()).unwrap_or(u64::MAX);
        let mut plan: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
        for (index, event) in events.iter().enumerate() {
            plan.entry(self.partition_of(&event.partition_key)).or_default().push(index);
        }
        let batch = Batch { topic: topic.to_owned(), appended_at_us: self.clock.now_us(), events, plan };
        let positions = self.db.write_locking(move |tx| batch.append(tx)).await?;
        self.signals.appended(topic, appended);
        Ok(positions)
    }
}

// === impl Batch ===

impl Batch {
    fn append(&self, tx: &mut Tx<'_>) -> Result<Vec<Position>, TopicsError> {
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
