//! When a breaker opens and closes.

use std::time::Duration;

/// When a breaker opens and closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerConfig {
    /// Consecutive failures that open it; 0 where they alone do not.
    pub failures: u32,
    /// How long it stays open before its first probes; doubled each time that they fail.
    pub open_first: Duration,
    /// The longest that it stays open before it probes.
    pub open_for: Duration,
    /// Good probes that close it, and how many may be under way at once; at least 1.
    pub probes: u32,
    /// When the rates of its last calls open it.
    pub window: WindowConfig,
}

/// When the rates of the last calls open a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowConfig {
    /// How far back it looks.
    pub span: Duration,
    /// So many calls must lie in it before a rate means anything; at least 1.
    pub calls: u32,
    /// The share of failures that opens it, in percent of the calls; 0 where it does not.
    pub failure_percent: u8,
    /// The share of slow calls that opens it, in percent of the calls; 0 where it does not.
    pub slow_percent: u8,
    /// From which duration on a call is slow.
    pub slow_after: Duration,
}

// === impl BreakerConfig ===

impl BreakerConfig {
    /// One that counts consecutive failures alone, and always rests equally long.
    #[must_use]
    pub const fn consecutive(failures: u32, rest: Duration, probes: u32) -> Self {
        Self { failures, open_first: rest, open_for: rest, probes, window: WindowConfig::OFF }
    }
}

impl BreakerConfig {
    /// A language model's: 5 failures, 30 s. It is asked seldom and each question is dear, so it rests long.
    pub const LLM: Self = Self::consecutive(5, Duration::from_secs(30), 3);
    /// A reader of documents': 3 failures, 60 s.
    pub const OCR: Self = Self::consecutive(3, Duration::from_secs(60), 3);
}

impl Default for BreakerConfig {
    /// A mesh peer's and a store's: 10 failures in a row, or half of at least 20 calls within 30 s; half a second to 15 s; 3 probes.
    fn default() -> Self {
        Self {
            failures: 10,
            open_first: Duration::from_millis(500),
            open_for: Duration::from_secs(15),
            probes: 3,
            window: WindowConfig::default(),
        }
    }
}

// === impl WindowConfig ===

impl WindowConfig {
    /// Rates that never open it; they are counted all the same, because an operator looks at them.
    pub const OFF: Self = Self {
        span: Duration::from_secs(30),
        calls: 20,
        failure_percent: 0,
        slow_percent: 0,
        slow_after: Duration::from_secs(5),
    };
}

impl Default for WindowConfig {
    /// Half of at least 20 calls within 30 s. How slow is too slow depends on what is asked, so that rate is off.
    fn default() -> Self {
        Self { failure_percent: 50, ..Self::OFF }
    }
}
