//! Exponential backoff with jitter.

use std::time::Duration;

use crate::Rng;

/// How long to wait before each further attempt: `first`, doubling up to `max`, each shortened at random by up to `jitter`.
#[derive(Debug, Clone, PartialEq)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    jitter: f64,
}

/// Why a backoff cannot be built.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidBackoff {
    /// The first wait is zero or longer than the longest.
    #[error("the first wait must be above zero and at most the longest")]
    First,
    /// The jitter is not a fraction.
    #[error("the jitter must lie between 0 and 1")]
    Jitter,
}

// === impl Backoff ===

impl Backoff {
    /// A backoff from `first` to `max`.
    ///
    /// # Errors
    /// Where `first` is zero or above `max`, or `jitter` lies outside `[0, 1]`.
    pub fn try_new(first: Duration, max: Duration, jitter: f64) -> Result<Self, InvalidBackoff> {
        if first.is_zero() || first > max {
            return Err(InvalidBackoff::First);
        }
        if !(0.0..=1.0).contains(&jitter) {
            return Err(InvalidBackoff::Jitter);
        }
        Ok(Self { first, max, jitter })
    }

    /// The wait before attempt `retry` (0 for the first repetition).
    #[must_use]
    pub fn delay(&self, retry: u32, rng: &Rng) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(retry)).min(self.max);
        doubled.mul_f64(1.0 - self.jitter * rng.unit())
    }
}

impl Default for Backoff {
    /// The mesh's default: 1 s doubling to 30 s, jitter 50 %.
    fn default() -> Self {
        Self { first: Duration::from_secs(1), max: Duration::from_secs(30), jitter: 0.5 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let backoff = Backoff::try_new(Duration::from_secs(1), Duration::from_secs(5), 0.0).unwrap();
        let rng = Rng::seeded(1);
        let waits: Vec<u64> = (0..4).map(|n| backoff.delay(n, &rng).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 5]);
        assert_eq!(backoff.delay(u32::MAX, &rng).as_secs(), 5);
    }

    #[test]
    fn jitter_shortens_within_its_bound() {
        let (backoff, rng) = (Backoff::default(), Rng::seeded(1));
        for _ in 0..100 {
            let wait = backoff.delay(0, &rng);
            assert!(wait > Duration::from_millis(499) && wait <= Duration::from_secs(1), "{wait:?}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let second = Duration::from_secs(1);
        assert_eq!(Backoff::try_new(Duration::ZERO, second, 0.0), Err(InvalidBackoff::First));
        assert_eq!(Backoff::try_new(second * 2, second, 0.0), Err(InvalidBackoff::First));
        assert_eq!(Backoff::try_new(second, second, f64::NAN), Err(InvalidBackoff::Jitter));
    }
}
