//! Trying again.
//!
//! # What is safe
//! UNAVAILABLE says that a call was not served: any call may be repeated. So may one whose error shows that the peer has not begun with it. All else (a connection that broke,
//! ABORTED, `DEADLINE_EXCEEDED` of an attempt, `RESOURCE_EXHAUSTED` with a time to come again) is repeated only where the method is declared to have no effect, or the same
//! effect done twice as done once. What our own breaker or bulkhead refuses is passed on at once: they are there so that nobody waits.
//!
//! # When
//! As the peer says (`grpc-retry-pushback-ms`, `RetryInfo`, a proxy's `Retry-After`), else after a wait that doubles, shortened by chance so that callers who failed together do not come
//! again together. A negative pushback forbids it. A wait that would pass the deadline, or that is longer than the longest of our own, is not begun: the caller learns of
//! the failure while it can still do something else. And only within the [budget](RetryBudget).

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response, header};
use pathway_kernel::{Backoff, Rng};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};
use tower::{Layer, Service};

use crate::deadline::{self, Deadline};
use crate::replay::{Kept, Replay};
use crate::{Contract, REASON_HEADER, RetryBudget, Safety, grpc};

/// How often and when to try again.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// Whose calls they are, for the log.
    pub peer: Arc<str>,
    /// Attempts in all; at least 1.
    pub attempts: u32,
    /// The wait between them.
    pub backoff: Backoff,
    /// The longest wait that a peer may ask for; beyond it the failure is passed on.
    pub longest_wait: Duration,
    /// Shared by the calls to one target.
    pub budget: RetryBudget,
    /// The chance of the jitter.
    pub rng: Rng,
}

/// Tries again by a policy.
#[derive(Debug, Clone)]
pub struct RetryLayer<C> {
    policy: Arc<RetryPolicy>,
    contract: C,
}

/// Calls the inner service, and calls it again where that is safe and may help.
#[derive(Debug, Clone)]
pub struct Retry<S, C> {
    inner: S,
    layer: RetryLayer<C>,
}

pin_project! {
    /// The attempts of one call.
    pub struct ResponseFuture<S, C, F, A> {
        service: S,
        layer: RetryLayer<C>,
        // None where it cannot be sent again.
        kept: Option<Kept>,
        attempt: u32,
        #[pin]
        state: State<F>,
        body: PhantomData<fn() -> A>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Calling { #[pin] call: F },
        Waiting { #[pin] wait: Sleep, kept: Kept },
        Readying { kept: Kept },
    }
}

// === impl RetryLayer ===

impl<C> RetryLayer<C> {
    /// A layer with this policy, for the methods of this contract.
    #[must_use]
    pub fn new(policy: RetryPolicy, contract: C) -> Self {
        Self { policy: Arc::new(policy), contract }
    }

    /// How long to wait before another attempt, and why there is one; none where what came is passed on.
    fn next<B, E>(
        &self,
        request: &Request<()>,
        attempt: u32,
        result: &Result<Response<B>, E>,
    ) -> Option<(Duration, i32)>
    where
        C: Contract<E>,
    {
        let policy = &self.policy;
        if attempt >= policy.attempts {
            return None;
        }
        let (status, hint) = match result {
            Err(error) if self.contract.is_unserved(error) => (grpc::UNAVAILABLE, None),
            Err(_) if !self.is_idempotent::<E>(request) => return None,
            Err(_) => (grpc::UNKNOWN, None),
            Ok(response) => {
                let status = grpc::head_status(response)?;
                let headers = response.headers();
                if headers.contains_key(REASON_HEADER) && is_our_own(headers) {
                    return None;
                }
                let hint = self.hint::<E>(headers)?;
                match status {
                    grpc::UNAVAILABLE => {}
                    grpc::ABORTED | grpc::DEADLINE_EXCEEDED if self.is_idempotent::<E>(request) => {}
                    grpc::RESOURCE_EXHAUSTED if hint.is_some() && self.is_idempotent::<E>(request) => {}
                    _ => return None,
                }
                (status, hint)
            }
        };
        let wait = hint.unwrap_or_else(|| policy.backoff.delay(attempt - 1, &policy.rng));
        let until = request.extensions().get::<Deadline>();
        let in_time = until.is_none_or(|until| Instant::now() + wait < until.0);
        (wait <= policy.longest_wait && in_time && policy.budget.withdraw()).then_some((wait, status))
    }

    /// When the peer says to come again, if it says so; none where it says not to.
    fn hint<E>(&self, headers: &HeaderMap) -> Option<Option<Duration>>
    where
        C: Contract<E>,
    {
        if let Some(pushback) = headers.get("grpc-retry-pushback-ms") {
            // By gRPC's retry design, what is no number forbids it as a negative one does.
            let millis = pushback.to_str().ok().and_then(|text| text.parse::<u64>().ok())?;
            return Some(Some(Duration::from_millis(millis)));
        }
        let after = || {
            let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
            Some(Duration::from_secs(seconds))
        };
        Some(self.contract.retry_info(headers).or_else(after))
    }

    fn is_idempotent<E>(&self, request: &Request<()>) -> bool
    where
        C: Contract<E>,
    {
        self.contract.safety(request.uri().path()) != Safety::Unknown
    }
}

impl<S, C: Clone> Layer<S> for RetryLayer<C> {
    type Service = Retry<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        Retry { inner, layer: self.clone() }
    }
}

// === impl Retry ===

impl<S, C, A, B> Service<Request<Replay<A>>> for Retry<S, C>
where
    S: Service<Request<Replay<A>>, Response = Response<B>> + Clone,
    C: Contract<S::Error> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, C, S::Future, A>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Replay<A>>) -> Self::Future {
        self.layer.policy.budget.deposit();
        let kept = Kept::of(&request);
        let call = self.inner.call(request);
        // The first attempt takes the service that is ready; those that follow make theirs so.
        let service = self.inner.clone();
        let layer = self.layer.clone();
        let state = State::Calling { call };
        ResponseFuture { service, layer, kept, attempt: 1, state, body: PhantomData }
    }
}

