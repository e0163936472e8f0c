//! Topics, pathways, executions and dead letters.
//!
//! The processor owns the durable event log and runs pathways over it. It promises three things:
//!
//! - **An accepted event is on disk** when the publisher is told so, and everything that is wrong with a refused one is named.
//! - **It is run to its end, once in effect.** A worker for each partition runs batches and commits the offset with the executions and the dead
//!   letters in one transaction. A crash runs the batch again; the tools answer what they have done and do not do it twice.
//! - **Nothing dies because a peer is down.** A failure that may pass parks the partition; only one that will not makes a dead letter.
//!
//! # The parts
//! - [`Processor`] is the service, `processing` what it does for its callers; [`Config`] is what it takes, with `default.toml` as the commented default.
//! - `events` says what an event may be, `pathways` which definitions it starts with, `registry` which version runs an event.
//! - `tools` are the peers as pathways see them; `worker` runs a partition.
//! - `store` is the queries, in these words. `grpc` is the only part that knows this service's generated types.

mod config;
mod error;
mod events;
mod grpc;
mod journal;
mod metrics;
mod pathways;
mod processing;
mod registry;
mod replays;
mod retention;
mod service;
mod store;
mod tools;
mod worker;
mod workers;

pub use config::{Config, ExecutionsConfig, OutboundConfig, PathwaysConfig, PeersConfig, TopicsSettings};
pub use error::ProcessorError;
pub use service::{Deps, Peers, Processor, rehearse, validate};
