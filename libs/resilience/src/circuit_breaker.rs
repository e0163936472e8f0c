//! The breaker as a layer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::Breaker;
use crate::body::{Observed, Verdict as _};
use crate::breaker::Admission;
use crate::grpc;

/// Puts a peer's breaker before a service.
#[derive(Debug, Clone)]
pub struct CircuitBreakerLayer {
    breaker: Breaker,
}

/// Calls the inner service only where the breaker admits it, and answers UNAVAILABLE otherwise.
#[derive(Debug, Clone)]
pub struct CircuitBreaker<S> {
    inner: S,
    breaker: Breaker,
}

pin_project! {
    /// The call, or the refusal.
    #[project = ResponseFutureProj]
    pub enum ResponseFuture<F> {
        Admitted { #[pin] inner: F, admission: Option<Admission> },
        Refused { retry_after: std::time::Duration },
    }
}

const OPEN: grpc::Refusal = grpc::Refusal {
    status: grpc::UNAVAILABLE,
    reason: "BREAKER_OPEN",
    message: "the peer is not asked, because its last calls failed",
};

// === impl CircuitBreakerLayer ===

impl CircuitBreakerLayer {
    /// A layer with this breaker.
    #[must_use]
    pub const fn new(breaker: Breaker) -> Self {
        Self { breaker }
    }
}

impl<S> Layer<S> for CircuitBreakerLayer {
    type Service = CircuitBreaker<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CircuitBreaker { inner, breaker: self.breaker.clone() }
    }
}

// === impl CircuitBreaker ===

impl<S, A, B> Service<Request<A>> for CircuitBreaker<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    B: Default,
{
    type Response = Response<Observed<B, Admission>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        match self.breaker.admit() {
            Ok(admission) => {
                ResponseFuture::Admitted { inner: self.inner.call(request), admission: Some(admission) }
            }
            Err(retry_after) => ResponseFuture::Refused { retry_after },
        }
    }
}

// === impl ResponseFuture ===

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Default,
{
    type Output = Result<Response<Observed<B, Admission>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            ResponseFutureProj::Refused { retry_after } => {
                Poll::Ready(Ok(grpc::refuse(OPEN, Some(*retry_after))))
            }
            ResponseFutureProj::Admitted { inner, admission } => {
                let result = ready!(inner.poll(cx));
                let mut admission = admission.take();
                // An error, or a status in the head, settles the call; otherwise its first frame will.
                let failed = match &result {
                    Err(_) => Some(Some(grpc::UNAVAILABLE)),
                    Ok(response) => {
                        grpc::status(response.headers()).map(|status| (status != 0).then_some(status))
                    }
                };
                if let Some(failed) = failed
                    && let Some(admission) = admission.take()
                {
                    admission.tell(failed);
                }
                Poll::Ready(result.map(|response| response.map(|body| Observed::new(body, admission))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio_test::{assert_pending, assert_ready, task};
    use tower_test::mock;

    use super::*;
    use crate::{BreakerConfig, BreakerState};

    const NINE: Duration = Duration::from_secs(9);

    type Inner = mock::Mock<Request<()>, Response<String>>;

    fn status(status: i32) -> Response<String> {
        grpc::refuse(grpc::Refusal { status, reason: "TEST", message: "" }, None)
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_fails_is_not_asked() {
        let breaker =
            Breaker::new("peer", BreakerConfig { failures: 2, open_first: NINE, open_for: NINE, probes: 1 });
        let layer = CircuitBreakerLayer::new(breaker.clone());
        let (mut service, mut peer) = mock::spawn_with(|inner: Inner| layer.layer(inner));
        for _ in 0..2 {
            assert_ready!(service.poll_ready()).unwrap();
            let mut call = task::spawn(service.call(Request::new(())));
            assert_pending!(call.poll());
            peer.next_request().await.unwrap().1.send_response(status(grpc::UNAVAILABLE));
            assert_ready!(call.poll()).unwrap();
        }
        assert_eq!(breaker.state(), BreakerState::Open);

        assert_ready!(service.poll_ready()).unwrap();
        let mut call = task::spawn(service.call(Request::new(())));
        let refused = assert_ready!(call.poll()).unwrap();
        assert_eq!(grpc::status(refused.headers()), Some(grpc::UNAVAILABLE));
        assert_eq!(refused.headers()["grpc-retry-pushback-ms"], "9000");
    }
}
