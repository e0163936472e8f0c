//! Facts, totals, budgets, crossings and anomalies.
//!
//! Analytics turns changes of records into figures. It promises three things:
//!
//! - **Figures equal a recomputation**, bit for bit, after any history of edits, in any order, with any duplicates. A change is applied against
//!   the fact that is stored for its record, never as a difference that the message carries: what the fact had added is taken back, what the
//!   record is now is added.
//! - **An alert happens once.** A threshold's crossing is a row with a unique key, written in the transaction that moves the total. What a change
//!   gave rise to is kept with it, so a change that comes again gets the same answer.
//! - **A number can be explained** by the lines behind it, which add up to it.
//!
//! # The parts
//! - [`Analytics`] is the service; [`Config`] is what it takes, with `default.toml` as the commented default.
//! - `fact` says what a line is to the totals, `insight` what a user is told, `subject` what that rests on and what a user makes of it. `ledger` applies a batch of changes. They are pure; what a period,
//!   a crossing or an anomaly is, `pathway_finance` decides.
//! - `recurring` finds what comes again and what has not come; `sweeper` asks it as time goes by, and `messenger` brings to notifications what it
//!   finds.
//! - `goal` is what users save for, and which milestones of it are told.
//! - `watch` follows the figures of a user.
//! - `summary` puts periods beside each other and says where a budget stands.
//! - `reporting` makes figures over several currencies, by stored rates.
//! - `rebuilder` makes figures anew from the records.
//! - `store` is the queries, in these words. `follower` brings imported history in from datasync, `closer` closes periods that have ended.
//! - `grpc` is the only part that knows this service's generated types.

mod closer;
mod config;
mod error;
mod fact;
mod follower;
mod goal;
mod grpc;
mod insight;
mod ledger;
mod messenger;
mod rebuilder;
mod recurring;
mod reporting;
mod service;
mod store;
mod subject;
mod summary;
mod sweeper;
mod watch;

pub use config::{Config, PeersConfig};
pub use error::AnalyticsError;
pub use service::{Analytics, Deps};
