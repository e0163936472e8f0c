//! What is seen of a breaker, and what can be said to it.

use std::sync::Arc;
use std::time::Duration;

use super::BreakerConfig;

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
