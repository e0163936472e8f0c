//! Pathway definitions, their validation and their execution over batches.
//!
//! A pathway is data: a YAML file with a trigger, a schema of its input, and nodes that name a tool, what they need and what they pass. This crate
//! reads it, refuses what is wrong with it (every mistake at once, each with a code, a path and a hint), and runs it.
//!
//! - [`Definition`] is a parsed and checked file; its version is the hash of its canonical form.
//! - [`Tool`] is what a node uses; [`Tools`] is the registry of them.
//! - [`Pathway`] is a definition with its tools: it checks an input and runs a batch.
//! - [`Rehearsal`] is a test kit: a pathway whose tools answer what a test says.
//!
//! # Why over batches
//! A durable step costs a round trip and an fsync whatever it carries. An engine that takes each event through its steps alone pays that for each
//! event; this one takes all that wait through each step together. An event that fails for good leaves the batch; its neighbours go on. A
//! transient failure stops the batch as a whole ([`BatchOutcome::Park`]), and the caller runs it again: tools are idempotent by a key, so what
//! has been done is answered again and not done again.
//!
//! There is no I/O here: where events come from and where outcomes go is the caller's.

mod check;
mod definition;
mod expression;
mod format;
mod journal;
mod names;
mod pathway;
mod plan;
mod rehearsal;
mod run;
mod template;
mod tool;
mod transform;

pub use definition::{Definition, DefinitionError, Limits, Node};
pub use format::json_schema;
pub use journal::{Finalised, Journal, JournalFuture, MemoryJournal, Reservation, Standing};
pub use pathway::Pathway;
pub use plan::{Action, Plan, PlannedNode};
pub use rehearsal::{Called, Recording, Rehearsal};
pub use run::{BatchOutcome, EventOutcome, Failure, Input, NodeRun, NodeStatus};
pub use tool::{
    Answer, ArgSpec, CallContext, Effect, Kind, Position, Tool, ToolFuture, ToolItem, ToolResult, Tools,
};
pub use transform::Transform;
