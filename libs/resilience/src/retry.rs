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

#[cfg(test)]
mod tests;

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response};
use pathway_kernel::{Backoff, Clock, Rng};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};
use tower::{Layer, Service};

use crate::deadline::{self, Deadline};
use crate::replay::{Kept, Replay};
use crate::{Contract, REASON_HEADER, RetryBudget, Safety, grpc, retry_after};

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
    /// For dates at which a peer wants to be asked again.
    pub clock: Clock,
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
        // None where it cannot be sent again, or is not to be: then nothing is copied.
        again: Option<Again<S, C>>,
        attempt: u32,
        #[pin]
        state: State<F>,
        body: PhantomData<fn() -> A>,
    }
}

/// What a further attempt takes.
#[derive(Debug)]
struct Again<S, C> {
    service: S,
    layer: RetryLayer<C>,
    kept: Kept,
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Calling { #[pin] call: F },
        Waiting { #[pin] wait: Sleep },
        Readying,
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
        let after = || retry_after(headers, self.policy.clock.now_us());
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
        let kept = if self.layer.policy.attempts > 1 { Kept::of(&request) } else { None };
        let call = self.inner.call(request);
        // The first attempt takes the service that is ready; those that follow make theirs so.
        let again = kept.map(|kept| Again { service: self.inner.clone(), layer: self.layer.clone(), kept });
        ResponseFuture { again, attempt: 1, state: State::Calling { call }, body: PhantomData }
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
                    let Some(again) = this.again else { return Poll::Ready(result) };
                    let next = again.layer.next(again.kept.head(), *this.attempt, &result);
                    let Some((wait, status)) = next else { return Poll::Ready(result) };
                    *this.attempt += 1;
                    let (peer, attempt, wait_ms) =
                        (&*again.layer.policy.peer, *this.attempt, wait.as_millis());
                    tracing::info!(peer, attempt, after_status = status, wait_ms, "trying again");
                    this.state.set(State::Waiting { wait: sleep(wait) });
                }

                // ## Waiting => Readying
                StateProj::Waiting { wait } => {
                    ready!(wait.poll(cx));
                    this.state.set(State::Readying);
                }

                // ## Readying => Calling
                StateProj::Readying => {
                    // Only what can be sent again has come here, and it is not taken away.
                    let Some(Again { service, kept, .. }) = this.again else { return Poll::Pending };
                    if let Err(error) = ready!(service.poll_ready(cx)) {
                        return Poll::Ready(Err(error));
                    }
                    let mut request = kept.again();
                    prepare(&mut request, *this.attempt);
                    let call = service.call(request);
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
