//! Ids, time, backoff and the closed vocabulary of faults.
//!
//! Every crate of the mesh stands on this one, so it does no I/O and knows no protocol:
//!
//! - [`Clock`] is the only source of wall time, and [`Rng`] the only source of chance; both are passed in, so that a test owns them.
//! - [`new_id`] makes the time-ordered ids that name records, notices, executions and dead letters.
//! - [`Backoff`] computes how long to wait before an attempt.
//! - [`Check`] gathers everything that is wrong with an input.
//! - [`Fault`] is what a failure looks like to a caller, whatever the transport.

mod backoff;
mod check;
mod clock;
mod fault;
mod id;
mod rng;

pub use backoff::{Backoff, InvalidBackoff};
pub use check::{Check, text_problem};
pub use clock::{Clock, ManualClock, SystemClock};
pub use fault::{Code, Fault, Violation};
pub use id::{new_id, stable_id};
pub use rng::Rng;
