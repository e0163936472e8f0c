//! One call, from its request to the last frame of its answer.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Response};
use opentelemetry::metrics::{Histogram, UpDownCounter};
use opentelemetry::{KeyValue, Value};
use pathway_telemetry::{Telemetry, seconds};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tonic::Code;
use tracing::Span;

use super::body::Ended;
use super::methods::Method;

/// Which end of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Server,
    Client,
}

/// What calls are measured with; cheap to clone, for each call has it.
#[derive(Debug, Clone)]
pub(super) struct Instruments(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    side: Side,
    duration: Histogram<f64>,
    /// Streams under way.
    streams: UpDownCounter<i64>,
    /// Where the calls go, on the calling end.
    server: Vec<KeyValue>,
}

/// A call under way. Dropped before its end it was cancelled.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) span: Span,
    method: &'static Method,
    begun: Instant,
    instruments: Instruments,
    has_ended: bool,
}

pin_project! {
    /// The answer's head, within the call's span.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        call: Option<Call>,
    }
}

// === impl Instruments ===

impl Instruments {
    pub(super) fn new(telemetry: &Telemetry, side: Side, server: Vec<KeyValue>) -> Self {
        let (name, what, streams) = match side {
            Side::Server => {
                ("rpc.server.call.duration", "How long calls took here", "pathway.rpc.server.streams")
            }
            Side::Client => {
                ("rpc.client.call.duration", "How long calls of peers took", "pathway.rpc.client.streams")
            }
        };
        let streams = telemetry
            .meter()
            .i64_up_down_counter(streams)
            .with_unit("{stream}")
            .with_description("Streams that are open")
            .build();
        let duration = seconds(telemetry, name, what, &[0.001, 0.0025]);
        Self(Arc::new(Shared { side, duration, streams, server }))
    }

    fn attributes(&self, method: &'static Method) -> Vec<KeyValue> {
        let mut attributes = Vec::with_capacity(self.0.server.len() + 4);
        attributes.push(KeyValue::new("rpc.system.name", "grpc"));
        attributes.push(KeyValue::new("rpc.method", Value::from(method.name.as_str())));
        attributes.extend(self.0.server.iter().cloned());
        attributes
    }
}

// === impl Call ===

impl Call {
    pub(super) fn begin(span: Span, method: &'static Method, instruments: &Instruments) -> Self {
        let instruments = instruments.clone();
        if method.streams {
            instruments.0.streams.add(1, &instruments.attributes(method));
        }
        Self { span, method, begun: Instant::now(), instruments, has_ended: false }
    }

    /// The answer's head is there. Where it has no status, the body will.
    fn answered<B>(mut self, response: Response<B>) -> Response<Ended<B>> {
        let call = match status(response.headers()) {
            Some(code) => {
                self.end(code);
                None
            }
            None => Some(self),
        };
        response.map(|body| Ended::new(body, call))
    }

    pub(super) fn end(&mut self, code: Code) {
        if std::mem::replace(&mut self.has_ended, true) {
            return;
        }
        let mut attributes = self.instruments.attributes(self.method);
        if self.method.streams {
            self.instruments.0.streams.add(-1, &attributes);
        }
        let name = name(code);
        attributes.push(KeyValue::new("rpc.response.status_code", name));
        if code != Code::Ok {
            attributes.push(KeyValue::new("error.type", name));
        }
        self.instruments.0.duration.record(self.begun.elapsed().as_secs_f64(), &attributes);
        self.span.record("rpc.response.status_code", name);
        if code != Code::Ok {
            self.span.record("error.type", name);
        }
        if is_error(self.instruments.0.side, code) {
            self.span.record("otel.status_code", "ERROR");
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

// === impl ResponseFuture ===

impl<F> ResponseFuture<F> {
    pub(super) const fn new(inner: F, call: Call) -> Self {
        Self { inner, call: Some(call) }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Ended<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = {
            let _entered = this.call.as_ref().map(|call| call.span.enter());
            ready!(this.inner.poll(cx))
        };
        Poll::Ready(match (answer, this.call.take()) {
            (Ok(response), Some(call)) => Ok(call.answered(response)),
            (Err(error), Some(mut call)) => {
                // No answer at all: the peer cannot be reached, or broke off.
                call.end(Code::Unavailable);
                Err(error)
            }
            (answer, None) => answer.map(|response| response.map(|body| Ended::new(body, None))),
        })
    }
}

/// The `grpc-status` of headers or trailers.
pub(super) fn status(headers: &HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(|status| Code::from_bytes(status.as_bytes()))
}

/// What is an error is not the same on both ends: a server has done well that refuses a request which is wrong.
fn is_error(side: Side, code: Code) -> bool {
    match side {
        Side::Client => !matches!(code, Code::Ok | Code::Cancelled),
        Side::Server => matches!(
            code,
            Code::Unknown
                | Code::DeadlineExceeded
                | Code::Unimplemented
                | Code::Internal
                | Code::Unavailable
                | Code::DataLoss
        ),
    }
}

const fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
