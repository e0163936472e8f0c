//! The breaker itself: when a peer is asked.
//!
//! It opens after a number of consecutive failures, or where the share of failures or of slow calls among the last ones is too high, so that callers get their
//! answer at once and the peer gets a rest. After a while it lets a few probes through; enough good ones close it, a bad one opens it again, for twice as
//! long. Most outages are a restart, and a rest that were always as long as a dead peer deserves would make a second's outage last a quarter of a
//! minute; so the rest grows with the outage. An operator can trip it, reset it and switch it off.
//!
//! Every admission carries the generation in which it was made. A call that was admitted before the breaker opened may end long after; its
//! outcome belongs to a time that is over and is ignored.
//!
//! # Why both a count and rates
//! A peer that is dead fails every call: ten in a row say so within a moment, at any traffic. A peer that is half dead fails every second one and never ten in a
//! row; only a rate sees it, and a rate of three calls is an accident. So each has the other's blind spot, and a minimum of calls.
//!
//! # Why a lock and not atomics
//! A verdict moves a count, a ring of buckets and perhaps the state, together. Packed into one word they would fit with bounds that nobody can read in the code;
//! apart they need an order that only a model checker believes. The lock is held for some tens of nanoseconds and never across anything that waits;
//! `docs/reliability.md` has what a call costs.

mod config;
mod machine;
#[cfg(test)]
mod model;
mod window;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pathway_kernel::Clock;
use tokio::sync::broadcast;
use tokio::time::Instant;

use crate::body::Verdict;
use crate::grpc;
pub use config::{BreakerConfig, WindowConfig};
use machine::{Change, Machine, Outcome};

/// What a breaker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// Every call is admitted.
    Closed,
    /// No call is admitted, until it has rested.
    Open,
    /// A few calls are admitted to see how the peer is.
    HalfOpen,
    /// No call is admitted, until an operator says otherwise.
    Tripped,
    /// Every call is admitted, whatever comes of it, until an operator says otherwise.
    Disabled,
}

/// Why a breaker is in its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// It has been so since it was made.
    Started,
    /// So many calls in a row have failed.
    ConsecutiveFailures,
    /// Too large a share of the last calls has failed.
    FailureRate,
    /// Too large a share of the last calls was slow.
    SlowRate,
    /// It has rested, and probes.
    Rested,
    /// A probe has failed, or was slow where that counts.
    ProbeFailed,
    /// Enough probes have succeeded.
    ProbesSucceeded,
    /// An operator has said so.
    Operator,
}

/// What an operator can say to a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerAction {
    /// Admit no call from now on.
    Trip,
    /// Forget what was counted, and be closed. One that is switched off stays so.
    Reset,
    /// Admit every call from now on.
    Disable,
    /// End being switched off: be closed, and count anew.
    Enable,
}

/// What has become of a breaker's calls since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BreakerTotals {
    /// Calls that went well, a caller's mistakes included.
    pub good: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Calls that nobody waited for any more.
    pub cancelled: u64,
    /// Of all these, the slow ones.
    pub slow: u64,
    /// Calls that were not admitted.
    pub refused: u64,
    /// How often it has opened by itself.
    pub opened: u64,
}

/// A breaker at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerStatus {
    /// What it guards.
    pub target: Arc<str>,
    /// What it is doing.
    pub state: BreakerState,
    /// Since when, in microseconds since the Unix epoch.
    pub since_us: i64,
    /// Why.
    pub cause: Cause,
    /// Calls in the window.
    pub calls: u32,
    /// Of those, failed.
    pub failed: u32,
    /// Of those, slow.
    pub slow: u32,
    /// Failures since the last success.
    pub consecutive_failures: u32,
    /// How long it will refuse calls, where that is known.
    pub rests_for: Option<Duration>,
    /// Since it was made.
    pub totals: BreakerTotals,
    /// When it opens and closes.
    pub config: BreakerConfig,
}

/// A breaker that has changed, as it stood right after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// What it was doing before.
    pub from: BreakerState,
    /// What it is doing now, and why.
    pub status: BreakerStatus,
}

/// The breaker of one target; cheap to clone.
#[derive(Debug, Clone)]
pub struct Breaker(pub(crate) Arc<Core>);

/// A call that was admitted. Dropped without a verdict it was cancelled, which frees its place and says nothing about the peer, unless it took long.
#[derive(Debug)]
pub struct Admission {
    breaker: Breaker,
    generation: u64,
    begun: Instant,
    /// How long it took, where that is known before it ends.
    took: Option<Duration>,
    told: bool,
}

#[derive(Debug)]
pub(crate) struct Core {
    target: Arc<str>,
    config: BreakerConfig,
    clock: Clock,
    transitions: broadcast::Sender<Transition>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    machine: Machine,
    since_us: i64,
}

// === impl Breaker ===

