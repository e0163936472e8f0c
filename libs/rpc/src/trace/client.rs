//! The calling end.
//!
//! It stands within the retries, so every attempt is a span of its own, and around the breaker, so that a call that is refused at once is seen too.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use opentelemetry::KeyValue;
use pathway_telemetry::{SPANS, Telemetry};
use tower::{Layer, Service};
use tracing::{Span, field};

use super::call::Side;
use super::methods::{self, Method};
use super::{Call, Ended, Instruments, ResponseFuture};
use crate::Target;

/// Opens a span for each call, sends its context along, and measures it.
#[derive(Debug, Clone)]
pub(crate) struct ClientTraceLayer {
    instruments: Instruments,
    peer: Arc<str>,
    address: Arc<str>,
    port: Option<u16>,
    propagates: bool,
}

/// Makes each call in its span.
#[derive(Debug, Clone)]
pub(crate) struct ClientTrace<S> {
    inner: S,
    layer: ClientTraceLayer,
}

/// How often the call has been tried before, as gRPC's own retries say it (gRFC A6).
const PREVIOUS_ATTEMPTS: &str = "grpc-previous-rpc-attempts";

// === impl ClientTraceLayer ===

impl ClientTraceLayer {
    /// Calls of the peer `name` at `target`.
    pub(crate) fn new(name: &Arc<str>, target: &Target, telemetry: &Telemetry) -> Self {
        let (address, port) = match target {
            Target::Uri(uri) | Target::Tls(uri, _) => {
                (Arc::from(uri.host().unwrap_or_default()), uri.port_u16())
            }
            Target::Memory(_) => (Arc::clone(name), None),
        };
        let mut server = vec![KeyValue::new("server.address", Arc::clone(&address))];
        server.extend(port.map(|port| KeyValue::new("server.port", i64::from(port))));
        let instruments = Instruments::new(telemetry, Side::Client, server);
        Self { instruments, peer: Arc::clone(name), address, port, propagates: telemetry.propagates() }
    }

    fn span<A>(&self, method: &'static Method, request: &Request<A>) -> Span {
        let previous = request.headers().get(PREVIOUS_ATTEMPTS);
        let previous = previous.and_then(|count| count.to_str().ok()?.parse::<u32>().ok());
        tracing::info_span!(
            target: SPANS,
            "call",
            otel.name = method.name.as_str(),
            otel.kind = "client",
            otel.status_code = field::Empty,
            rpc.system.name = "grpc",
            rpc.method = method.name.as_str(),
            rpc.response.status_code = field::Empty,
            error.type = field::Empty,
            server.address = &*self.address,
            server.port = self.port,
            pathway.peer = &*self.peer,
            pathway.rpc.previous_attempts = previous,
        )
    }
}

impl<S> Layer<S> for ClientTraceLayer {
    type Service = ClientTrace<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ClientTrace { inner, layer: self.clone() }
    }
}

// === impl ClientTrace ===

impl<S, A, B> Service<Request<A>> for ClientTrace<S>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = Response<Ended<B>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        let method = methods::of(request.uri().path());
        let call = Call::begin(self.layer.span(method, &request), method, &self.layer.instruments);
        let answer = call.span.in_scope(|| {
            if self.layer.propagates {
                pathway_telemetry::inject(request.headers_mut());
            }
            self.inner.call(request)
        });
        ResponseFuture::new(answer, call)
    }
}
