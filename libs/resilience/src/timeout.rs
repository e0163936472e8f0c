//! The attempt's timeout: how long the head of a response may take.
//!
//! A unary call's head comes with its answer. A stream's head comes at once, and what follows may take for ever: that is what a stream is for.
//! The caller's own deadline travels as `grpc-timeout` and is the server's to keep; this timer is for a server that is gone.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower::{Layer, Service};

use crate::{deadline, grpc};

/// Bounds how long a response's head may take.
#[derive(Debug, Clone)]
pub struct TimeoutLayer {
    longest: Duration,
    attempt: Option<Duration>,
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

// === impl TimeoutLayer ===

impl TimeoutLayer {
    /// A layer whose bound is `longest`. Paths for which `streams` answers true carry no `grpc-timeout` unless their caller set one.
    #[must_use]
    pub fn new(longest: Duration, streams: fn(&str) -> bool) -> Self {
        Self { longest, attempt: None, streams }
    }

    /// The same, which waits no longer than this for one attempt, whatever its caller's deadline.
    #[must_use]
    pub fn with_attempt(self, attempt: Option<Duration>) -> Self {
        Self { attempt, ..self }
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
        let wanted = deadline::asked(request.headers());
        let timeout = wanted.unwrap_or(self.layer.longest);
        if wanted.is_none() && !(self.layer.streams)(request.uri().path()) {
            deadline::tell(request.headers_mut(), timeout);
        }
        let timeout = self.layer.attempt.map_or(timeout, |attempt| attempt.min(timeout));
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
            return Poll::Ready(Ok(grpc::refuse(deadline::PASSED, None)));
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

    #[tokio::test(start_paused = true)]
    async fn one_attempt_may_have_less_than_the_whole_call() {
        let attempt = Some(Duration::from_secs(1));
        let layer = TimeoutLayer::new(Duration::from_secs(30), |_| false).with_attempt(attempt);
        let (mut service, mut peer) =
            mock::spawn_with(|inner: mock::Mock<Request<()>, Response<String>>| layer.layer(inner));
        assert_ready!(service.poll_ready()).unwrap();
        let request = Request::builder().header("grpc-timeout", "9S").body(()).unwrap();
        let mut call = task::spawn(service.call(request));
        assert_pending!(call.poll());
        let (seen, _unanswered) = peer.next_request().await.unwrap();
        assert_eq!(
            seen.headers()["grpc-timeout"],
            "9S",
            "the peer may still answer in time for another attempt"
        );
        tokio::time::advance(Duration::from_millis(1001)).await;
        assert_eq!(
            grpc::status(assert_ready!(call.poll()).unwrap().headers()),
            Some(grpc::DEADLINE_EXCEEDED)
        );
    }
}
