//! Load shedding: a server that has enough to do says so at once.
//!
//! # Why not a queue
//! A call that waits for its turn is answered late, mostly to somebody who has given up, and what it was given up for is called again: past the limit a queue turns load into more
//! load. `RESOURCE_EXHAUSTED` at once costs nothing, says when to come again, and was not served, so it may be repeated.
//!
//! # Why two limits
//! A stream lasts for hours and does next to nothing; a unary call is short. Counted together, a few thousand watchers would leave no place for a single write. So streams have
//! places of their own, and neither starves the other.
//!
//! # What is never shed
//! Health checks (a full server that looks dead is killed, and its load goes to the next), reflection, an operator's calls, and whatever cancels work: those are what relieves it.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use pathway_kernel::{Code, Fault};
use pathway_resilience::{Place, Placed, PlacedFuture};
use tokio::sync::Semaphore;
use tower::{Layer, Service};

use crate::methods::{method, streams};
use crate::status::to_status;

/// How many calls a server takes on.
#[derive(Debug, Clone)]
pub(crate) struct ShedLayer {
    unary: Arc<Semaphore>,
    streams: Arc<Semaphore>,
}

/// Serves a call where there is a place for it.
#[derive(Debug, Clone)]
pub(crate) struct Shed<S> {
    inner: S,
    layer: ShedLayer,
}

/// When to come again. Most calls take less, so there will be places; those who come again do so with a jitter of their own.
const COME_AGAIN: Duration = Duration::from_millis(250);

// === impl ShedLayer ===

impl ShedLayer {
    /// A layer with so many places for each.
    pub(crate) fn new(unary: usize, streams: usize) -> Self {
        let places = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Self { unary: places(unary), streams: places(streams) }
    }
}

impl<S> Layer<S> for ShedLayer {
    type Service = Shed<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Shed { inner, layer: self.clone() }
    }
}

// === impl Shed ===

impl<S, A, B> Service<Request<A>> for Shed<S>
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
        let path = request.uri().path();
        if is_never_shed(path) {
            return PlacedFuture::Admitted { inner: self.inner.call(request), place: None };
        }
        let (places, what) =
            if streams(path) { (&self.layer.streams, "streams") } else { (&self.layer.unary, "calls") };
        match Place::of(places) {
            Some(place) => PlacedFuture::Admitted { inner: self.inner.call(request), place: Some(place) },
            None => PlacedFuture::Refused { answer: Some(refusal(what)) },
        }
    }
}

fn refusal<B: Default>(what: &str) -> Response<B> {
    let message = format!("this server has as many {what} under way as it takes on: come again later");
    let fault = Fault::new(Code::ResourceExhausted, "OVERLOADED", message).with_retry_after(COME_AGAIN);
    to_status(&fault).into_http()
}

fn is_never_shed(path: &str) -> bool {
    let of_the_process = ["/grpc.health.", "/grpc.reflection.", "/pathway.operations."];
    of_the_process.iter().any(|service| path.starts_with(service)) || method(path).starts_with("Cancel")
}

#[cfg(test)]
mod tests {
    use tokio_test::{assert_pending, assert_ready, task};
    use tonic::Status;
    use tonic_types::StatusExt as _;
    use tower_test::mock;

    use super::*;

    type Inner = mock::Mock<Request<()>, Response<String>>;
    type Call = task::Spawn<PlacedFuture<<Inner as Service<Request<()>>>::Future, String>>;

    const WRITE: &str = "/pathway.datasync.v1.DatasyncService/WriteRecords";
    const WATCH: &str = "/pathway.datasync.v1.DatasyncService/WatchChanges";

    fn call(service: &mut mock::Spawn<Shed<Inner>>, path: &str) -> Call {
        assert_ready!(service.poll_ready()).unwrap();
        task::spawn(service.call(Request::builder().uri(path).body(()).unwrap()))
    }

    fn refused(call: &mut Call) -> Status {
        Status::from_header_map(assert_ready!(call.poll()).unwrap().headers()).unwrap()
    }

    #[tokio::test]
    async fn past_the_limit_a_call_is_refused_at_once_with_a_time_to_come_again() {
        let layer = ShedLayer::new(1, 1);
        let (mut service, mut peer) = mock::spawn_with(|inner: Inner| layer.layer(inner));
        let mut first = call(&mut service, WRITE);
        assert_pending!(first.poll());
        peer.next_request().await.unwrap().1.send_response(Response::new("answer".to_owned()));
        let answering = assert_ready!(first.poll()).unwrap();

        let status = refused(&mut call(&mut service, WRITE));
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        assert_eq!(status.get_details_retry_info().unwrap().retry_delay, Some(COME_AGAIN));
        assert_eq!(status.get_details_error_info().unwrap().reason, "OVERLOADED");
        drop(answering);
        assert_pending!(call(&mut service, WRITE).poll(), "its place is free when its answer has been read");
    }

    #[tokio::test]
    async fn streams_and_calls_do_not_take_each_others_places() {
        let layer = ShedLayer::new(1, 1);
        let (mut service, _peer) = mock::spawn_with(|inner: Inner| layer.layer(inner));
        let (mut stream, mut unary) = (call(&mut service, WATCH), call(&mut service, WRITE));
        assert_pending!(stream.poll());
        assert_pending!(unary.poll());
        assert!(refused(&mut call(&mut service, WATCH)).message().contains("streams"));
        drop(stream);
        assert_pending!(call(&mut service, WATCH).poll(), "a stream that was cancelled has left its place");
    }

    #[tokio::test]
    async fn what_relieves_a_full_server_is_never_shed() {
        let layer = ShedLayer::new(0, 0);
        let (mut service, _peer) = mock::spawn_with(|inner: Inner| layer.layer(inner));
        for path in [
            "/grpc.health.v1.Health/Check",
            "/grpc.health.v1.Health/Watch",
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "/pathway.operations.v1.OperationsService/SetBreaker",
            "/pathway.processor.v1.ProcessorService/CancelReplay",
        ] {
            assert_pending!(call(&mut service, path).poll(), "{path}");
        }
        assert_eq!(refused(&mut call(&mut service, WRITE)).code(), tonic::Code::ResourceExhausted);
    }
}
