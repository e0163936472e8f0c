//! Records, their versions, the change feed and statement import.
//!
//! Datasync owns every line of money of every user. It promises three things:
//!
//! - **A write happens once.** A line is named by where it comes from and never by what a user can edit ([`Identity`]). A redelivered event
//!   is known by its position in the log, a republished one by its equal content, and neither makes a second version.
//! - **Nothing is lost.** Each effective write is a version that stays; a delete is a tombstone, which later syncs leave alone.
//! - **The feed is an order.** A change's sequence is taken inside the transaction that makes it, so whoever has read up to a sequence will
//!   never see a smaller one appear.
//!
//! # The parts
//! - [`Datasync`] is the service; [`Config`] is what it takes, with `default.toml` as the commented default.
//! - `records` decides what a batch of writes changes. It is pure: it sees what is known and answers what to store.
//! - `import` reads statements (CSV and OFX) into lines. It is pure too.
//! - `store` is the queries, in these words. `grpc` is the only part that knows the generated types.

mod config;
mod error;
mod grpc;
mod import;
mod limits;
mod records;
mod service;
mod store;

pub use config::{Config, FeedConfig, ImportConfig};
pub use error::{DatasyncError, LinkError, MappingError, StatementError};
pub use import::{Examined, examine};
pub use records::Identity;
pub use service::Datasync;
