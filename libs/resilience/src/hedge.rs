//! Asking twice, for an answer that must not be late.
//!
//! Most calls are quick and a few are not, because of a collection, a full queue or a lost packet at the one instance that was asked. Where a call has no effect, a second
//! one after a while costs little and is mostly quick; the first answer wins, and the other call is cancelled, which the peer is told.
//!
//! # Why off unless asked for
//! Where calls are slow because the peer has too much to do, a second call each is what it needs least. So it is for reads alone, draws on the same budget as repeats, and
//! an operator says after how long: the time within which nineteen of twenty answers come is a good one, and only a measurement knows it.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};
use tower::{Layer, Service};

use crate::deadline::{self, Deadline};
use crate::replay::{Kept, Replay};
use crate::{Contract, RetryBudget, Safety, grpc};

/// Asks a second time after a while.
#[derive(Debug, Clone)]
pub struct HedgeLayer<C> {
    settings: Arc<Settings>,
    contract: C,
}

#[derive(Debug)]
struct Settings {
    peer: Arc<str>,
    /// None for never.
    after: Option<Duration>,
    budget: RetryBudget,
}

/// Calls the inner service, and once more where a read takes long.
#[derive(Debug, Clone)]
pub struct Hedge<S, C> {
    inner: S,
    layer: HedgeLayer<C>,
}

pin_project! {
    /// The call, and the second one.
    pub struct ResponseFuture<S, F, A> {
        #[pin]
        first: Option<F>,
        // Apart, as the plan is: most calls have neither, and are moved often while they are made.
        second: Option<Pin<Box<F>>>,
        // None where there is no second call, or it is under way.
        plan: Option<Pin<Box<Plan<S>>>>,
        body: PhantomData<fn() -> A>,
    }
}

pin_project! {
    struct Plan<S> {
        service: S,
        kept: Kept,
        settings: Arc<Settings>,
        #[pin]
        timer: Sleep,
    }
}

// === impl HedgeLayer ===

impl<C> HedgeLayer<C> {
    /// A layer that asks a second time after `after`, for the reads of this contract.
    #[must_use]
    pub fn new(peer: Arc<str>, after: Option<Duration>, budget: RetryBudget, contract: C) -> Self {
        Self { settings: Arc::new(Settings { peer, after, budget }), contract }
    }
}

impl<S, C: Clone> Layer<S> for HedgeLayer<C> {
    type Service = Hedge<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        Hedge { inner, layer: self.clone() }
    }
}

// === impl Hedge ===

impl<S, C, A, B> Service<Request<Replay<A>>> for Hedge<S, C>
where
    S: Service<Request<Replay<A>>, Response = Response<B>> + Clone,
    C: Contract<S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, S::Future, A>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Replay<A>>) -> Self::Future {
        let HedgeLayer { settings, contract } = &self.layer;
        let after = settings.after.filter(|_| contract.safety(request.uri().path()) == Safety::Read);
        let kept = after.and_then(|after| Some((after, Kept::of(&request)?)));
        let first = Some(self.inner.call(request));
        let plan = kept.map(|(after, kept)| {
            let (service, settings) = (self.inner.clone(), Arc::clone(settings));
            Box::pin(Plan { service, kept, settings, timer: sleep(after) })
        });
        ResponseFuture { first, second: None, plan, body: PhantomData }
    }
}

// === impl ResponseFuture ===

impl<S, F, A, B> Future for ResponseFuture<S, F, A>
where
    S: Service<Request<Replay<A>>, Response = Response<B>, Future = F>,
    F: Future<Output = Result<S::Response, S::Error>>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(plan) = this.plan.as_mut() {
            let plan = plan.as_mut().project();
            if plan.timer.poll(cx).is_ready() {
                // Not ready, or without budget: the first call is all there is.
                if let Poll::Ready(Ok(())) = plan.service.poll_ready(cx)
                    && plan.settings.budget.withdraw()
                {
                    tracing::debug!(peer = &*plan.settings.peer, "asking a second time");
                    let mut request = plan.kept.again();
                    if let Some(Deadline(until)) = request.extensions().get().copied() {
                        deadline::tell(
                            request.headers_mut(),
                            until.saturating_duration_since(Instant::now()),
                        );
                    }
                    *this.second = Some(Box::pin(plan.service.call(request)));
                }
                *this.plan = None;
            }
        }
        // A failure is an answer only where no other is to come.
        if let Some(call) = this.first.as_mut().as_pin_mut()
            && let Poll::Ready(result) = call.poll(cx)
        {
            this.first.set(None);
            if this.second.is_none() || !has_failed(&result) {
                return Poll::Ready(result);
            }
        }
        if let Some(call) = this.second.as_mut()
            && let Poll::Ready(result) = call.as_mut().poll(cx)
        {
            *this.second = None;
            if this.first.is_none() || !has_failed(&result) {
                return Poll::Ready(result);
            }
        }
        Poll::Pending
    }
}

