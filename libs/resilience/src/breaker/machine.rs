//! What a breaker decides: a state machine without lock, clock or log, so that a test can lead it through any history.

use std::time::Duration;

use tokio::time::Instant;

use super::window::{Counts, Window};
use super::{BreakerAction, BreakerConfig, BreakerState, BreakerTotals, Cause};

/// The machine.
#[derive(Debug)]
pub(crate) struct Machine {
    config: BreakerConfig,
    /// Counts the transitions: an outcome counts in the generation in which its call was admitted.
    generation: u64,
    state: State,
    cause: Cause,
    /// Failures since the last success.
    consecutive: u32,
    /// How often it has opened since it was last closed.
    openings: u32,
    window: Window,
    totals: BreakerTotals,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed,
    Open { until: Instant },
    HalfOpen { under_way: u32, good: u32 },
    Tripped,
    Disabled,
}

/// How a call that was admitted went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Good,
    Failed,
    /// Nobody waited for it any more.
    Cancelled,
}

/// A transition that has been made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) from: BreakerState,
    pub(crate) to: BreakerState,
    pub(crate) cause: Cause,
}

/// How long a caller waits for the outcome of probes that are not its own.
pub(crate) const PROBE_TAKES: Duration = Duration::from_millis(100);
/// How long a caller is told to wait for an operator.
pub(crate) const OPERATOR_TAKES: Duration = Duration::from_secs(15);

// === impl Machine ===

impl Machine {
    pub(crate) fn new(config: BreakerConfig, now: Instant) -> Self {
        let mut config = BreakerConfig { probes: config.probes.max(1), ..config };
        config.window.calls = config.window.calls.max(1);
        Self {
            config,
            generation: 0,
            state: State::Closed,
            cause: Cause::Started,
            consecutive: 0,
            openings: 0,
            window: Window::new(config.window.span, now),
            totals: BreakerTotals::default(),
        }
    }

    /// Admits a call of the generation that is answered, or answers how long to wait before another try.
    pub(crate) fn admit(&mut self, now: Instant) -> (Result<u64, Duration>, Option<Change>) {
        let mut change = None;
        let refused = match self.state {
            State::Closed | State::Disabled => None,

            // ## Open => (Open | HalfOpen)
            State::Open { until } => {
                let left = until.saturating_duration_since(now);
                if left.is_zero() {
                    change = Some(self.enter(State::HalfOpen { under_way: 1, good: 0 }, Cause::Rested));
                    None
                } else {
                    Some(left)
                }
            }

            // The probes under way decide, which takes as long as a call. A good one makes room for another, so that a probe that takes long, such as a
            // stream that has nothing to say yet, does not hold up those that can tell.
            State::HalfOpen { under_way, .. } if under_way >= self.config.probes => Some(PROBE_TAKES),
            State::HalfOpen { under_way, good } => {
                self.state = State::HalfOpen { under_way: under_way + 1, good };
                None
            }

            State::Tripped => Some(OPERATOR_TAKES),
        };
        match refused {
            Some(wait) => {
                self.totals.refused += 1;
                (Err(wait), change)
            }
            None => (Ok(self.generation), change),
        }
    }

    /// Takes the outcome of a call of `generation` that took so long.
    pub(crate) fn settle(
        &mut self,
        now: Instant,
        generation: u64,
        outcome: Outcome,
        took: Duration,
    ) -> Option<Change> {
        let slow = took >= self.config.window.slow_after;
        let failed = outcome == Outcome::Failed;
        match outcome {
            Outcome::Good => self.totals.good += 1,
            Outcome::Failed => self.totals.failed += 1,
            Outcome::Cancelled => self.totals.cancelled += 1,
        }
        self.totals.slow += u64::from(slow);
        if self.generation != generation {
            return None;
        }
        match self.state {
            // A call that was given up soon says nothing; one that was given up late was slow.
            State::Closed | State::Disabled if outcome == Outcome::Cancelled && !slow => None,
            State::Disabled => {
                self.count(now, failed, slow);
                None
            }

            // ## Closed => (Closed | Open)
            State::Closed => {
                if outcome == Outcome::Good {
                    self.consecutive = 0;
                }
                let counts = self.count(now, failed, slow);
                let cause = self.reason_to_open(counts).filter(|_| failed || slow)?;
                Some(self.open(now, cause))
            }

            // ## HalfOpen => (HalfOpen | Open | Closed)
            State::HalfOpen { under_way, good } => {
                let under_way = under_way.saturating_sub(1);
                let is_bad = failed || (slow && self.config.window.slow_percent > 0);
                match outcome {
                    Outcome::Cancelled => {
                        self.state = State::HalfOpen { under_way, good };
                        None
                    }
                    _ if is_bad => Some(self.open(now, Cause::ProbeFailed)),
                    _ if good + 1 >= self.config.probes => {
                        Some(self.enter(State::Closed, Cause::ProbesSucceeded))
                    }
                    _ => {
                        self.state = State::HalfOpen { under_way, good: good + 1 };
                        None
                    }
                }
            }

            // No call was admitted in these.
            State::Open { .. } | State::Tripped => None,
        }
    }

