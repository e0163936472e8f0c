//! A span and a duration for each call, on both of its ends, by the RPC conventions of OpenTelemetry.
//!
//! # Why our own
//! The layers that there are read a call's outcome from the head of its answer. A gRPC status usually comes in the trailers, so they see every
//! failure of a stream as a success, and every stream as over when it begins. Here a call ends where its body does: a [`Call`] goes from the
//! request to the answer's head and on to its last frame, and whatever drops it before has cancelled it.
//!
//! # Names
//! A path that nobody described is `_OTHER`: whoever tries paths must not make a series of each. Health checks are counted and have no span, for a
//! probe every few seconds would be most of what there is to see.

mod body;
mod call;
mod client;
mod methods;
mod server;

pub(crate) use client::ClientTraceLayer;
pub(crate) use server::TraceLayer;

use body::Ended;
use call::{Call, Instruments, ResponseFuture};
