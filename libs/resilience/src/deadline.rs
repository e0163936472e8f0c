//! The deadline: until when somebody waits for a call.
//!
//! A caller's deadline travels as `grpc-timeout`, how much is left of it. A server that calls others while it serves a call must give them no more than that: they
//! would work for somebody who has gone. So the server's layer notes the deadline for the task that serves the call, and the client's takes the
//! earliest of what its caller asked for, what the task was given, and what is usual.
//!
//! # Why a task's and not a parameter
//! A deadline that is passed by hand is passed everywhere or is lost at the first place that forgets it. The task that serves a call ends with it, so what is noted there is
//! neither global nor stale. Work that is handed to another task, such as a worker's, has no caller who waits, and is given none.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tokio::task::futures::TaskLocalFuture;
use tokio::time::Instant;
use tower::{Layer, Service};

use crate::grpc;

tokio::task_local! {
    static UNTIL: Instant;
}

/// Until when somebody waits for the call, among a request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(pub Instant);

/// On the server: notes the deadline of each call for what is called while it is served.
#[derive(Debug, Clone, Copy, Default)]
pub struct InheritLayer;

/// Serves each call with its deadline noted.
#[derive(Debug, Clone)]
pub struct Inherit<S> {
    inner: S,
}

/// On the client: gives each call its deadline.
#[derive(Debug, Clone)]
pub struct DeadlineLayer {
    usual: Duration,
    streams: fn(&str) -> bool,
}

/// Sends each call with its deadline, and none whose deadline has passed.
#[derive(Debug, Clone)]
pub struct WithDeadline<S> {
    inner: S,
    layer: DeadlineLayer,
}

pin_project! {
    /// The call, within its deadline where it has one.
    #[project = InheritProj]
    pub enum InheritFuture<F> {
        Within { #[pin] inner: TaskLocalFuture<Instant, F> },
        Free { #[pin] inner: F },
    }
}

pin_project! {
    /// The call, or the refusal.
    #[project = ResponseFutureProj]
    pub enum ResponseFuture<F> {
        Sent { #[pin] inner: F },
        Passed,
    }
}

pub(crate) const PASSED: grpc::Refusal = grpc::Refusal {
    status: grpc::DEADLINE_EXCEEDED,
    reason: "DEADLINE_EXCEEDED",
    message: "the deadline has passed",
};

/// The deadline of the call that the current task serves, where it has one.
#[must_use]
pub fn inherited() -> Option<Instant> {
    UNTIL.try_with(|until| *until).ok()
}

/// How much time a request says that its caller has.
pub(crate) fn asked(headers: &HeaderMap) -> Option<Duration> {
    grpc::parse_timeout(headers.get("grpc-timeout")?.to_str().ok()?)
}

/// Says in a request how much time its caller has.
pub(crate) fn tell(headers: &mut HeaderMap, left: Duration) {
    if let Ok(value) = HeaderValue::try_from(grpc::encode_timeout(left)) {
        headers.insert("grpc-timeout", value);
    }
}

// === impl InheritLayer ===

impl<S> Layer<S> for InheritLayer {
    type Service = Inherit<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Inherit { inner }
    }
}

// === impl Inherit ===

impl<S, A> Service<Request<A>> for Inherit<S>
where
    S: Service<Request<A>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = InheritFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        match asked(request.headers()) {
            Some(left) => {
                let until = Instant::now() + left;
                InheritFuture::Within { inner: UNTIL.scope(until, self.inner.call(request)) }
            }
            None => InheritFuture::Free { inner: self.inner.call(request) },
        }
    }
}

impl<F: Future> Future for InheritFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            InheritProj::Within { inner } => inner.poll(cx),
            InheritProj::Free { inner } => inner.poll(cx),
        }
    }
}

// === impl DeadlineLayer ===

impl DeadlineLayer {
    /// A layer that gives `usual` to a call whose caller has none. Paths for which `streams` answers true have none then.
    #[must_use]
    pub fn new(usual: Duration, streams: fn(&str) -> bool) -> Self {
        Self { usual, streams }
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = WithDeadline<S>;

    fn layer(&self, inner: S) -> Self::Service {
        WithDeadline { inner, layer: self.clone() }
    }
}

// === impl WithDeadline ===

impl<S, A, B> Service<Request<A>> for WithDeadline<S>
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
        let now = Instant::now();
        let own = asked(request.headers());
        let own = own.or_else(|| (!(self.layer.streams)(request.uri().path())).then_some(self.layer.usual));
        let until = [own.map(|left| now + left), inherited()].into_iter().flatten().min();
        if let Some(until) = until {
            if until <= now {
                return ResponseFuture::Passed;
            }
            tell(request.headers_mut(), until - now);
            request.extensions_mut().insert(Deadline(until));
        }
        ResponseFuture::Sent { inner: self.inner.call(request) }
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
        match self.project() {
            ResponseFutureProj::Passed => Poll::Ready(Ok(grpc::refuse(PASSED, None))),
            ResponseFutureProj::Sent { inner } => inner.poll(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tower::ServiceExt as _;
    use tower::service_fn;

    use super::*;

    const USUAL: Duration = Duration::from_secs(30);

    /// What the peer is told, in seconds; none where it is not asked.
    async fn told(path: &'static str, own: Option<&'static str>) -> Option<u64> {
        let peer = service_fn(|request: Request<()>| async move {
            let left = asked(request.headers()).map(|left| left.as_secs());
            assert_eq!(left.is_some(), request.extensions().get::<Deadline>().is_some());
            Ok::<_, Infallible>(Response::new(left))
        });
        let mut request = Request::builder().uri(path);
        if let Some(own) = own {
            request = request.header("grpc-timeout", own);
        }
        let stack = DeadlineLayer::new(USUAL, |path| path.contains("Watch")).layer(peer);
        let response = stack.oneshot(request.body(()).unwrap()).await.unwrap();
        if grpc::status(response.headers()) == Some(grpc::DEADLINE_EXCEEDED) {
            Some(0)
        } else {
            response.into_body()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_has_what_its_caller_gives_it_or_what_is_usual() {
        assert_eq!(told("/a/Get", Some("5S")).await, Some(5));
        assert_eq!(told("/a/Get", Some("90S")).await, Some(90));
        assert_eq!(told("/a/Get", None).await, Some(30));
        assert_eq!(told("/a/Watch", None).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_called_while_a_call_is_served_has_no_more_than_is_left_of_it() {
        let handler = service_fn(|_: Request<()>| async {
            tokio::time::advance(Duration::from_secs(4)).await;
            let early =
                (told("/a/Get", None).await, told("/a/Get", Some("2S")).await, told("/a/Watch", None).await);
            tokio::time::advance(Duration::from_secs(6)).await;
            Ok::<_, Infallible>((early, told("/a/Get", Some("2S")).await))
        });
        let request = Request::builder().header("grpc-timeout", "10S").body(()).unwrap();
        let (early, late) = InheritLayer.layer(handler).oneshot(request).await.unwrap();
        assert_eq!(early, (Some(6), Some(2), Some(6)));
        assert_eq!(late, Some(0), "nobody waits any more, so the peer is not asked");
        assert_eq!(inherited(), None, "it ends with the call");
    }
}
