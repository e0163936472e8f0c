//! How much a topic holds, and how far behind its groups are.

use std::collections::BTreeMap;

use pathway_store::{Row, StoreError, Tx, Val};

use crate::{Topics, TopicsError, schema};

/// What a topic holds and who is how far behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicFigures {
    /// By number.
    pub partitions: Vec<PartitionFigures>,
    /// Those that have committed something, by name.
    pub groups: Vec<GroupFigures>,
}

/// What a partition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionFigures {
    /// The partition.
    pub partition: i32,
    /// The first offset that is still there.
    pub first: i64,
    /// The offset that the next event will get.
    pub end: i64,
    /// The bytes of its events.
    pub bytes: i64,
}

/// How far behind a group is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupFigures {
    /// Its name.
    pub group: String,
    /// How many events it has before it.
    pub events: i64,
    /// When the oldest of them was appended, in microseconds since the Unix epoch; none where it has none before it.
    pub oldest_us: Option<i64>,
}

// === impl Topics ===

impl Topics {
    /// The figures of a topic, of one moment.
    ///
    /// # Errors
    /// Where there is no such topic, or the database fails.
    pub async fn figures(&self, topic: &str) -> Result<TopicFigures, TopicsError> {
        self.check_topic(topic)?;
        let topic = topic.to_owned();
        Ok(self.db.read(move |tx| figures(tx, &topic)).await?)
    }

    /// The first offset of a partition whose event was appended at an instant or later; the end where there is none.
    ///
    /// Found by halves, as offsets follow the clock. Where the clock was set back, it is one of the places that fit.
    ///
    /// # Errors
    /// Where there is no such topic or partition, or the database fails.
    pub async fn offset_at(&self, topic: &str, partition: i32, at_us: i64) -> Result<i64, TopicsError> {
        self.check(topic, partition)?;
        let topic = topic.to_owned();
        let found = self.db.read(move |tx| {
            let rows = tx.query(schema::SELECT_PARTITIONS, &[(&topic).into()])?;
            let ours = rows.iter().find(|row| row.i32(0).is_ok_and(|part| part == partition));
            let (mut low, mut high) =
                ours.map_or(Ok((0, 0)), |row| Ok::<_, StoreError>((row.i64(1)?, row.i64(2)?)))?;
            while low < high {
                let middle = low + (high - low) / 2;
                match first_from(tx, &topic, partition, middle)? {
                    Some((offset, appended)) if appended < at_us => low = offset + 1,
                    _ => high = middle,
                }
            }
            Ok::<_, StoreError>(low)
        });
        Ok(found.await?)
    }
}

fn figures(tx: &mut Tx<'_>, topic: &str) -> Result<TopicFigures, StoreError> {
    let partitions = tx.query(schema::SELECT_PARTITIONS, &[topic.into()])?;
    let partitions: Vec<PartitionFigures> = partitions.iter().map(partition).collect::<Result<_, _>>()?;
    let mut cursors: BTreeMap<String, BTreeMap<i32, i64>> = BTreeMap::new();
    for row in tx.query(schema::SELECT_CURSORS, &[topic.into()])? {
        cursors.entry(row.text(0)?.to_owned()).or_default().insert(row.i32(1)?, row.i64(2)?);
    }
    let mut groups = Vec::with_capacity(cursors.len());
    for (group, next) in cursors {
        let (mut events, mut oldest_us) = (0, None);
        for figures in &partitions {
            let next = next.get(&figures.partition).copied().unwrap_or(0).max(figures.first);
            if next < figures.end {
                events += figures.end - next;
                let appended = first_from(tx, topic, figures.partition, next)?.map(|(_, appended)| appended);
                oldest_us = [oldest_us, appended].into_iter().flatten().min();
            }
        }
        groups.push(GroupFigures { group, events, oldest_us });
    }
    Ok(TopicFigures { partitions, groups })
}

fn partition(row: &Row) -> Result<PartitionFigures, StoreError> {
    Ok(PartitionFigures { partition: row.i32(0)?, first: row.i64(1)?, end: row.i64(2)?, bytes: row.i64(3)? })
}

/// The offset of the first event from `from` on, and when it was appended.
fn first_from(
    tx: &mut Tx<'_>,
    topic: &str,
    partition: i32,
    from: i64,
) -> Result<Option<(i64, i64)>, StoreError> {
    let rows = tx.query(schema::APPENDED_AT, &[Val::from(topic), partition.into(), from.into()])?;
    rows.first().map(|row| Ok((row.i64(0)?, row.i64(1)?))).transpose()
}
