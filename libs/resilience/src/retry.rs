//! Trying again.
//!
//! # Why around the typed call
//! A request's body is a stream and cannot be sent twice; the message that it was made of can be cloned. So this is a function, not a layer.
//!
//! # Why a budget
//! Three attempts each, when everything fails, are three times the load on a peer that is down. The budget lets a share of the calls be
//! repeats; when it is spent, failures are passed on at once.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pathway_kernel::{Backoff, Code, Fault, Rng};
use tokio::time::Instant;

/// How often and when to try again.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// Attempts in all; at least 1.
    pub attempts: u32,
    /// The wait between them.
    pub backoff: Backoff,
    /// Shared by the calls to one peer.
    pub budget: RetryBudget,
}

/// Tokens that repeats cost and successes earn; cheap to clone.
#[derive(Debug, Clone)]
pub struct RetryBudget(Arc<Mutex<u32>>);

/// A repeat costs this many tokens, a success earns one: one call in ten may be a repeat in the long run.
const COST: u32 = 10;
/// What the budget starts with and never exceeds: a burst of fifty repeats.
const LARGEST: u32 = 500;

// === impl RetryPolicy ===

impl Default for RetryPolicy {
    /// The mesh's: 3 attempts, 1 s doubling to 30 s.
    fn default() -> Self {
        Self { attempts: 3, backoff: Backoff::default(), budget: RetryBudget::default() }
    }
}

// === impl RetryBudget ===

impl RetryBudget {
    fn earn(&self) {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *tokens = (*tokens + 1).min(LARGEST);
    }

    fn spend(&self) -> bool {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.checked_sub(COST).map(|left| *tokens = left).is_some()
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(LARGEST)))
    }
}

/// Calls, and calls again where the failure is UNAVAILABLE: the one that says the call was not served. Only for calls that may be repeated.
/// A hint of the peer's when to come back is honoured; a wait that would pass `deadline` is not begun.
///
/// # Errors
/// The last attempt's.
pub async fn retry<T, F>(
    policy: &RetryPolicy,
    rng: &Rng,
    deadline: Option<Instant>,
    mut call: impl FnMut() -> F,
) -> Result<T, Fault>
where
    F: Future<Output = Result<T, Fault>>,
{
    let mut repeats = 0;
    loop {
        let fault = match call().await {
            Ok(answer) => {
                policy.budget.earn();
                return Ok(answer);
            }
            Err(fault) => fault,
        };
        let wait: Duration = fault.retry_after().unwrap_or_else(|| policy.backoff.delay(repeats, rng));
        repeats += 1;
        let in_time = deadline.is_none_or(|deadline| Instant::now() + wait < deadline);
        if fault.code() != Code::Unavailable
            || repeats >= policy.attempts
            || !in_time
            || !policy.budget.spend()
        {
            return Err(fault);
        }
        tokio::time::sleep(wait).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RetryPolicy {
        let backoff = Backoff::try_new(Duration::from_secs(1), Duration::from_secs(30), 0.0).unwrap();
        RetryPolicy { backoff, ..RetryPolicy::default() }
    }

    async fn run(policy: &RetryPolicy, deadline: Option<Instant>, code: Code) -> (u32, Duration) {
        let (mut calls, begun) = (0, Instant::now());
        let result: Result<(), Fault> = retry(policy, &Rng::seeded(1), deadline, || {
            calls += 1;
            async move { Err(Fault::new(code, "TEST", "no")) }
        })
        .await;
        assert!(result.is_err());
        (calls, begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn it_waits_longer_each_time_and_gives_up() {
        assert_eq!(run(&policy(), None, Code::Unavailable).await, (3, Duration::from_secs(3)));
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_call_that_was_not_served_is_repeated() {
        for code in Code::ALL.into_iter().filter(|code| *code != Code::Unavailable) {
            assert_eq!(run(&policy(), None, code).await.0, 1, "{code:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_is_never_passed() {
        let deadline = Instant::now() + Duration::from_millis(1500);
        assert_eq!(run(&policy(), Some(deadline), Code::Unavailable).await, (2, Duration::from_secs(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_spent_budget_passes_failures_on_at_once() {
        let policy = policy();
        while policy.budget.spend() {}
        assert_eq!(run(&policy, None, Code::Unavailable).await.0, 1);
    }
}