    /// Does what an operator says.
    pub(crate) fn act(&mut self, action: BreakerAction) -> Option<Change> {
        let to = match (action, self.state) {
            (BreakerAction::Trip, State::Tripped)
            | (BreakerAction::Disable, State::Disabled)
            | (BreakerAction::Enable, State::Closed | State::Open { .. } | State::HalfOpen { .. })
            | (BreakerAction::Enable, State::Tripped) => return None,
            // What is closed or switched off forgets what it has counted, and is what it was.
            (BreakerAction::Reset, State::Closed | State::Disabled) => {
                self.forget();
                return None;
            }
            (BreakerAction::Trip, _) => State::Tripped,
            (BreakerAction::Disable, _) => State::Disabled,
            (BreakerAction::Reset | BreakerAction::Enable, _) => State::Closed,
        };
        Some(self.enter(to, Cause::Operator))
    }

    pub(crate) const fn state(&self) -> BreakerState {
        match self.state {
            State::Closed => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
            State::Tripped => BreakerState::Tripped,
            State::Disabled => BreakerState::Disabled,
        }
    }

    pub(crate) const fn config(&self) -> BreakerConfig {
        self.config
    }

    pub(crate) const fn cause(&self) -> Cause {
        self.cause
    }

    pub(crate) const fn totals(&self) -> BreakerTotals {
        self.totals
    }

    pub(crate) const fn consecutive(&self) -> u32 {
        self.consecutive
    }

    /// What lies in the window. Where it is open, that is what has opened it: time moves the window only while calls are counted.
    pub(crate) fn counts(&mut self, now: Instant) -> Counts {
        self.window.counts(now)
    }

    /// How long it will refuse calls, where that is known.
    pub(crate) fn rests_for(&self, now: Instant) -> Option<Duration> {
        match self.state {
            State::Open { until } => Some(until.saturating_duration_since(now)),
            _ => None,
        }
    }

    fn count(&mut self, now: Instant, failed: bool, slow: bool) -> Counts {
        self.consecutive = self.consecutive.saturating_add(u32::from(failed));
        self.window.add(now, failed, slow)
    }

    fn reason_to_open(&self, counts: Counts) -> Option<Cause> {
        let window = &self.config.window;
        if self.config.failures > 0 && self.consecutive >= self.config.failures {
            return Some(Cause::ConsecutiveFailures);
        }
        let reaches = |part: u32, percent: u8| {
            percent > 0 && u64::from(part) * 100 >= u64::from(counts.calls) * u64::from(percent)
        };
        if counts.calls < window.calls {
            None
        } else if reaches(counts.failed, window.failure_percent) {
            Some(Cause::FailureRate)
        } else if reaches(counts.slow, window.slow_percent) {
            Some(Cause::SlowRate)
        } else {
            None
        }
    }

    fn open(&mut self, now: Instant, cause: Cause) -> Change {
        let doubled = self.config.open_first.saturating_mul(2_u32.saturating_pow(self.openings));
        let until = now + doubled.min(self.config.open_for);
        self.openings = self.openings.saturating_add(1);
        self.totals.opened += 1;
        self.enter(State::Open { until }, cause)
    }

    fn enter(&mut self, state: State, cause: Cause) -> Change {
        let from = self.state();
        self.generation += 1;
        self.state = state;
        self.cause = cause;
        if matches!(state, State::Closed | State::Disabled) {
            self.forget();
        }
        Change { from, to: self.state(), cause }
    }

    fn forget(&mut self) {
        self.consecutive = 0;
        self.openings = 0;
        self.window.clear();
    }
}
