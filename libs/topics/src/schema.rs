//! The log's tables and statements.

use pathway_store::Migration;

/// The log's tables, for the owner to add to its own; the numbers 900 to 909 are theirs.
pub const MIGRATIONS: &[Migration] = &[
    Migration { number: 900, name: "topics", sql: include_str!("../migrations/900_topics.sql") },
    Migration { number: 901, name: "bytes", sql: include_str!("../migrations/901_bytes.sql") },
];

pub(crate) const CREATE_LOG: &str = "INSERT INTO topic_log (singleton, epoch, partitions) VALUES (1, $1, $2) \
     ON CONFLICT (singleton) DO NOTHING";
pub(crate) const SELECT_LOG: &str = "SELECT epoch, partitions FROM topic_log WHERE singleton = 1";

pub(crate) const CREATE_PARTITION: &str = "INSERT INTO topic_partitions (topic, part, first_pos, next_pos) VALUES ($1, $2, 0, 0) \
     ON CONFLICT (topic, part) DO NOTHING";
/// Moves a partition's end by `$3` events of `$4` bytes and answers the new one. This is the lock that makes offsets gapless.
pub(crate) const ADVANCE: &str = "UPDATE topic_partitions SET next_pos = next_pos + $3, bytes = bytes + $4 \
     WHERE topic = $1 AND part = $2 RETURNING next_pos";
pub(crate) const SELECT_PARTITIONS: &str =
    "SELECT part, first_pos, next_pos, bytes FROM topic_partitions WHERE topic = $1 ORDER BY part";

pub(crate) const INSERT_EVENT: &str =
    "INSERT INTO topic_events (topic, part, pos, appended_at_us, payload) VALUES ($1, $2, $3, $4, $5)";
pub(crate) const SELECT_EVENTS: &str = "SELECT pos, appended_at_us, payload FROM topic_events \
     WHERE topic = $1 AND part = $2 AND pos >= $3 ORDER BY pos LIMIT $4";

/// A cursor only moves forwards: a consumer that was declared dead and comes back must not make others begin again.
pub(crate) const MOVE_CURSOR: &str = "INSERT INTO topic_cursors (topic, consumers, part, next_pos) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (topic, consumers, part) DO UPDATE SET next_pos = excluded.next_pos \
     WHERE topic_cursors.next_pos < excluded.next_pos";
pub(crate) const SELECT_CURSOR: &str =
    "SELECT next_pos FROM topic_cursors WHERE topic = $1 AND consumers = $2 AND part = $3";
pub(crate) const SELECT_GROUP: &str =
    "SELECT part, next_pos FROM topic_cursors WHERE topic = $1 AND consumers = $2";
pub(crate) const FORGET_GROUP: &str = "DELETE FROM topic_cursors WHERE topic = $1 AND consumers = $2";
pub(crate) const SELECT_CURSORS: &str =
    "SELECT consumers, part, next_pos FROM topic_cursors WHERE topic = $1";

/// The first event in `[$3, $4)` that is young enough to keep.
pub(crate) const FIRST_YOUNG: &str = "SELECT pos FROM topic_events \
     WHERE topic = $1 AND part = $2 AND pos >= $3 AND pos < $4 AND appended_at_us >= $5 ORDER BY pos LIMIT 1";
pub(crate) const DELETE_EVENTS: &str = "DELETE FROM topic_events WHERE topic = $1 AND part = $2 AND pos < $3";
pub(crate) const MOVE_START: &str =
    "UPDATE topic_partitions SET first_pos = $3 WHERE topic = $1 AND part = $2 AND first_pos < $3";
pub(crate) const BYTES_BEFORE: &str = "SELECT COALESCE(SUM(LENGTH(payload)), 0) FROM topic_events \
     WHERE topic = $1 AND part = $2 AND pos < $3";
pub(crate) const SHRINK: &str =
    "UPDATE topic_partitions SET bytes = bytes - $3 WHERE topic = $1 AND part = $2";
pub(crate) const APPENDED_AT: &str = "SELECT pos, appended_at_us FROM topic_events WHERE topic = $1 AND part = $2 AND pos >= $3 ORDER BY pos LIMIT 1";