// === impl ResponseFuture ===

impl<S, C, F, A, B> Future for ResponseFuture<S, C, F, A>
where
    S: Service<Request<Replay<A>>, Response = Response<B>, Future = F>,
    F: Future<Output = Result<S::Response, S::Error>>,
    C: Contract<S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                // ## Calling => (done | Waiting)
                StateProj::Calling { call } => {
                    let result = ready!(call.poll(cx));
                    let Some(kept) = this.kept else { return Poll::Ready(result) };
                    let Some((wait, status)) = this.layer.next(kept.head(), *this.attempt, &result) else {
                        return Poll::Ready(result);
                    };
                    *this.attempt += 1;
                    let (peer, attempt, wait_ms) =
                        (&*this.layer.policy.peer, *this.attempt, wait.as_millis());
                    tracing::info!(peer, attempt, after_status = status, wait_ms, "trying again");
                    let kept = kept.clone();
                    this.state.set(State::Waiting { wait: sleep(wait), kept });
                }

                // ## Waiting => Readying
                StateProj::Waiting { wait, kept } => {
                    ready!(wait.poll(cx));
                    let kept = kept.clone();
                    this.state.set(State::Readying { kept });
                }

                // ## Readying => Calling
                StateProj::Readying { kept } => {
                    if let Err(error) = ready!(this.service.poll_ready(cx)) {
                        return Poll::Ready(Err(error));
                    }
                    let mut request = kept.again();
                    prepare(&mut request, *this.attempt);
                    let call = this.service.call(request);
                    this.state.set(State::Calling { call });
                }
            }
        }
    }
}

/// Says in a further attempt how much time is left, and how many came before it.
fn prepare<A>(request: &mut Request<A>, attempt: u32) {
    if let Some(Deadline(until)) = request.extensions().get().copied() {
        deadline::tell(request.headers_mut(), until.saturating_duration_since(Instant::now()));
    }
    request.headers_mut().insert("grpc-previous-rpc-attempts", HeaderValue::from(attempt - 1));
}

