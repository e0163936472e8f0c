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
    streams: fn(&str) -> bool,
}

/// Calls the inner service only where the breaker admits it, and answers UNAVAILABLE otherwise.
#[derive(Debug, Clone)]
pub struct CircuitBreaker<S> {
    inner: S,
    layer: CircuitBreakerLayer,
}

pin_project! {
    /// The call, or the refusal.
    #[project = ResponseFutureProj]
    pub enum ResponseFuture<F> {
        Admitted { #[pin] inner: F, admission: Option<Admission>, is_stream: bool },
        Refused { retry_after: std::time::Duration },
    }
}

const OPEN: grpc::Refusal = grpc::Refusal {
    status: grpc::UNAVAILABLE,
    reason: grpc::BREAKER_OPEN,
    message: "the peer is not asked, because its last calls failed",
};

// === impl CircuitBreakerLayer ===

impl CircuitBreakerLayer {
    /// A layer with this breaker. Paths for which `streams` answers true are settled by their first message, all others by their end.
    #[must_use]
    pub const fn new(breaker: Breaker, streams: fn(&str) -> bool) -> Self {
        Self { breaker, streams }
    }
}

impl<S> Layer<S> for CircuitBreakerLayer {
    type Service = CircuitBreaker<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CircuitBreaker { inner, layer: self.clone() }
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
        match self.layer.breaker.admit() {
            Ok(admission) => {
                let is_stream = (self.layer.streams)(request.uri().path());
                let admission = Some(admission);
                ResponseFuture::Admitted { inner: self.inner.call(request), admission, is_stream }
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
            ResponseFutureProj::Admitted { inner, admission, is_stream } => {
                let result = ready!(inner.poll(cx));
                let mut admission = admission.take();
                // An error, or a status in the head, settles the call; otherwise its body will.
                let failed = match &result {
                    Err(_) => Some(Some(grpc::UNAVAILABLE)),
                    Ok(response) => grpc::head_status(response).map(|status| (status != 0).then_some(status)),
                };
                if *is_stream && let Some(admission) = &mut admission {
                    admission.stop_clock();
                }
                if let Some(failed) = failed
                    && let Some(admission) = admission.take()
                {
                    admission.tell(failed);
                }
                Poll::Ready(
                    result.map(|response| response.map(|body| Observed::new(body, admission, *is_stream))),
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderMap;
    use http_body::Frame;
    use tokio_test::{assert_pending, assert_ready, task};
    use tower_test::mock;

    use super::*;
    use crate::testing::Frames;
    use crate::{BreakerConfig, BreakerState};

    const NINE: Duration = Duration::from_secs(9);

    type Inner = mock::Mock<Request<()>, Response<Frames>>;
    type Peer = mock::Handle<Request<()>, Response<Frames>>;

    fn status(status: i32) -> Response<Frames> {
        grpc::refuse(grpc::Refusal { status, reason: "TEST", message: "" }, None)
    }

    fn trailers(status: i32) -> Frame<&'static [u8]> {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", status.into());
        Frame::trailers(trailers)
    }

    /// A breaker that opens with the first failure, its layer, and the peer behind it.
    fn stack(streams: fn(&str) -> bool) -> (Breaker, mock::Spawn<CircuitBreaker<Inner>>, Peer) {
        let breaker = Breaker::new("peer", BreakerConfig::consecutive(1, NINE, 1));
        let layer = CircuitBreakerLayer::new(breaker.clone(), streams);
        let (service, peer) = mock::spawn_with(|inner: Inner| layer.layer(inner));
        (breaker, service, peer)
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_fails_is_not_asked() {
        let (breaker, mut service, mut peer) = stack(|_| false);
        assert_ready!(service.poll_ready()).unwrap();
        let mut call = task::spawn(service.call(Request::new(())));
        assert_pending!(call.poll());
        peer.next_request().await.unwrap().1.send_response(status(grpc::UNAVAILABLE));
        assert_ready!(call.poll()).unwrap();
        assert_eq!(breaker.state(), BreakerState::Open);

        assert_ready!(service.poll_ready()).unwrap();
        let mut call = task::spawn(service.call(Request::new(())));
        let refused = assert_ready!(call.poll()).unwrap();
        assert_eq!(grpc::status(refused.headers()), Some(grpc::UNAVAILABLE));
        assert_eq!(refused.headers()["grpc-retry-pushback-ms"], "9000");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_in_the_trailers_counts() {
        let (breaker, mut service, mut peer) = stack(|_| false);
        assert_ready!(service.poll_ready()).unwrap();
        let mut call = task::spawn(service.call(Request::new(())));
        assert_pending!(call.poll());
        let frames = Frames::of([Frame::data(&b"answer"[..]), trailers(grpc::INTERNAL)]);
        peer.next_request().await.unwrap().1.send_response(Response::new(frames));
        let mut body = assert_ready!(call.poll()).unwrap().into_body();
        assert!(body.next().await.is_some());
        assert_eq!(breaker.state(), BreakerState::Closed, "the answer alone says nothing yet");
        assert!(body.next().await.is_some());
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[tokio::test(start_paused = true)]
    async fn a_streams_first_message_says_that_the_peer_is_well() {
        let (breaker, mut service, mut peer) = stack(|_| true);
        let mut open = async |service: &mut mock::Spawn<CircuitBreaker<Inner>>| {
            assert_ready!(service.poll_ready()).unwrap();
            let mut call = task::spawn(service.call(Request::new(())));
            assert_pending!(call.poll());
            let frames = Frames::of([Frame::data(&b"first"[..]), trailers(grpc::UNAVAILABLE)]);
            peer.next_request().await.unwrap().1.send_response(Response::new(frames));
            assert_ready!(call.poll()).unwrap().into_body()
        };
        let mut body = open(&mut service).await;
        while body.next().await.is_some() {}
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert_eq!(breaker.status().totals.good, 1);

        drop(open(&mut service).await);
        assert_eq!(breaker.status().totals.cancelled, 1, "a stream that was given up before says nothing");
    }

    #[test]
    fn what_a_proxy_answers_is_read_as_a_status() {
        for (http, status) in
            [(200, None), (503, Some(grpc::UNAVAILABLE)), (404, Some(12)), (500, Some(grpc::UNKNOWN))]
        {
            let response = Response::builder().status(http).body(()).unwrap();
            assert_eq!(grpc::head_status(&response), status, "{http}");
        }
    }
}
