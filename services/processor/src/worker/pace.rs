//! When a partition that something has stopped tries again, and with how much.

use std::time::Duration;

use pathway_kernel::{Backoff, Fault, Rng};
use pathway_rpc::Breakers;

use super::BATCH;

/// The first wait of a parked partition; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// The longest wait of its own choice. It need not be longer: a peer that stays away is guarded by its breaker, which says when it will be asked again.
const LONGEST_WAIT: Duration = Duration::from_secs(3);
/// How far a wait may fall short, so that partitions that failed together do not come back together.
const JITTER: f64 = 0.5;
/// The longest that it waits because a peer or a breaker says so.
const LONGEST_HINT: Duration = Duration::from_secs(15);

/// How many events a batch takes after a failure.
///
/// A peer that comes back is weak. Full batches from every partition at once would be more than it had before it fell, and each that fails has cost the work
/// of all of its events. So one event goes first, and where it gets through, more follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// As many as there may be.
    Full,
    /// One event, to see.
    Canary,
    /// So many, growing.
    Growing(usize),
}

// === impl Pace ===

impl Pace {
    const GROWTH: usize = 8;

    pub(super) fn at_most(self, most: usize) -> usize {
        match self {
            Self::Full => most,
            Self::Canary => 1,
            Self::Growing(size) => size.min(most),
        }
    }

    pub(super) fn went_well(self) -> Self {
        match self {
            // ## Canary => Growing
            Self::Canary => Self::Growing(Self::GROWTH),
            // ## Growing => (Growing | Full)
            Self::Growing(size) if size < BATCH => Self::Growing(size * Self::GROWTH),
            Self::Growing(_) | Self::Full => Self::Full,
        }
    }
}

/// How long to wait after a failure that may pass, `tries` of which came before. A peer, or the breaker before it, may know better than we when to come again.
pub(crate) fn parked_for(fault: &Fault, tries: u32, rng: &Rng) -> Duration {
    let backoff = Backoff::try_new(FIRST_WAIT, LONGEST_WAIT, JITTER).unwrap_or_default();
    fault.retry_after().unwrap_or_else(|| backoff.delay(tries, rng)).min(LONGEST_HINT)
}

/// Waits for so long, or until a breaker closes: whatever it was that stopped the partition, it is worth a try then.
pub(crate) async fn park(wait: Duration, breakers: &Breakers) {
    // Time running out is the usual end.
    let _ = tokio::time::timeout(wait, breakers.one_closes()).await;
}

#[cfg(test)]
mod tests {
    use pathway_kernel::{Clock, Code};
    use pathway_rpc::{BreakerAction, BreakerConfig};
    use tokio::time::Instant;

    use super::*;

    #[test]
    fn one_event_goes_first_and_more_follow() {
        let (mut pace, mut sizes) = (Pace::Canary, Vec::new());
        for _ in 0..5 {
            sizes.push(pace.at_most(BATCH));
            pace = pace.went_well();
        }
        assert_eq!(sizes, [1, 8, 64, 512, 512]);
        assert_eq!(pace, Pace::Full);
        assert_eq!(Pace::Growing(64).at_most(10), 10, "never more than the pathway takes");
    }

    #[test]
    fn a_wait_grows_to_its_bound_and_a_hint_is_taken_up_to_another() {
        let (rng, fault) = (Rng::seeded(1), Fault::new(Code::Unavailable, "AWAY", "is away"));
        for (tries, longest) in [(0, 200), (1, 400), (3, 1_600), (10, 3_000), (u32::MAX, 3_000)] {
            let wait = parked_for(&fault, tries, &rng);
            let longest = Duration::from_millis(longest);
            assert!(wait <= longest && wait >= longest / 2, "{tries}: {wait:?}");
        }
        for (hint, wait) in [(7, 7), (3600, 15)] {
            let fault = Fault::new(Code::Unavailable, "BREAKER_OPEN", "rests");
            let fault = fault.with_retry_after(Duration::from_secs(hint));
            assert_eq!(parked_for(&fault, 0, &rng), Duration::from_secs(wait));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reset_wakes_who_is_parked() {
        let breakers = Breakers::new(Clock::system()).of("processor");
        let breaker = breakers.breaker("datasync", BreakerConfig { failures: 1, ..BreakerConfig::default() });
        breaker.admit().unwrap().settle(false);
        let begun = Instant::now();
        let reset = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let _ = breakers.act("processor/datasync", BreakerAction::Reset);
        };
        tokio::join!(park(LONGEST_HINT, &breakers), reset);
        assert_eq!(begun.elapsed(), Duration::from_secs(1));
        park(LONGEST_HINT, &breakers).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(16), "else it waits to the end");
    }
}