/// Whether a layer of ours below has refused the call.
fn is_our_own(headers: &HeaderMap) -> bool {
    headers.get(REASON_HEADER).is_some_and(|reason| grpc::REFUSALS.iter().any(|ours| reason == ours))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Full;
    use tokio_test::{assert_pending, assert_ready, task};
    use tower_test::mock;

    use super::*;
    use crate::testing::{Frames, TestContract, answer};

    type Asked = Request<Replay<Full<Bytes>>>;
    type Peer = mock::Handle<Asked, Response<Frames>>;
    type Stack = mock::Spawn<Retry<mock::Mock<Asked, Response<Frames>>, TestContract>>;

    fn policy() -> RetryPolicy {
        RetryPolicy {
            peer: "peer".into(),
            attempts: 3,
            backoff: Backoff::try_new(Duration::from_secs(1), Duration::from_secs(30), 0.0).unwrap(),
            longest_wait: Duration::from_secs(30),
            budget: RetryBudget::default(),
            rng: Rng::seeded(1),
        }
    }

    fn stack(policy: RetryPolicy) -> (Stack, Peer) {
        let layer = RetryLayer::new(policy, TestContract);
        mock::spawn_with(|inner| layer.layer(inner))
    }

    fn request(path: &str) -> Asked {
        Request::post(path).body(Replay::new(Full::new(Bytes::from("message")))).unwrap()
    }

    /// Answers each attempt in turn; how many there were, how long they took, and what the caller got.
    async fn run(
        policy: RetryPolicy,
        request: Asked,
        answers: impl IntoIterator<Item = Response<Frames>>,
    ) -> (usize, Duration, Option<i32>) {
        let (mut service, mut peer) = stack(policy);
        let begun = Instant::now();
        assert_ready!(service.poll_ready()).unwrap();
        let call = tokio::spawn(service.call(request));
        let mut attempts = 0;
        for response in answers {
            let asked = tokio::time::timeout(Duration::from_secs(3600), peer.next_request()).await;
            let Some((seen, answer)) = asked.ok().flatten() else { break };
            attempts += 1;
            let told = seen
                .headers()
                .get("grpc-previous-rpc-attempts")
                .map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(told, (attempts > 1).then(|| (attempts - 1).to_string()));
            answer.send_response(response);
        }
        let got = call.await.unwrap().unwrap();
        (attempts, begun.elapsed().min(Duration::from_secs(3599)), grpc::status(got.headers()))
    }

    fn unavailable() -> Response<Frames> {
        answer(grpc::UNAVAILABLE, &[])
    }

    #[tokio::test(start_paused = true)]
    async fn it_waits_longer_each_time_and_gives_up() {
        let answers = std::iter::repeat_with(unavailable).take(3);
        let (attempts, took, got) = run(policy(), request("/a/Write"), answers).await;
        assert_eq!((attempts, took, got), (3, Duration::from_secs(3), Some(grpc::UNAVAILABLE)));
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_was_not_served_is_repeated_unless_the_method_may_be() {
        for status in 1..=16 {
            let repeats = |path| run(policy(), request(path), [answer(status, &[]), answer(0, &[])]);
            let is_repeated = repeats("/a/Write").await.0 == 2;
            assert_eq!(is_repeated, status == grpc::UNAVAILABLE, "{status}");
            let is_repeated = repeats("/a/Idempotent").await.0 == 2;
            let may_be = [grpc::UNAVAILABLE, grpc::ABORTED, grpc::DEADLINE_EXCEEDED].contains(&status);
            assert_eq!(is_repeated, may_be, "{status}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_peer_says_when_and_whether() {
        let first =
            |headers: &[(&'static str, &'static str)]| [answer(grpc::UNAVAILABLE, headers), answer(0, &[])];
        for (header, value, seconds) in
            [("grpc-retry-pushback-ms", "7000", 7), ("retry-after", "9", 9), ("test-retry-info", "11", 11)]
        {
            let (attempts, took, _) = run(policy(), request("/a/Write"), first(&[(header, value)])).await;
            assert_eq!((attempts, took), (2, Duration::from_secs(seconds)), "{header}");
        }
        for refused in ["-1", "soon", "31000"] {
            let answers = first(&[("grpc-retry-pushback-ms", refused)]);
            assert_eq!(run(policy(), request("/a/Write"), answers).await.0, 1, "{refused}");
        }
        let shed = |headers| [answer(grpc::RESOURCE_EXHAUSTED, headers), answer(0, &[])];
        assert_eq!(run(policy(), request("/a/Idempotent"), shed(&[("test-retry-info", "2")])).await.0, 2);
        assert_eq!(run(policy(), request("/a/Write"), shed(&[("test-retry-info", "2")])).await.0, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_is_never_passed_and_is_told_shorter_each_time() {
        let (mut service, mut peer) = stack(policy());
        let mut request = request("/a/Write");
        request.extensions_mut().insert(Deadline(Instant::now() + Duration::from_millis(2500)));
        assert_ready!(service.poll_ready()).unwrap();
        let mut call = task::spawn(service.call(request));
        assert_pending!(call.poll());
        peer.next_request().await.unwrap().1.send_response(unavailable());
        assert_pending!(call.poll());
        tokio::time::advance(Duration::from_millis(1001)).await;
        assert_pending!(call.poll());
        let (seen, again) = peer.next_request().await.unwrap();
        assert_eq!(deadline::asked(seen.headers()).unwrap().as_millis(), 1499);
        again.send_response(unavailable());
        assert!(assert_ready!(call.poll()).is_ok(), "a wait of two seconds would pass it");
    }

    #[tokio::test(start_paused = true)]
    async fn a_spent_budget_and_our_own_layers_pass_failures_on_at_once() {
        let spent = RetryPolicy { budget: RetryBudget::new(0, 0), ..policy() };
        assert_eq!(run(spent, request("/a/Write"), [unavailable(), unavailable()]).await.0, 1);
        let refusal = grpc::Refusal { status: grpc::UNAVAILABLE, reason: grpc::BREAKER_OPEN, message: "" };
        let refused = grpc::refuse(refusal, Some(Duration::from_secs(1)));
        assert_eq!(run(policy(), request("/a/Write"), [refused, unavailable()]).await.0, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_was_given_up_is_not_tried_again() {
        let (mut service, mut peer) = stack(policy());
        assert_ready!(service.poll_ready()).unwrap();
        let mut call = task::spawn(service.call(request("/a/Write")));
        assert_pending!(call.poll());
        peer.next_request().await.unwrap().1.send_response(unavailable());
        assert_pending!(call.poll());
        drop(call);
        drop(service);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(peer.next_request().await.is_none());
    }
}
