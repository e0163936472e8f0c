//! The attempt's timeout: how long the head of a response may take.
//!
//! A unary call's head comes with its answer. A stream's head comes at once, and what follows may take for ever: that is what a stream is for.
//! The caller's own deadline travels as `grpc-timeout` and is the server's to keep; this timer is for a server that is gone.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower::{Layer, Service};

use crate::grpc;

/// Bounds how long a response's head may take.
#[derive(Debug, Clone)]
pub struct TimeoutLayer {
    longest: Duration,
    streams: fn(&str) -> bool,
}

/// Answers `DEADLINE_EXCEEDED` where the inner service takes longer than the caller's `grpc-timeout` or the layer's own bound.
#[derive(Debug, Clone)]
pub struct Timeout<S> {
    inner: S,
    layer: TimeoutLayer,
}

pin_project! {
    /// The call and its timer.
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        #[pin]
        timer: Sleep,
    }
}

const PASSED: grpc::Refusal = grpc::Refusal {
    status: grpc::DEADLINE_EXCEEDED,
    reason: "DEADLINE_EXCEEDED",
    message: "the deadline has passed",
};

// === impl TimeoutLayer ===

impl TimeoutLayer {
    /// A layer whose bound is `longest`. Paths for which `streams` answers true carry no `grpc-timeout` unless their caller set one.
    #[must_use]
    pub fn new(longest: Duration, streams: fn(&str) -> bool) -> Self {
        Self { longest, streams }
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Timeout { inner, layer: self.clone() }
    }
}

// === impl Timeout ===

impl<S, A, B> Service<Request<A>> for Timeout<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    B: Default,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        let wanted = request.headers().get("grpc-timeout").and_then(|value| value.to_str().ok());
        let wanted = wanted.and_then(grpc::parse_timeout);
        let timeout = wanted.unwrap_or(self.layer.longest);
        if wanted.is_none()
            && !(self.layer.streams)(request.uri().path())
            && let Ok(value) = HeaderValue::try_from(grpc::encode_timeout(timeout))
        {
            request.headers_mut().insert("grpc-timeout", value);
        }
        ResponseFuture { inner: self.inner.call(request), timer: tokio::time::sleep(timeout) }
    }
}

// === impl ResponseFuture ===

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Default,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // The timer first: a timeout of the transport below is set a moment later for the same instant, and its error would say less.
        if this.timer.poll(cx).is_ready() {
            return Poll::Ready(Ok(grpc::refuse(PASSED, None)));
        }
        this.inner.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio_test::{assert_pending, assert_ready, task};
    use tower_test::mock;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_is_answered_for() {
        let layer = TimeoutLayer::new(Duration::from_secs(30), |_| false);
        let (mut service, mut peer) =
            mock::spawn_with(|inner: mock::Mock<Request<()>, Response<String>>| layer.layer(inner));
        assert_ready!(service.poll_ready()).unwrap();
        let request = Request::builder().header("grpc-timeout", "2S").body(()).unwrap();
        let mut call = task::spawn(service.call(request));
        assert_pending!(call.poll());
        let (seen, _unanswered) = peer.next_request().await.unwrap();
        assert_eq!(seen.headers()["grpc-timeout"], "2S");
        tokio::time::advance(Duration::from_millis(2001)).await;
        let response = assert_ready!(call.poll()).unwrap();
        assert_eq!(grpc::status(response.headers()), Some(grpc::DEADLINE_EXCEEDED));
    }
}
