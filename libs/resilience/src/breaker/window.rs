//! The last calls, counted in buckets of time.
//!
//! # Why by time and not by number
//! The last hundred calls of a peer that is asked twice an hour reach back two days; what they say about now is nothing. A window of time forgets by itself.
//!
//! # Why buckets
//! A record of each call would make the cost of a verdict grow with the traffic, at the very moment at which there is most of it. Ten buckets with a running sum
//! cost the same always; the price is that the window's end moves by a tenth of it at a time.

use std::time::Duration;

use tokio::time::Instant;

/// How many buckets a window has.
const BUCKETS: u64 = 10;
/// As many, for the list.
const PLACES: usize = 10;

/// What happened to some calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) calls: u32,
    pub(crate) failed: u32,
    pub(crate) slow: u32,
}

/// The counts of the last calls.
#[derive(Debug)]
pub(crate) struct Window {
    begun: Instant,
    /// How long a bucket is, in milliseconds.
    width: u64,
    /// The number of the newest bucket since the beginning.
    newest: u64,
    buckets: [Counts; PLACES],
    sum: Counts,
}

// === impl Window ===

impl Window {
    pub(crate) fn new(span: Duration, now: Instant) -> Self {
        let width = (millis(span) / BUCKETS).max(1);
        Self { begun: now, width, newest: 0, buckets: Default::default(), sum: Counts::default() }
    }

    pub(crate) fn add(&mut self, now: Instant, failed: bool, slow: bool) -> Counts {
        self.advance(now);
        let index = place(self.newest);
        for counts in [&mut self.buckets[index], &mut self.sum] {
            counts.calls += 1;
            counts.failed += u32::from(failed);
            counts.slow += u32::from(slow);
        }
        self.sum
    }

    pub(crate) fn counts(&mut self, now: Instant) -> Counts {
        self.advance(now);
        self.sum
    }

    pub(crate) fn clear(&mut self) {
        self.buckets = Default::default();
        self.sum = Counts::default();
    }

    /// Forgets the buckets that have left the window.
    fn advance(&mut self, now: Instant) {
        let current = millis(now.saturating_duration_since(self.begun)) / self.width;
        let steps = current.saturating_sub(self.newest).min(BUCKETS);
        for step in 1..=steps {
            let old = std::mem::take(&mut self.buckets[place(self.newest + step)]);
            self.sum.calls -= old.calls;
            self.sum.failed -= old.failed;
            self.sum.slow -= old.slow;
        }
        self.newest = self.newest.max(current);
    }
}

/// Which bucket of the ring has this number.
fn place(number: u64) -> usize {
    usize::try_from(number % BUCKETS).unwrap_or_default()
}

/// Whole milliseconds; `as_millis` counts in 128 bits, which is slow for what every call does.
const fn millis(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1000).saturating_add(duration.subsec_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_window_is_forgotten_bucket_by_bucket() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut window = Window::new(Duration::from_secs(10), begun);
        window.add(at(0), true, false);
        window.add(at(5), false, true);
        assert_eq!(window.counts(at(9)), Counts { calls: 2, failed: 1, slow: 1 });
        assert_eq!(window.counts(at(10)), Counts { calls: 1, failed: 0, slow: 1 });
        assert_eq!(window.counts(at(1000)), Counts::default());
        assert_eq!(window.add(at(1001), true, true), Counts { calls: 1, failed: 1, slow: 1 });
        window.clear();
        assert_eq!(window.counts(at(1001)), Counts::default());
    }
}
