//! What can go wrong in a log.

use pathway_kernel::{Code, Fault, Violation};
use pathway_store::StoreError;

/// Why the log did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum TopicsError {
    /// The database failed.
    #[error("the log's store failed")]
    Store(#[from] StoreError),
    /// The topic was not opened.
    #[error("there is no topic {0:?}")]
    UnknownTopic(String),
    /// The topic has fewer partitions.
    #[error("there is no partition {partition}: a topic has {partitions}, from 0")]
    UnknownPartition {
        /// What was asked for.
        partition: i32,
        /// How many there are.
        partitions: i32,
    },
    /// The name is not one for a topic.
    #[error("{0:?} does not name a topic: use 1 to 100 of a-z, 0-9, '_', '-' and '.'")]
    InvalidName(String),
    /// The configuration names another number of partitions than the database was made with. A key's partition follows from the number,
    /// so changing it would tear a user's events apart.
    #[error("the log was made with {stored} partitions and cannot have {configured}: configure {stored}")]
    PartitionCount {
        /// What the database was made with.
        stored: i64,
        /// What the configuration names.
        configured: i32,
    },
    /// The configuration names no partition at all.
    #[error("a topic needs at least one partition, not {0}")]
    NoPartitions(i32),
}

// === impl TopicsError ===

impl From<TopicsError> for Fault {
    fn from(error: TopicsError) -> Self {
        let message = error.to_string();
        match error {
            TopicsError::Store(error) => error.into(),
            TopicsError::UnknownTopic(_) => Self::new(Code::NotFound, "TOPIC_NOT_FOUND", message),
            TopicsError::UnknownPartition { .. } => Self::invalid(vec![Violation::new("partition", message)]),
            TopicsError::InvalidName(_) => Self::invalid(vec![Violation::new("topic", message)]),
            TopicsError::PartitionCount { .. } | TopicsError::NoPartitions(_) => {
                Self::new(Code::FailedPrecondition, "TOPIC_PARTITIONS", message)
            }
        }
    }
}
