//! A span for each call that a server takes.

use std::task::{Context, Poll};

use http::Request;
use tower::{Layer, Service};
use tracing::instrument::Instrumented;
use tracing::{Instrument as _, field};

/// Opens a span for each call, as a child of the caller's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TraceLayer;

/// Runs each call in its span.
#[derive(Debug, Clone)]
pub(crate) struct Trace<S>(S);

// === impl TraceLayer ===

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Trace(inner)
    }
}

// === impl Trace ===

impl<S: Service<Request<B>>, B> Service<Request<B>> for Trace<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = Instrumented<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let method = request.uri().path().trim_start_matches('/');
        // A path that is none of ours would make a series of its own.
        let method =
            if method.starts_with("pathway.") || method.starts_with("grpc.") { method } else { "_OTHER" };
        let span = tracing::info_span!(
            "rpc",
            otel.name = method,
            otel.kind = "server",
            rpc.system.name = "grpc",
            rpc.method = method,
            trace_id = field::Empty
        );
        pathway_telemetry::set_remote_parent(&span, pathway_telemetry::extract(request.headers()));
        let call = span.in_scope(|| self.0.call(request));
        call.instrument(span)
    }
}
