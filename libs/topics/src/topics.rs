//! The handle of a log.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

use pathway_kernel::{Clock, new_id};
use pathway_store::{Db, StoreError, Val};
use tokio::sync::watch;

use crate::signals::Signals;
use crate::{StoredEvent, TopicsError, partition, schema};

/// How a log is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicsConfig {
    /// How many partitions each topic has; decided when the database is made.
    pub partitions: i32,
}

/// The log in a database; cheap to clone. Clones wake each other, so a process makes one and shares it.
#[derive(Debug, Clone)]
pub struct Topics {
    pub(crate) db: Db,
    pub(crate) clock: Clock,
    pub(crate) signals: Signals,
    epoch: Arc<str>,
    partitions: i32,
    opened: Arc<RwLock<HashSet<String>>>,
}

// === impl TopicsConfig ===

impl Default for TopicsConfig {
    fn default() -> Self {
        Self { partitions: 8 }
    }
}

// === impl Topics ===

impl Topics {
    /// The log in `db`, whose schema has to hold [`MIGRATIONS`](crate::MIGRATIONS).
    ///
    /// # Errors
    /// Where the database fails, or was made with another number of partitions.
    pub async fn new(db: Db, config: TopicsConfig, clock: Clock) -> Result<Self, TopicsError> {
        let configured = config.partitions;
        if configured < 1 {
            return Err(TopicsError::NoPartitions(configured));
        }
        let fresh = new_id(clock.now_us()).to_string();
        let (epoch, stored) = db
            .write(move |tx| {
                tx.execute(schema::CREATE_LOG, &[Val::from(&fresh), configured.into()])?;
                let rows = tx.query(schema::SELECT_LOG, &[])?;
                let row = rows.first().ok_or(StoreError::Column { index: 0, expected: "the log's epoch" })?;
                Ok::<_, StoreError>((row.text(0)?.to_owned(), row.i64(1)?))
            })
            .await?;
        if stored != i64::from(configured) {
            return Err(TopicsError::PartitionCount { stored, configured });
        }
        let (signals, opened) = (Signals::default(), Arc::default());
        Ok(Self { db, clock, signals, epoch: epoch.into(), partitions: configured, opened })
    }

    /// Opens a topic, making it where it is absent. Whoever uses a topic opens it first.
    ///
    /// # Errors
    /// Where the name is not one for a topic, or the database fails.
    pub async fn open(&self, name: &str) -> Result<(), TopicsError> {
        if !is_name(name) {
            return Err(TopicsError::InvalidName(name.to_owned()));
        }
        let rows: Vec<Vec<Val>> = (0..self.partitions).map(|part| vec![name.into(), part.into()]).collect();
        self.db.write(move |tx| tx.execute_many(schema::CREATE_PARTITION, &rows)).await?;
        self.opened.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        Ok(())
    }

    /// What this database is called, as long as it lives; a position elsewhere is complete only with it.
    #[must_use]
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// How many partitions a topic has.
    #[must_use]
    pub const fn partitions(&self) -> i32 {
        self.partitions
    }

    /// The partition of `key`: always the same.
    #[must_use]
    pub fn partition_of(&self, key: &str) -> i32 {
        partition::of(key, self.partitions)
    }

    /// Up to `max` events from `from` on, in order. After retention the first may lie beyond `from`.
    ///
    /// # Errors
    /// Where there is no such topic or partition, or the database fails.
    pub async fn fetch(
        &self,
        topic: &str,
        partition: i32,
        from: i64,
        max: usize,
    ) -> Result<Vec<StoredEvent>, TopicsError> {
        self.check(topic, partition)?;
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let params = vec![topic.into(), partition.into(), from.into(), max.into()];
        let rows = self.db.query(schema::SELECT_EVENTS, params).await?;
        let event = |row: pathway_store::Row| {
            let (offset, appended_at_us) = (row.i64(0)?, row.i64(1)?);
            match row.into_values().pop() {
                Some(Val::Blob(payload)) => Ok(StoredEvent { partition, offset, payload, appended_at_us }),
                _ => Err(StoreError::Column { index: 2, expected: "BLOB" }.into()),
            }
        };
        rows.into_iter().map(event).collect()
    }

    /// Wakes whenever this process has appended to `topic`; the number is how many events so far, and means nothing else.
    #[must_use]
    pub fn subscribe_appends(&self, topic: &str) -> watch::Receiver<u64> {
        self.signals.subscribe_appends(topic)
    }

    pub(crate) fn check_topic(&self, topic: &str) -> Result<(), TopicsError> {
        let known = self.opened.read().unwrap_or_else(PoisonError::into_inner).contains(topic);
        known.then_some(()).ok_or_else(|| TopicsError::UnknownTopic(topic.to_owned()))
    }

    pub(crate) fn check(&self, topic: &str, partition: i32) -> Result<(), TopicsError> {
        self.check_topic(topic)?;
        let partitions = self.partitions;
        let known = (0..partitions).contains(&partition);
        known.then_some(()).ok_or(TopicsError::UnknownPartition { partition, partitions })
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.".contains(&b);
    (1..=100).contains(&name.len()) && name.bytes().all(allowed)
}
