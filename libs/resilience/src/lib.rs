//! Deadline, retry, circuit breaker and bulkhead as tower layers.
//!
//! A call to a peer goes through them in this order, outermost first: **deadline** (never work for a caller that has stopped waiting), **retry**
//! ([`retry()`], around the typed call, because a request body cannot be sent twice), **[breaker](CircuitBreakerLayer)** (a peer that is down is
//! not asked), **[bulkhead](BulkheadLayer)** (a peer that is slow does not take all of our memory), **[timeout](TimeoutLayer)** of the attempt.
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
mod bulkhead;
mod circuit_breaker;
mod grpc;
mod retry;
#[cfg(test)]
mod testing;
mod timeout;

pub use body::{Observed, Verdict};
pub use breaker::{
    Admission, Breaker, BreakerAction, BreakerConfig, BreakerState, BreakerStatus, BreakerTotals, Cause,
    Transition, WindowConfig,
};
pub use breakers::Breakers;
pub use bulkhead::{Bulkhead, BulkheadLayer};
pub use circuit_breaker::{CircuitBreaker, CircuitBreakerLayer};
pub use grpc::{REASON_HEADER, encode_timeout, parse_timeout};
pub use retry::{RetryBudget, RetryPolicy, retry};
pub use timeout::{Timeout, TimeoutLayer};
