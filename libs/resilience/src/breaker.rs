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
//! `docs/performance.md` has what a call costs.

mod config;
mod machine;
#[cfg(test)]
mod model;
mod status;
#[cfg(test)]
mod tests;
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
pub use status::{BreakerAction, BreakerState, BreakerStatus, BreakerTotals, Cause, Transition};

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
