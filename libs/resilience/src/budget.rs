//! What may be done again.
//!
//! # Why a budget and not only a number of attempts
//! Three attempts each, when everything fails, are three times the load on a peer that is down, and nine times where its caller tries again too. The budget lets a share of the calls
//! be repeats, and a few more in each second, so that a caller who asks seldom may try again at all. When it is spent, failures are passed on at once.
//!
//! # Why not tower's
//! `tower::retry::budget::TpsBudget` has the same rule and the essay that argues it. It panics on a setting that it does not like, steps through an idle day slot by
//! slot under its lock, and counts in whole repeats of a ratio, so that 0.3 is a third. Tokens in thousandths, filled by time, are fewer lines than working around that.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

/// What the calls to one target may do again; cheap to clone.
#[derive(Debug, Clone)]
pub struct RetryBudget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// What a call adds, in thousandths of a repeat.
    per_call: u64,
    /// What a second adds, in thousandths of a repeat.
    per_second: u64,
    tokens: Mutex<Tokens>,
}

#[derive(Debug)]
struct Tokens {
    /// In thousandths of a repeat.
    left: u64,
    filled: Instant,
}

/// What a repeat costs.
const REPEAT: u64 = 1000;
/// The most repeats that can be saved up.
const MOST: u64 = 100 * REPEAT;

// === impl RetryBudget ===

impl RetryBudget {
    /// `percent` of the calls may be repeats, and `floor` repeats a second whatever the calls.
    #[must_use]
    pub fn new(percent: u32, floor: u32) -> Self {
        let (per_call, per_second) = (u64::from(percent) * (REPEAT / 100), u64::from(floor) * REPEAT);
        // A second's worth to begin with.
        let tokens = Tokens { left: per_second.min(MOST), filled: Instant::now() };
        Self(Arc::new(Shared { per_call, per_second, tokens: Mutex::new(tokens) }))
    }

    /// A call is made.
    pub fn deposit(&self) {
        let mut tokens = self.0.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.left = (tokens.left + self.0.per_call).min(MOST);
    }

    /// Takes a repeat, where there is one.
    #[must_use]
    pub fn withdraw(&self) -> bool {
        let now = Instant::now();
        let mut tokens = self.0.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(tokens.filled);
        let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        let by_time = millis.saturating_mul(self.0.per_second) / 1000;
        if by_time > 0 {
            tokens.left = tokens.left.saturating_add(by_time).min(MOST);
            tokens.filled = now;
        }
        tokens.left.checked_sub(REPEAT).map(|left| tokens.left = left).is_some()
    }
}

impl Default for RetryBudget {
    /// A fifth of the calls, and 10 a second.
    fn default() -> Self {
        Self::new(20, 10)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn spend(budget: &RetryBudget) -> usize {
        std::iter::repeat_with(|| budget.withdraw()).take_while(|is_there| *is_there).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_share_of_the_calls_may_be_repeats() {
        let budget = RetryBudget::new(20, 0);
        assert_eq!(spend(&budget), 0);
        (0..50).for_each(|_| budget.deposit());
        assert_eq!(spend(&budget), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn some_repeats_are_given_by_time_alone_and_not_saved_up_for_ever() {
        let budget = RetryBudget::new(0, 10);
        assert_eq!(spend(&budget), 10);
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(spend(&budget), 5);
        tokio::time::advance(Duration::from_secs(86_400)).await;
        assert_eq!(spend(&budget), 100);
    }
}
