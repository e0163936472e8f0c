//! The answering end.

use std::task::{Context, Poll};

use http::{Request, Response};
use pathway_telemetry::Telemetry;
use tonic::body::Body;
use tower::{Layer, Service};
use tracing::{Span, field};

use super::call::Side;
use super::methods::{self, Method};
use super::{Call, Ended, Instruments, ResponseFuture};

/// Opens a span for each call, as a child of the caller's, and measures it.
#[derive(Debug, Clone)]
pub(crate) struct TraceLayer {
    instruments: Instruments,
    /// Spans are exported, and not there for log lines alone.
    traces: bool,
    propagates: bool,
}

/// Runs each call in its span.
#[derive(Debug, Clone)]
pub(crate) struct Trace<S> {
    inner: S,
    layer: TraceLayer,
}

// === impl TraceLayer ===

impl TraceLayer {
    pub(crate) fn new(telemetry: &Telemetry) -> Self {
        let instruments = Instruments::new(telemetry, Side::Server, Vec::new());
        Self { instruments, traces: telemetry.tracer().is_some(), propagates: telemetry.propagates() }
    }

    fn span(&self, method: &'static Method, request: &Request<Body>) -> Span {
        if method.is_probe {
            return Span::none();
        }
        let name = method.name.as_str();
        if !self.traces {
            // What a log line wants to know.
            return tracing::info_span!("rpc", rpc.method = name);
        }
        let span = tracing::info_span!(
            "rpc",
            otel.name = name,
            otel.kind = "server",
            otel.status_code = field::Empty,
            rpc.system.name = "grpc",
            rpc.method = name,
            rpc.response.status_code = field::Empty,
            error.type = field::Empty,
        );
        if self.propagates {
            pathway_telemetry::set_remote_parent(&span, pathway_telemetry::extract(request.headers()));
        }
        span
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Trace { inner, layer: self.clone() }
    }
}

// === impl Trace ===

impl<S, B> Service<Request<Body>> for Trace<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
{
    type Response = Response<Ended<B>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = methods::of(request.uri().path());
        let call = Call::begin(self.layer.span(method, &request), method, &self.layer.instruments);
        let answer = call.span.in_scope(|| self.inner.call(request));
        ResponseFuture::new(answer, call)
    }
}
