//! `GET /metrics`, on the port of the API.
//!
//! Prometheus speaks HTTP/1.1, which the port takes for gRPC-Web anyway; what is neither, gRPC-Web would refuse, so this stands before it. There is no
//! port of its own to open, to guard and to forget: whoever may reach the API may read how often it is called, and nothing in the text is about a
//! user.

use std::task::{Context, Poll};

use futures_util::future::{Either, Ready, ready};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use pathway_telemetry::Telemetry;
use tonic::body::Body;
use tower::{Layer, Service};

/// Answers `GET /metrics`.
#[derive(Debug, Clone)]
pub(crate) struct ExpositionLayer(Telemetry);

/// Passes on what is not `GET /metrics`.
#[derive(Debug, Clone)]
pub(crate) struct Exposition<S> {
    inner: S,
    telemetry: Telemetry,
}

/// The version of the text that Prometheus reads.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

// === impl ExpositionLayer ===

impl ExpositionLayer {
    pub(crate) fn new(telemetry: &Telemetry) -> Self {
        Self(telemetry.clone())
    }
}

impl<S> Layer<S> for ExpositionLayer {
    type Service = Exposition<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Exposition { inner, telemetry: self.0.clone() }
    }
}

// === impl Exposition ===

impl<S> Service<Request<Body>> for Exposition<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<Ready<Result<Response<Body>, S::Error>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.method() == Method::GET && request.uri().path() == "/metrics" {
            return Either::Left(ready(Ok(answer(self.telemetry.exposition()))));
        }
        Either::Right(self.inner.call(request))
    }
}

fn answer(text: Option<String>) -> Response<Body> {
    let Some(text) = text else {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    let mut response = Response::new(Body::new(http_body_util::Full::from(text)));
    response.headers_mut().insert(header::CONTENT_TYPE, TEXT);
    response
}
