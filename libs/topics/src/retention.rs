//! Forgetting what everybody has processed.

use std::collections::{HashMap, HashSet};

use pathway_store::{StoreError, Tx, Val};

use crate::{Topics, TopicsError, schema};

/// How many events one transaction removes: few enough that an append behind it hardly waits.
const CHUNK: i64 = 2_000;
/// How many events go at once where a size decides: it may be missed by as many.
const STEP: i64 = 256;

/// The stretch of a partition that may go: from its first event up to, and without, `end`.
struct Stretch {
    partition: i32,
    first: i64,
    end: i64,
    /// Of the whole partition.
    bytes: i64,
}

// === impl Topics ===

impl Topics {
    /// Removes the events of `topic` that were appended before `keep_after_us` **and** that every group has processed; answers how many.
    ///
    /// A group counts from its first commit to the topic, in whichever partition. While there is no group, nothing is removed: an event that
    /// nobody has processed is not old, it is waiting.
    ///
    /// # Errors
    /// Where there is no such topic, or the database fails. What was removed by then is gone; the rest goes next time.
    pub async fn truncate(&self, topic: &str, keep_after_us: i64) -> Result<u64, TopicsError> {
        self.check_topic(topic)?;
        let mut removed = 0;
        for stretch in self.processed(topic).await? {
            let mut first = stretch.first;
            while first < stretch.end {
                let end = first.saturating_add(CHUNK).min(stretch.end);
                let (topic, partition) = (topic.to_owned(), stretch.partition);
                let chunk = move |tx: &mut Tx<'_>| remove(tx, &topic, partition, first..end, keep_after_us);
                let reached = self.db.write_locking(chunk).await?;
                removed += u64::try_from(reached - first).unwrap_or(0);
                if reached < end {
                    break;
                }
                first = reached;
            }
        }
        Ok(removed)
    }

    /// Removes the oldest events of `topic` that every group has processed until its partitions hold `most_bytes` together, each its share; answers
    /// how many. An event that nobody has processed stays, whatever the size.
    ///
    /// # Errors
    /// As [`truncate`](Self::truncate).
    pub async fn truncate_to_size(&self, topic: &str, most_bytes: i64) -> Result<u64, TopicsError> {
        self.check_topic(topic)?;
        let share = most_bytes / i64::from(self.partitions());
        let mut removed = 0;
        for stretch in self.processed(topic).await? {
            let (mut first, mut bytes) = (stretch.first, stretch.bytes);
            while first < stretch.end && bytes > share {
                let end = first.saturating_add(STEP).min(stretch.end);
                let (topic, partition) = (topic.to_owned(), stretch.partition);
                let step = move |tx: &mut Tx<'_>| {
                    remove(tx, &topic, partition, first..end, i64::MAX)?;
                    let rows = tx.query(schema::SELECT_PARTITIONS, &[(&topic).into()])?;
                    let ours = rows.iter().find(|row| row.i32(0).is_ok_and(|part| part == partition));
                    ours.map_or(Ok(0), |row| row.i64(3))
                };
                bytes = self.db.write_locking(step).await?;
                removed += u64::try_from(end - first).unwrap_or(0);
                first = end;
            }
        }
        Ok(removed)
    }

    async fn processed(&self, topic: &str) -> Result<Vec<Stretch>, TopicsError> {
        let topic = topic.to_owned();
        let (partitions, cursors) = self
            .db
            .read(move |tx| {
                let partitions = tx.query(schema::SELECT_PARTITIONS, &[(&topic).into()])?;
                Ok::<_, StoreError>((partitions, tx.query(schema::SELECT_CURSORS, &[(&topic).into()])?))
            })
            .await?;
        let mut groups = HashSet::new();
        let mut next: HashMap<(&str, i32), i64> = HashMap::new();
        for row in &cursors {
            groups.insert(row.text(0)?);
            next.insert((row.text(0)?, row.i32(1)?), row.i64(2)?);
        }
        partitions
            .iter()
            .map(|row| {
                let (partition, first) = (row.i32(0)?, row.i64(1)?);
                // A group without a cursor here has processed nothing here.
                let slowest =
                    groups.iter().map(|group| next.get(&(*group, partition)).copied().unwrap_or(0)).min();
                Ok(Stretch { partition, first, end: slowest.unwrap_or(0), bytes: row.i64(3)? })
            })
            .collect()
    }
}

/// Removes the old events at the front of `range` and answers where the partition begins now. It stops at the first young one even if
/// older ones follow, as they do where a clock was set back: a log has a beginning, not holes.
fn remove(
    tx: &mut Tx<'_>,
    topic: &str,
    partition: i32,
    range: std::ops::Range<i64>,
    keep_after_us: i64,
) -> Result<i64, StoreError> {
    let young: [Val; 5] =
        [topic.into(), partition.into(), range.start.into(), range.end.into(), keep_after_us.into()];
    let reached = tx.query(schema::FIRST_YOUNG, &young)?.first().map_or(Ok(range.end), |row| row.i64(0))?;
    let params: [Val; 3] = [topic.into(), partition.into(), reached.into()];
    // The start first: it is the row that appends lock, and everybody takes it before the events.
    tx.execute(schema::MOVE_START, &params)?;
    let bytes = tx.query(schema::BYTES_BEFORE, &params)?.first().map_or(Ok(0), |row| row.i64(0))?;
    tx.execute(schema::SHRINK, &[topic.into(), partition.into(), bytes.into()])?;
    tx.execute(schema::DELETE_EVENTS, &params)?;
    Ok(reached)
}
