//! When an alert is due (G21 to G24).
//!
//! An alert is about a *crossing*, not about a state: the store keeps which thresholds have fired for a budget's revision and period, and these
//! functions say which do now. Everything is in integers.

use crate::{CivilDate, Period};

/// Percentages at which a budget alerts unless it says otherwise.
pub const DEFAULT_THRESHOLDS: [i64; 2] = [80, 100];

/// What a change of a total sets off.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Crossing {
    /// The threshold to tell the user about: the highest of those crossed.
    pub notify: Option<i64>,
    /// All thresholds to be marked as fired, the notified one included.
    pub fired: Vec<i64>,
}

/// Whether spending has reached a threshold (a percentage): `spent * 100 >= limit * threshold`. A limit of zero is exceeded by the first positive
/// spending (G22).
#[must_use]
pub fn passed(spent: i64, limit: i64, threshold: i64) -> bool {
    if limit == 0 {
        return spent > 0;
    }
    i128::from(spent) * 100 >= i128::from(limit) * i128::from(threshold)
}

/// What spending of `spent` under `limit` sets off, where `fired` have fired before. A threshold fires once (G23); one change that crosses several
/// tells of the highest (G22).
#[must_use]
pub fn crossing(spent: i64, limit: i64, thresholds: &[i64], fired: &[i64]) -> Crossing {
    let new = |threshold: &i64| !fired.contains(threshold) && passed(spent, limit, *threshold);
    let mut crossed: Vec<i64> = thresholds.iter().copied().filter(new).collect();
    crossed.sort_unstable();
    // Under a higher one that has fired, a lower one that is crossed late has nothing to tell.
    let highest_before = fired.iter().copied().max();
    let notify =
        crossed.last().copied().filter(|highest| highest_before.is_none_or(|before| *highest > before));
    Crossing { notify, fired: crossed }
}

/// `spent * 100 / limit`, rounded down. None where the limit is zero and something is spent: no percentage says how much that is over.
#[must_use]
pub fn percent(spent: i64, limit: i64) -> Option<i64> {
    if limit == 0 {
        return (spent <= 0).then_some(0);
    }
    i64::try_from((i128::from(spent) * 100).div_euclid(i128::from(limit))).ok()
}

/// Whether a change may tell the user anything: history never does, nor does a period that has ended (G24).
#[must_use]
pub fn may_alert(live: bool, period: Period, today: CivilDate) -> bool {
    live && today < period.end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PeriodKind;

    fn told(notify: Option<i64>, fired: &[i64]) -> Crossing {
        Crossing { notify, fired: fired.to_vec() }
    }

    #[test]
    fn g22_thresholds_are_tested_in_integers() {
        assert!(!passed(7999, 10_000, 80));
        assert!(passed(8000, 10_000, 80));
        assert!(passed(i64::MAX, i64::MAX, 100));
        assert_eq!(crossing(8000, 10_000, &DEFAULT_THRESHOLDS, &[]), told(Some(80), &[80]));
    }

    #[test]
    fn g22_one_change_over_several_tells_of_the_highest_and_fires_all() {
        assert_eq!(crossing(12_000, 10_000, &DEFAULT_THRESHOLDS, &[]), told(Some(100), &[80, 100]));
    }

    #[test]
    fn g22_a_zero_limit_is_exceeded_by_the_first_positive_spending() {
        assert_eq!(crossing(0, 0, &DEFAULT_THRESHOLDS, &[]), told(None, &[]));
        assert_eq!(crossing(-5, 0, &DEFAULT_THRESHOLDS, &[]), told(None, &[]));
        assert_eq!(crossing(1, 0, &DEFAULT_THRESHOLDS, &[]), told(Some(100), &[80, 100]));
    }

    #[test]
    fn g21_a_threshold_fires_once() {
        assert_eq!(crossing(9000, 10_000, &DEFAULT_THRESHOLDS, &[80]), told(None, &[]));
        assert_eq!(crossing(10_000, 10_000, &DEFAULT_THRESHOLDS, &[80]), told(Some(100), &[100]));
    }

    #[test]
    fn g07_g23_falling_below_and_crossing_again_is_silent() {
        let fired = [80];
        assert_eq!(crossing(7000, 10_000, &DEFAULT_THRESHOLDS, &fired), told(None, &[]));
        assert_eq!(crossing(8500, 10_000, &DEFAULT_THRESHOLDS, &fired), told(None, &[]));
    }

    #[test]
    fn g24_history_and_closed_periods_never_alert() {
        let day = |text| CivilDate::parse(text).unwrap();
        let october = PeriodKind::MONTH.period_of(day("2026-10-05")).unwrap();
        assert!(!may_alert(false, october, day("2026-10-05")));
        assert!(may_alert(true, october, day("2026-10-31")));
        assert!(!may_alert(true, october, day("2026-11-01")));
        assert!(may_alert(true, october, day("2026-09-30")), "a line dated ahead");
    }

    #[test]
    fn percentages_are_rounded_down() {
        assert_eq!(percent(7999, 10_000), Some(79));
        assert_eq!(percent(-1, 10_000), Some(-1));
        assert_eq!(percent(0, 0), Some(0));
        assert_eq!(percent(1, 0), None);
    }
}
