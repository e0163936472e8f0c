//! Deadline, retry, circuit breaker and bulkhead as tower layers.
//!
//! A call to a peer goes through them in this order, outermost first: **[deadline](DeadlineLayer)** (never work for a caller that has stopped
//! waiting), **[retry](RetryLayer)** (once more where that is safe and may help), **[hedge](HedgeLayer)** (a second one beside a slow first, where it is asked for),
//! **[breaker](CircuitBreakerLayer)** (a peer that is down is not asked), **[bulkhead](BulkheadLayer)** (a peer that is slow does not take all of our
//! memory), **[timeout](TimeoutLayer)** of the attempt. A server [notes](InheritLayer) each call's deadline for those that it makes itself.
//!
//! The layers know HTTP and the numbers of gRPC's statuses, and no gRPC library. A layer that refuses a call answers it as a server would, with
//! a `grpc-status`, so that the inner service's error type stays as it was.
//!
//! # Why not a ready-made breaker
//! Those at hand judge a call by the head of its response. A gRPC failure may come in the trailers, behind a head that says 200, and a stream
//! is alive long after its head. Ours looks at a call's end, and at a stream's first message. [`Breakers`] lists and watches those of a process.

mod body;
mod breaker;
mod breakers;
mod budget;
mod bulkhead;
mod circuit_breaker;
mod contract;
mod deadline;
mod grpc;
mod hedge;
mod replay;
mod retry;
mod retry_after;
#[cfg(test)]
mod testing;
mod timeout;

pub use body::{Observed, Verdict};
pub use breaker::{
    Admission, Breaker, BreakerAction, BreakerConfig, BreakerState, BreakerStatus, BreakerTotals, Cause,
    Transition, WindowConfig,
};
pub use breakers::Breakers;
pub use budget::RetryBudget;
pub use bulkhead::{Bulkhead, BulkheadLayer, Place, Placed, PlacedFuture};
pub use circuit_breaker::{CircuitBreaker, CircuitBreakerLayer};
pub use contract::{Contract, Safety};
pub use deadline::{Deadline, DeadlineLayer, Inherit, InheritLayer, WithDeadline, inherited};
pub use grpc::{REASON_HEADER, encode_timeout, is_failed_head, parse_timeout};
pub use hedge::{Hedge, HedgeLayer};
pub use replay::{Kept, Replay};
pub use retry::{Retry, RetryLayer, RetryPolicy};
pub use retry_after::retry_after;
pub use timeout::{Timeout, TimeoutLayer};
