//! What goes into a log and comes out of it.

use std::fmt;

/// An event to be appended.
#[derive(Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Events of one key keep their order.
    pub partition_key: String,
    /// The event, in a form that the log does not look into.
    pub payload: Vec<u8>,
}

/// Where an event is, within a topic and an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The partition, from 0.
    pub partition: i32,
    /// The place in the partition, from 0, without gaps.
    pub offset: i64,
}

/// An event in the log.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its partition.
    pub partition: i32,
    /// Its place in the partition.
    pub offset: i64,
    /// What was appended.
    pub payload: Vec<u8>,
    /// When, in microseconds since the Unix epoch, by the clock of who appended it.
    pub appended_at_us: i64,
}

/// How far a group has come in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionLag {
    /// The partition.
    pub partition: i32,
    /// The offset that the group processes next.
    pub committed: i64,
    /// The offset that the next event will get.
    pub end: i64,
    /// How many events the group has before it; those that retention removed do not count.
    pub events: i64,
}

// === impl NewEvent ===

impl fmt::Debug for NewEvent {
    /// Neither the key, which is a user, nor the payload, which is their business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewEvent").field("bytes", &self.payload.len()).finish_non_exhaustive()
    }
}

// === impl StoredEvent ===

impl StoredEvent {
    /// Where it is.
    #[must_use]
    pub const fn position(&self) -> Position {
        Position { partition: self.partition, offset: self.offset }
    }
}

impl fmt::Debug for StoredEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("StoredEvent");
        out.field("partition", &self.partition)
            .field("offset", &self.offset)
            .field("bytes", &self.payload.len());
        out.finish_non_exhaustive()
    }
}
