//! The breaker itself: when a peer is asked.
//!
//! It opens after a number of consecutive failures, so that callers get their answer at once and the peer gets a rest. After a while it lets a
//! few probes through; enough good ones close it, a bad one opens it again, for twice as long. Most outages are a restart, and a rest that were
//! always as long as a dead peer deserves would make a second's outage last a quarter of a minute; so the rest grows with the outage.
//!
//! Every admission carries the generation in which it was made. A call that was admitted before the breaker opened may end long after; its
//! outcome belongs to a time that is over and is ignored.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::body::Verdict;
use crate::grpc;

/// When a breaker opens and closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerConfig {
    /// Consecutive failures that open it; at least 1.
    pub failures: u32,
    /// How long it stays open before its first probes; doubled each time that they fail.
    pub open_first: Duration,
    /// The longest that it stays open before it probes.
    pub open_for: Duration,
    /// Good probes that close it, and how many may be under way at once; at least 1.
    pub probes: u32,
}

/// What a breaker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Every call is admitted.
    Closed,
    /// No call is admitted.
    Open,
    /// A few calls are admitted to see how the peer is.
    HalfOpen,
}

/// The breaker of one peer; cheap to clone.
#[derive(Debug, Clone)]
pub struct Breaker {
    name: Arc<str>,
    config: BreakerConfig,
    inner: Arc<Mutex<Inner>>,
}

/// A call that was admitted. Dropped without a verdict it was cancelled, which says nothing about the peer and frees its place.
#[derive(Debug)]
pub struct Admission {
    breaker: Breaker,
    generation: u64,
    told: bool,
}

#[derive(Debug)]
struct Inner {
    generation: u64,
    state: State,
    /// How often it has opened since it was last closed.
    openings: u32,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    HalfOpen { under_way: u32, good: u32 },
}

/// How long a caller waits for the outcome of probes that are not its own.
const PROBE_TAKES: Duration = Duration::from_millis(100);

// === impl BreakerConfig ===

impl Default for BreakerConfig {
    /// A mesh peer's: 10 failures, half a second to 15 s, 3 probes.
    fn default() -> Self {
        Self {
            failures: 10,
            open_first: Duration::from_millis(500),
            open_for: Duration::from_secs(15),
            probes: 3,
        }
    }
}

// === impl Breaker ===