impl Breaker {
    /// A closed breaker that stands alone; [`Breakers::breaker`](crate::Breakers::breaker) makes one that an operator sees.
    #[must_use]
    pub fn new(target: impl Into<Arc<str>>, config: BreakerConfig) -> Self {
        Self::told_to(target.into(), config, Clock::system(), broadcast::Sender::new(1))
    }

    pub(crate) fn told_to(
        target: Arc<str>,
        config: BreakerConfig,
        clock: Clock,
        transitions: broadcast::Sender<Transition>,
    ) -> Self {
        let machine = Machine::new(config, Instant::now());
        let inner = Mutex::new(Inner { machine, since_us: clock.now_us() });
        Self(Arc::new(Core { target, config, clock, transitions, inner }))
    }

    /// What it guards.
    #[must_use]
    pub fn target(&self) -> &Arc<str> {
        &self.0.target
    }

    /// When it opens and closes, as it was made with.
    #[must_use]
    pub fn config(&self) -> &BreakerConfig {
        &self.0.config
    }

    /// What it is doing.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        self.lock().machine.state()
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> BreakerStatus {
        self.status_of(&mut self.lock())
    }

    /// Admits a call, or answers how long to wait before another try. A call that is under way when the breaker opens is not counted.
    ///
    /// # Errors
    /// Where it does not admit it: how long to wait.
    pub fn admit(&self) -> Result<Admission, Duration> {
        let begun = Instant::now();
        let mut inner = self.lock();
        let (admitted, change) = inner.machine.admit(begun);
        self.tell(inner, change);
        let generation = admitted?;
        Ok(Admission { breaker: self.clone(), generation, begun, took: None, told: false })
    }

    /// Does what an operator says; answers how it stands after that.
    pub fn act(&self, action: BreakerAction) -> BreakerStatus {
        let mut inner = self.lock();
        let change = inner.machine.act(action);
        self.tell(inner, change);
        self.status()
    }

    fn settle(&self, admission: &Admission, outcome: Outcome) {
        let now = Instant::now();
        let took = admission.took.unwrap_or_else(|| now.saturating_duration_since(admission.begun));
        let mut inner = self.lock();
        let change = inner.machine.settle(now, admission.generation, outcome, took);
        self.tell(inner, change);
    }

    /// Tells those who watch, in the order of the transitions, and the log.
    fn tell(&self, mut inner: MutexGuard<'_, Inner>, change: Option<Change>) {
        let Some(Change { from, to, cause }) = change else { return };
        inner.since_us = self.0.clock.now_us();
        let status = self.status_of(&mut inner);
        let (calls, failed, slow) = (status.calls, status.failed, status.slow);
        // Nobody may be watching.
        let _ = self.0.transitions.send(Transition { from, status });
        drop(inner);
        let (peer, from, cause) = (&*self.0.target, from.name(), cause.name());
        match to {
            BreakerState::Open | BreakerState::Tripped => {
                tracing::warn!(
                    peer,
                    from,
                    to = to.name(),
                    cause,
                    calls,
                    failed,
                    slow,
                    "circuit breaker changed"
                );
            }
            BreakerState::Closed | BreakerState::HalfOpen | BreakerState::Disabled => {
                tracing::info!(
                    peer,
                    from,
                    to = to.name(),
                    cause,
                    calls,
                    failed,
                    slow,
                    "circuit breaker changed"
                );
            }
        }
    }

    fn status_of(&self, inner: &mut Inner) -> BreakerStatus {
        let (now, machine) = (Instant::now(), &mut inner.machine);
        let counts = machine.counts(now);
        BreakerStatus {
            target: Arc::clone(&self.0.target),
            state: machine.state(),
            since_us: inner.since_us,
            cause: machine.cause(),
            calls: counts.calls,
            failed: counts.failed,
            slow: counts.slow,
            consecutive_failures: machine.consecutive(),
            rests_for: machine.rests_for(now),
            totals: machine.totals(),
            config: machine.config(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl BreakerState ===

impl BreakerState {
    /// Its name, as logs and metrics have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
            Self::Tripped => "tripped",
            Self::Disabled => "disabled",
        }
    }
}

// === impl Cause ===

impl Cause {
    /// Its name, as logs and metrics have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::ConsecutiveFailures => "consecutive failures",
            Self::FailureRate => "failure rate",
            Self::SlowRate => "slow rate",
            Self::Rested => "rested",
            Self::ProbeFailed => "probe failed",
            Self::ProbesSucceeded => "probes succeeded",
            Self::Operator => "operator",
        }
    }
}

// === impl Admission ===

impl Admission {
    /// Says how the call went. A caller's mistake is no failure of the peer.
    pub fn settle(mut self, went_well: bool) {
        self.told = true;
        self.breaker.settle(&self, if went_well { Outcome::Good } else { Outcome::Failed });
    }

