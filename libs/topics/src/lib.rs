//! A durable, partitioned log over the store.
//!
//! A [`Topics`] holds named topics; a topic is a fixed number of partitions; a partition is a sequence of events with the offsets 0, 1, 2 and so
//! on. Events of one key (a user's id) share a partition, so they keep their order; partitions know nothing of each other, so they are
//! worked on side by side. A *group* of consumers keeps, for each partition, the offset that it will process next.
//!
//! # Why a log in the owner's own database
//!
//! The obvious thing is a broker beside the database. Then there are two truths, and a crash can fall between them: the effect is kept and
//! the offset is not, or the other way round. Here [`Topics::commit_in`] moves the offset *in the transaction that holds the effect*, so
//! there is one truth, and nothing to reconcile after a `kill -9`. It also leaves nothing to install. What is given up is fan-out to
//! many machines, which a personal-finance backbone outgrows late, if ever.
//!
//! # Why offsets come from a row, not from a sequence
//!
//! A sequence (`AUTOINCREMENT`, `SERIAL`) hands out numbers before anyone knows who will commit, and that is wrong for a log in two ways. A
//! transaction that rolls back leaves a gap. Worse, two that overlap may commit in the other order: offset 8 is visible before 7, a consumer reads
//! up to 8 and goes on at 9, and **7 is never processed**. No consumer can tell that from a gap, so no consumer can wait it out.
//!
//! So each partition has a row with its next offset, and an append begins by moving it. On PostgreSQL that change locks the row until the
//! commit: appenders to one partition queue, each starts where the one before it *committed*, and offsets become visible in their order. A
//! rollback takes the move back with it. On SQLite the one writer is the queue. Either way offsets are gapless, so "how far behind" is a
//! subtraction and "is anything missing" a question with an answer. An append that touches several partitions moves their rows in
//! ascending order, since two that took them crosswise would wait for each other.
//!
//! The price is that a partition takes one append at a time. An append is a batch and a commit is shared by many, so the price is small;
//! and more partitions divide it.
//!
//! # Why an epoch
//!
//! An offset names an event only within one database. Who throws the file away begins again at 0, and a service downstream that remembers
//! "done up to offset 4711" would take new events for old ones. So a database gets an [`epoch`](Topics::epoch) when it is made, and a position
//! is complete only with it.
//!
//! # Waking
//!
//! The database is the truth, and a signal is only a reason to look again: nothing is lost if one is missed. [`Topics::subscribe_appends`] and
//! [`Topics::await_committed`] wake within the process. On a database that [is shared](pathway_store::Db::is_shared), another process may
//! append or commit unheard, so the latter looks again at intervals, and so should whoever uses the former.

mod append;
mod cursor;
mod error;
mod event;
mod figures;
mod partition;
mod retention;
mod schema;
mod signals;
mod topics;

pub use append::Append;
pub use error::TopicsError;
pub use event::{NewEvent, PartitionLag, Position, StoredEvent};
pub use figures::{GroupFigures, PartitionFigures, TopicFigures};
pub use schema::MIGRATIONS;
pub use topics::{Topics, TopicsConfig};