fn has_failed<B, E>(result: &Result<Response<B>, E>) -> bool {
    result.as_ref().map_or(true, |response| grpc::head_status(response).is_some_and(grpc::is_failure))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Full;
    use tokio_test::{assert_pending, assert_ready, task};
    use tower::ServiceExt as _;
    use tower_test::mock;

    use super::*;
    use crate::testing::{Frames, TestContract, answer};

    type Asked = Request<Replay<Full<Bytes>>>;
    type Peer = mock::Handle<Asked, Response<Frames>>;
    type Stack = mock::Spawn<Hedge<mock::Mock<Asked, Response<Frames>>, TestContract>>;

    const AFTER: Duration = Duration::from_millis(50);

    fn stack(budget: RetryBudget) -> (Stack, Peer) {
        let layer = HedgeLayer::new("peer".into(), Some(AFTER), budget, TestContract);
        mock::spawn_with(|inner| layer.layer(inner))
    }

    fn request(path: &str) -> Asked {
        Request::post(path).body(Replay::new(Full::new(Bytes::from("message")))).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_answer_wins_and_the_other_call_is_cancelled() {
        // Each call holds the counter; the first one never ends by itself.
        let under_way = Arc::new(());
        let held = Arc::clone(&under_way);
        let peer = tower::service_fn(move |_: Asked| {
            let (is_first, held) = (Arc::strong_count(&held) == 2, Arc::clone(&held));
            async move {
                if is_first {
                    std::future::pending::<()>().await;
                }
                drop(held);
                Ok::<_, std::convert::Infallible>(answer(0, &[]))
            }
        });
        let layer = HedgeLayer::new("peer".into(), Some(AFTER), RetryBudget::default(), TestContract);
        let call = layer.layer(peer).oneshot(request("/a/Read"));
        let begun = Instant::now();
        assert_eq!(grpc::status(call.await.unwrap().headers()), Some(0));
        assert_eq!(begun.elapsed(), AFTER);
        assert_eq!(Arc::strong_count(&under_way), 1, "nothing is under way any more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_waits_for_the_other_answer() {
        let (mut service, mut peer) = stack(RetryBudget::default());
        assert_ready!(service.poll_ready()).unwrap();
        let mut call = task::spawn(service.call(request("/a/Read")));
        assert_pending!(call.poll());
        let (_, first) = peer.next_request().await.unwrap();
        tokio::time::advance(AFTER * 2).await;
        assert_pending!(call.poll());
        let (_, second) = peer.next_request().await.unwrap();
        first.send_response(answer(grpc::UNAVAILABLE, &[]));
        assert_pending!(call.poll());
        second.send_response(answer(0, &[]));
        assert_eq!(grpc::status(assert_ready!(call.poll()).unwrap().headers()), Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_an_effect_or_no_budget_is_asked_once() {
        for (path, budget) in [("/a/Idempotent", RetryBudget::default()), ("/a/Read", RetryBudget::new(0, 0))]
        {
            let (mut service, mut peer) = stack(budget);
            assert_ready!(service.poll_ready()).unwrap();
            let mut call = task::spawn(service.call(request(path)));
            assert_pending!(call.poll());
            let (_, only) = peer.next_request().await.unwrap();
            tokio::time::advance(AFTER * 2).await;
            assert_pending!(call.poll());
            only.send_response(answer(0, &[]));
            assert!(assert_ready!(call.poll()).is_ok());
            drop((call, service));
            assert!(peer.next_request().await.is_none(), "{path}");
        }
    }
}
