//! Wall time, injected.
//!
//! Timers are tokio's, because a paused runtime can move them; what a *date* is, is asked here, because a paused runtime cannot move the
//! calendar. A clock answers microseconds since the Unix epoch: the one unit in which every store keeps time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::UNIX_EPOCH;

/// A source of wall time; cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<dyn Source>);

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

/// A clock that moves only when a test moves it.
#[derive(Debug, Default, Clone)]
pub struct ManualClock(Arc<AtomicI64>);

trait Source: Send + Sync {
    fn now_us(&self) -> i64;
}

// === impl Clock ===

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(SystemClock))
    }

    /// A clock that shows what `manual` is set to.
    #[must_use]
    pub fn manual(manual: &ManualClock) -> Self {
        Self(Arc::new(manual.clone()))
    }

    /// Now, in microseconds since the Unix epoch.
    #[must_use]
    pub fn now_us(&self) -> i64 {
        self.0.now_us()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now_us()).finish()
    }
}

// === impl SystemClock ===

impl Source for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now_us(&self) -> i64 {
        let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }
}

// === impl ManualClock ===

impl ManualClock {
    /// A clock that shows `now_us` microseconds since the Unix epoch.
    #[must_use]
    pub fn at(now_us: i64) -> Self {
        Self(Arc::new(AtomicI64::new(now_us)))
    }

    /// Moves the clock, forwards or backwards.
    pub fn set(&self, now_us: i64) {
        self.0.store(now_us, Ordering::SeqCst);
    }
}

impl Source for ManualClock {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let manual = ManualClock::at(5);
        let clock = Clock::manual(&manual);
        assert_eq!(clock.now_us(), 5);
        manual.set(9);
        assert_eq!(clock.clone().now_us(), 9);
    }
}