impl Breaker {
    /// A closed breaker for the peer `name`.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, config: BreakerConfig) -> Self {
        let config =
            BreakerConfig { failures: config.failures.max(1), probes: config.probes.max(1), ..config };
        let inner = Inner { generation: 0, state: State::Closed { failures: 0 }, openings: 0 };
        Self { name: name.into(), config, inner: Arc::new(Mutex::new(inner)) }
    }

    /// What it is doing.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        match self.lock().state {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Admits a call, or answers how long to wait before another try. A call that is under way when the breaker opens is not counted.
    ///
    /// # Errors
    /// Where it does not admit it: how long to wait.
    pub fn admit(&self) -> Result<Admission, Duration> {
        let mut inner = self.lock();
        match inner.state {
            State::Closed { .. } => {}

            // ## Open => (Open | HalfOpen)
            State::Open { until } => {
                let left = until.saturating_duration_since(Instant::now());
                if !left.is_zero() {
                    return Err(left);
                }
                self.enter(&mut inner, State::HalfOpen { under_way: 1, good: 0 });
            }

            State::HalfOpen { under_way, good } => {
                if under_way + good >= self.config.probes {
                    // The probes under way decide, which takes as long as a call.
                    return Err(PROBE_TAKES);
                }
                inner.state = State::HalfOpen { under_way: under_way + 1, good };
            }
        }
        Ok(Admission { breaker: self.clone(), generation: inner.generation, told: false })
    }

    fn settle(&self, generation: u64, verdict: Option<bool>) {
        let mut inner = self.lock();
        if inner.generation != generation {
            return;
        }
        match (inner.state, verdict) {
            // ## Closed => Closed
            (State::Closed { .. }, Some(true)) => inner.state = State::Closed { failures: 0 },
            (State::Closed { failures }, Some(false)) if failures + 1 < self.config.failures => {
                inner.state = State::Closed { failures: failures + 1 };
            }
            // ## (Closed | HalfOpen) => Open
            (State::Closed { .. } | State::HalfOpen { .. }, Some(false)) => self.open(&mut inner),

            // ## HalfOpen => (HalfOpen | Closed)
            (State::HalfOpen { good, .. }, Some(true)) if good + 1 >= self.config.probes => {
                self.enter(&mut inner, State::Closed { failures: 0 });
            }
            (State::HalfOpen { under_way, good }, Some(true)) => {
                inner.state = State::HalfOpen { under_way: under_way.saturating_sub(1), good: good + 1 };
            }
            (State::HalfOpen { under_way, good }, None) => {
                inner.state = State::HalfOpen { under_way: under_way.saturating_sub(1), good };
            }

            (State::Closed { .. }, None) | (State::Open { .. }, _) => {}
        }
    }

    fn open(&self, inner: &mut Inner) {
        let doubled = self.config.open_first.saturating_mul(2_u32.saturating_pow(inner.openings));
        let until = Instant::now() + doubled.min(self.config.open_for);
        inner.openings = inner.openings.saturating_add(1);
        self.enter(inner, State::Open { until });
    }

    fn enter(&self, inner: &mut Inner, state: State) {
        inner.generation += 1;
        inner.state = state;
        if matches!(state, State::Closed { .. }) {
            inner.openings = 0;
        }
        let state = match state {
            State::Closed { .. } => "closed",
            State::Open { .. } => "open",
            State::HalfOpen { .. } => "half-open",
        };
        tracing::warn!(peer = &*self.name, state, "circuit breaker changed");
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Admission ===

impl Admission {
    /// Says how the call went. A caller's mistake is no failure of the peer.
    pub fn settle(mut self, went_well: bool) {
        self.told = true;
        self.breaker.settle(self.generation, Some(went_well));
    }
}

impl Verdict for Admission {
    fn tell(self, failed: Option<i32>) {
        self.settle(!failed.is_some_and(grpc::is_failure));
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if !self.told {
            self.breaker.settle(self.generation, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: BreakerConfig = BreakerConfig {
        failures: 3,
        open_first: Duration::from_secs(4),
        open_for: Duration::from_secs(15),
        probes: 2,
    };

    fn fail(breaker: &Breaker) {
        breaker.admit().unwrap().tell(Some(grpc::UNAVAILABLE));
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_consecutive_failures_and_closes_after_good_probes() {
        let breaker = Breaker::new("peer", CONFIG);
        fail(&breaker);
        fail(&breaker);
        breaker.admit().unwrap().tell(None);
        fail(&breaker);
        fail(&breaker);
        assert_eq!(breaker.state(), BreakerState::Closed, "a success between them starts the count anew");
        fail(&breaker);
        assert_eq!(breaker.state(), BreakerState::Open);
        assert_eq!(breaker.admit().unwrap_err(), Duration::from_secs(4));

        tokio::time::advance(Duration::from_secs(4)).await;
        let (first, second) = (breaker.admit().unwrap(), breaker.admit().unwrap());
        assert!(breaker.admit().is_err(), "probes are bounded");
        first.tell(None);
        second.tell(None);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_bad_probe_opens_it_again_and_a_dropped_one_frees_its_place() {
        let breaker = Breaker::new("peer", CONFIG);
        (0..3).for_each(|_| fail(&breaker));
        tokio::time::advance(Duration::from_secs(15)).await;
        drop((breaker.admit().unwrap(), breaker.admit().unwrap()));
        fail(&breaker);
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[tokio::test(start_paused = true)]
    async fn its_rest_grows_with_the_outage_and_is_short_again_after_it() {
        let breaker = Breaker::new("peer", CONFIG);
        (0..3).for_each(|_| fail(&breaker));
        for rest in [4, 8, 15, 15] {
            assert_eq!(breaker.admit().unwrap_err(), Duration::from_secs(rest));
            tokio::time::advance(Duration::from_secs(rest)).await;
            fail(&breaker);
        }
        tokio::time::advance(Duration::from_secs(15)).await;
        (0..2).for_each(|_| breaker.admit().unwrap().tell(None));
        assert_eq!(breaker.state(), BreakerState::Closed);
        (0..3).for_each(|_| fail(&breaker));
        assert_eq!(breaker.admit().unwrap_err(), Duration::from_secs(4));
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_outcome_is_ignored() {
        let breaker = Breaker::new("peer", CONFIG);
        let late = breaker.admit().unwrap();
        (0..3).for_each(|_| fail(&breaker));
        tokio::time::advance(Duration::from_secs(15)).await;
        let probe = breaker.admit().unwrap();
        late.tell(Some(grpc::UNAVAILABLE));
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        probe.tell(None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_callers_mistake_is_no_failure() {
        let breaker = Breaker::new("peer", CONFIG);
        for _ in 0..10 {
            breaker.admit().unwrap().tell(Some(3));
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
    }
}
