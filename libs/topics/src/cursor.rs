//! How far the groups have come.

use std::collections::HashMap;
use std::time::Duration;

use pathway_store::{StoreError, Tx};

use crate::{PartitionLag, Topics, TopicsError, schema};

/// How often to look for commits of other processes, where there may be any.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

// === impl Topics ===

impl Topics {
    /// The offset that `group` processes next: 0 where it has not begun.
    ///
    /// # Errors
    /// Where there is no such topic or partition, or the database fails.
    pub async fn committed(&self, topic: &str, group: &str, partition: i32) -> Result<i64, TopicsError> {
        self.check(topic, partition)?;
        let params = vec![topic.into(), group.into(), partition.into()];
        let rows = self.db.query(schema::SELECT_CURSOR, params).await?;
        Ok(rows.first().map_or(Ok(0), |row| row.i64(0))?)
    }

    /// Moves `group` up to `next` within the caller's transaction: its effects and its progress are kept together or not at all. A cursor
    /// never moves back.
    ///
    /// After the commit, [`notify_committed`](Self::notify_committed) wakes who waits for it.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn commit_in(
        tx: &mut Tx<'_>,
        topic: &str,
        group: &str,
        partition: i32,
        next: i64,
    ) -> Result<(), StoreError> {
        tx.execute(schema::MOVE_CURSOR, &[topic.into(), group.into(), partition.into(), next.into()])?;
        Ok(())
    }

    /// The offsets that the next events of a topic will get, one for each partition. Appends to the topic wait until the caller's transaction
    /// ends, so that what it decides by these offsets holds. To be called in [`write_locking`](pathway_store::Db::write_locking).
    ///
    /// # Errors
    /// Where the database fails, or has no such topic.
    pub fn hold_ends_in(&self, tx: &mut Tx<'_>, topic: &str) -> Result<Vec<i64>, StoreError> {
        // Moved by nothing, which locks the rows: one by one, in the order in which appends lock them.
        let hold = |partition: i32| {
            let rows =
                tx.query(schema::ADVANCE, &[topic.into(), partition.into(), 0_i64.into(), 0_i64.into()])?;
            rows.first().ok_or(StoreError::Column { index: 0, expected: "a partition's end" })?.i64(0)
        };
        (0..self.partitions()).map(hold).collect()
    }

    /// Forgets `group` within the caller's transaction: it has done what it was for, and holds no event back any more.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn forget_in(tx: &mut Tx<'_>, topic: &str, group: &str) -> Result<(), StoreError> {
        tx.execute(schema::FORGET_GROUP, &[topic.into(), group.into()])?;
        Ok(())
    }

    /// Says that a transaction with [`commit_in`](Self::commit_in) has been kept.
    pub fn notify_committed(&self, topic: &str, group: &str, partition: i32, next: i64) {
        self.signals.committed(topic, group, partition, next);
    }

    /// Waits until `group` has processed the event at `offset`. It waits for ever if need be: the caller has a deadline.
    ///
    /// # Errors
    /// Where there is no such topic or partition, or the database fails.
    pub async fn await_committed(
        &self,
        topic: &str,
        group: &str,
        partition: i32,
        offset: i64,
    ) -> Result<(), TopicsError> {
        self.check(topic, partition)?;
        // Listening comes before looking, or a commit between the two would go unnoticed.
        let mut cursor = self.signals.subscribe_cursor(topic, group, partition);
        loop {
            if *cursor.borrow_and_update() > offset || self.committed(topic, group, partition).await? > offset
            {
                return Ok(());
            }
            let heard = cursor.wait_for(|next| *next > offset);
            if self.db.is_shared() {
                // Time running out only means looking again.
                let _ = tokio::time::timeout(LOOK_AGAIN, heard).await;
            } else {
                // The sender lives in the same handle as this call, so it cannot have gone.
                let _ = heard.await;
            }
        }
    }

    /// How far `group` is behind, for each partition.
    ///
    /// # Errors
    /// Where there is no such topic, or the database fails.
    pub async fn lag(&self, topic: &str, group: &str) -> Result<Vec<PartitionLag>, TopicsError> {
        self.check_topic(topic)?;
        let (topic, group) = (topic.to_owned(), group.to_owned());
        // One snapshot: a cursor must not be compared with the end of another moment.
        let (partitions, cursors) = self
            .db
            .read(move |tx| {
                let partitions = tx.query(schema::SELECT_PARTITIONS, &[(&topic).into()])?;
                let cursors = tx.query(schema::SELECT_GROUP, &[(&topic).into(), (&group).into()])?;
                Ok::<_, StoreError>((partitions, cursors))
            })
            .await?;
        let cursors: HashMap<i32, i64> =
            cursors.iter().map(|row| Ok((row.i32(0)?, row.i64(1)?))).collect::<Result<_, StoreError>>()?;
        partitions
            .iter()
            .map(|row| {
                let (partition, first, end) = (row.i32(0)?, row.i64(1)?, row.i64(2)?);
                let committed = cursors.get(&partition).copied().unwrap_or(0);
                let events = (end - committed.max(first)).max(0);
                Ok(PartitionLag { partition, committed, end, events })
            })
            .collect()
    }
}
