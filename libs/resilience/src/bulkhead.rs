//! The bulkhead: a bound on the calls to one peer that are under way, streams included.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::{Layer, Service};

use crate::grpc;

/// Bounds the calls that are under way.
#[derive(Debug, Clone)]
pub struct BulkheadLayer {
    places: Arc<Semaphore>,
}

/// Calls the inner service where there is a place, and answers `RESOURCE_EXHAUSTED` at once where there is none: a queue would only hide that the
/// peer is slow.
#[derive(Debug, Clone)]
pub struct Bulkhead<S> {
    inner: S,
    places: Arc<Semaphore>,
}

/// A place, held until the response's body is dropped, not only until its head has come.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

pin_project! {
    /// The call with its place, where it has one, or the refusal.
    #[allow(missing_docs, reason = "the macro takes no comments on fields")]
    #[project = PlacedFutureProj]
    pub enum PlacedFuture<F, B> {
        /// It is under way.
        Admitted {
            #[pin]
            inner: F,
            place: Option<Place>,
        },
        /// There was no place.
        Refused {
            answer: Option<Response<B>>,
        },
    }
}

pin_project! {
    /// A body that keeps its place until it is dropped.
    #[derive(Debug, Default)]
    pub struct Placed<B> {
        #[pin]
        inner: B,
        place: Option<Place>,
    }
}

const FULL: grpc::Refusal = grpc::Refusal {
    status: grpc::RESOURCE_EXHAUSTED,
    reason: grpc::BULKHEAD_FULL,
    message: "too many calls to the peer are under way",
};

/// When to come again: a call mostly takes less.
const COME_AGAIN: Duration = Duration::from_millis(100);

// === impl BulkheadLayer ===

impl BulkheadLayer {
    /// A layer that lets `limit` calls be under way.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(limit)) }
    }
}

impl<S> Layer<S> for BulkheadLayer {
    type Service = Bulkhead<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Bulkhead { inner, places: Arc::clone(&self.places) }
    }
}

// === impl Bulkhead ===

impl<S, A, B> Service<Request<A>> for Bulkhead<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    B: Default,
{
    type Response = Response<Placed<B>>;
    type Error = S::Error;
    type Future = PlacedFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        match Place::of(&self.places) {
            Some(place) => PlacedFuture::Admitted { inner: self.inner.call(request), place: Some(place) },
            None => PlacedFuture::Refused { answer: Some(grpc::refuse(FULL, Some(COME_AGAIN))) },
        }
    }
}

// === impl PlacedFuture ===

impl<F, B, E> Future for PlacedFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Default,
{
    type Output = Result<Response<Placed<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            PlacedFutureProj::Refused { answer } => {
                // It is polled once.
                let answer = answer.take().unwrap_or_default();
                Poll::Ready(Ok(answer.map(|inner| Placed::new(inner, None))))
            }
            PlacedFutureProj::Admitted { inner, place } => {
                let response = ready!(inner.poll(cx))?;
                let place = place.take();
                Poll::Ready(Ok(response.map(|inner| Placed::new(inner, place))))
            }
        }
    }
}

// === impl Place ===

impl Place {
    /// A free one of these; none where none is free.
    #[must_use]
    pub fn of(places: &Arc<Semaphore>) -> Option<Self> {
        Some(Self { _permit: Arc::clone(places).try_acquire_owned().ok()? })
    }
}

// === impl Placed ===

impl<B> Placed<B> {
    /// A body that keeps a place, where there is one.
    #[must_use]
    pub const fn new(inner: B, place: Option<Place>) -> Self {
        Self { inner, place }
    }
}

impl<B: http_body::Body> http_body::Body for Placed<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tokio_test::{assert_pending, assert_ready, task};
    use tower_test::mock;

    use super::*;

    #[tokio::test]
    async fn a_place_is_free_again_when_the_body_is_dropped() {
        let layer = BulkheadLayer::new(1);
        let (mut service, mut peer) =
            mock::spawn_with(|inner: mock::Mock<Request<()>, Response<String>>| layer.layer(inner));
        let mut next = || {
            assert_ready!(service.poll_ready()).unwrap();
            task::spawn(service.call(Request::new(())))
        };
        let mut first = next();
        assert_pending!(first.poll());
        peer.next_request().await.unwrap().1.send_response(Response::new("stream".to_owned()));
        let streaming = assert_ready!(first.poll()).unwrap();

        let refused = assert_ready!(next().poll()).unwrap();
        assert_eq!(grpc::status(refused.headers()), Some(grpc::RESOURCE_EXHAUSTED));
        drop(streaming);
        assert_pending!(next().poll());
    }
}