    /// Says that the peer has answered, although the outcome is not known yet: a stream that has little to say is not slow.
    pub(crate) fn stop_clock(&mut self) {
        self.took = Some(self.begun.elapsed());
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
            self.breaker.settle(self, Outcome::Cancelled);
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
        window: WindowConfig::OFF,
    };
    const RATES: BreakerConfig = BreakerConfig {
        failures: 0,
        window: WindowConfig {
            span: Duration::from_secs(10),
            calls: 4,
            failure_percent: 50,
            slow_percent: 75,
            slow_after: Duration::from_secs(1),
        },
        ..CONFIG
    };

    fn fail(breaker: &Breaker) {
        breaker.admit().unwrap().tell(Some(grpc::UNAVAILABLE));
    }

    fn succeed(breaker: &Breaker) {
        breaker.admit().unwrap().tell(None);
    }

    async fn succeed_slowly(breaker: &Breaker) {
        let admission = breaker.admit().unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        admission.tell(None);
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_consecutive_failures_and_closes_after_good_probes() {
        let breaker = Breaker::new("peer", CONFIG);
        fail(&breaker);
        fail(&breaker);
        succeed(&breaker);
        fail(&breaker);
        fail(&breaker);
        assert_eq!(breaker.state(), BreakerState::Closed, "a success between them starts the count anew");
        fail(&breaker);
        assert_eq!(breaker.state(), BreakerState::Open);
        assert_eq!(breaker.status().cause, Cause::ConsecutiveFailures);
        assert_eq!(breaker.admit().unwrap_err(), Duration::from_secs(4));

        tokio::time::advance(Duration::from_secs(4)).await;
        let (first, second) = (breaker.admit().unwrap(), breaker.admit().unwrap());
        assert!(breaker.admit().is_err(), "probes are bounded");
        first.tell(None);
        second.tell(None);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_opens_it_once_there_are_enough_calls() {
        let breaker = Breaker::new("peer", RATES);
        fail(&breaker);
        succeed(&breaker);
        fail(&breaker);
        assert_eq!(breaker.state(), BreakerState::Closed, "two of three say nothing yet");
        fail(&breaker);
        let status = breaker.status();
        assert_eq!((status.state, status.cause), (BreakerState::Open, Cause::FailureRate));
        assert_eq!((status.calls, status.failed), (4, 3), "what opened it can be read");
    }

    #[tokio::test(start_paused = true)]
    async fn failures_that_are_long_ago_open_nothing() {
        let breaker = Breaker::new("peer", RATES);
        (0..3).for_each(|_| fail(&breaker));
        tokio::time::advance(Duration::from_secs(10)).await;
        fail(&breaker);
        assert_eq!((breaker.state(), breaker.status().calls), (BreakerState::Closed, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn slow_calls_open_it_and_a_slow_probe_keeps_it_open() {
        let breaker = Breaker::new("peer", RATES);
        for _ in 0..4 {
            succeed_slowly(&breaker).await;
        }
        assert_eq!(breaker.status().cause, Cause::SlowRate);
        tokio::time::advance(Duration::from_secs(4)).await;
        succeed_slowly(&breaker).await;
        assert_eq!((breaker.state(), breaker.status().cause), (BreakerState::Open, Cause::ProbeFailed));
    }

    #[tokio::test(start_paused = true)]
    async fn patience_that_ends_late_counts_as_slow() {
        let breaker = Breaker::new("peer", RATES);
        for _ in 0..3 {
            let admission = breaker.admit().unwrap();
            tokio::time::advance(Duration::from_secs(1)).await;
            drop(admission);
            drop(breaker.admit().unwrap());
        }
        let status = breaker.status();
        assert_eq!(
            (status.calls, status.slow, status.totals.cancelled),
            (3, 3, 6),
            "those given up at once do not count"
        );
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
    async fn a_probe_that_takes_long_does_not_hold_up_those_that_can_tell() {
        let breaker = Breaker::new("peer", CONFIG);
        (0..3).for_each(|_| fail(&breaker));
        tokio::time::advance(Duration::from_secs(15)).await;
        let _hangs = breaker.admit().unwrap();
        succeed(&breaker);
        succeed(&breaker);
        assert_eq!(breaker.state(), BreakerState::Closed);
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
        (0..2).for_each(|_| succeed(&breaker));
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

    #[tokio::test(start_paused = true)]
    async fn an_operators_word_holds_until_the_next_one() {
        let breaker = Breaker::new("peer", CONFIG);
        breaker.act(BreakerAction::Trip);
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert!(breaker.admit().is_err(), "it does not probe by itself");
        assert_eq!(breaker.act(BreakerAction::Enable).state, BreakerState::Tripped);
        assert_eq!(breaker.act(BreakerAction::Reset).state, BreakerState::Closed);

        breaker.act(BreakerAction::Disable);
        (0..10).for_each(|_| fail(&breaker));
        let status = breaker.act(BreakerAction::Reset);
        assert_eq!((status.state, status.calls), (BreakerState::Disabled, 0));
        assert_eq!(breaker.act(BreakerAction::Enable).state, BreakerState::Closed);
        (0..3).for_each(|_| fail(&breaker));
        assert_eq!(breaker.state(), BreakerState::Open, "it counts again");
    }
}
