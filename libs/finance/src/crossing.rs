//! When an alert is due (G21 to G24).
//!
//! An alert is about a *crossing*, not about a state: the store keeps which thresholds have fired for a budget's revision and period, and these
//! functions say which do now. Everything is in integers.

use crate::trend::{days, projected};
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

/// How much a period's spending must be projected over the limit before its pace is told of, in percent of the limit.
pub const PACE_PERCENT: i64 = 110;
/// How many days of a period must be over before its pace says anything.
const PACE_DAYS: i64 = 3;

/// What a period's spending comes to if it goes on as until now: `spent * days / days gone`, rounded half-even, today among the days gone. None before
/// the period, after it, and where it is too young: fewer than three days, or than a fifth of it.
#[must_use]
pub fn pace(spent: i64, period: Period, today: CivilDate) -> Option<i64> {
    if !period.contains(today) {
        return None;
    }
    let (days, gone) = (days(period), today.epoch_days() - period.start().epoch_days() + 1);
    if gone < PACE_DAYS || gone * 5 < days { None } else { Some(projected(spent, gone, days)) }
}

/// The projection, where it is due to be told: it comes to [`PACE_PERCENT`] of the limit or more, while the limit is not reached yet.
#[must_use]
pub fn outpaces(spent: i64, limit: i64, period: Period, today: CivilDate) -> Option<i64> {
    pace(spent, period, today).filter(|projected| {
        limit > 0 && !passed(spent, limit, 100) && passed(*projected, limit, PACE_PERCENT)
    })
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
    fn g22_pace_is_projected_in_integers_once_the_period_has_begun_in_earnest() {
        let day = |text| CivilDate::parse(text).unwrap();
        let november = PeriodKind::MONTH.period_of(day("2026-11-01")).unwrap();
        assert_eq!(pace(1_000, november, day("2026-11-05")), None, "a sixth of it");
        assert_eq!(pace(1_000, november, day("2026-11-07")), Some(4_286));
        assert_eq!(pace(1_000, november, day("2026-11-30")), Some(1_000));
        assert_eq!(pace(1_000, november, day("2026-12-01")), None);
        assert_eq!(outpaces(5_000, 10_000, november, day("2026-11-10")), Some(15_000));
        assert_eq!(outpaces(5_000, 13_637, november, day("2026-11-10")), None, "less than a tenth over");
        assert_eq!(outpaces(10_000, 10_000, november, day("2026-11-10")), None, "the limit tells already");
        assert_eq!(outpaces(5_000, 0, november, day("2026-11-10")), None);
        let week = PeriodKind::Week { start_weekday: 1 }.period_of(day("2026-11-23")).unwrap();
        assert_eq!(pace(10, week, day("2026-11-24")), None);
        assert_eq!(pace(10, week, day("2026-11-25")), Some(23));
    }

    #[test]
    fn percentages_are_rounded_down() {
        assert_eq!(percent(7999, 10_000), Some(79));
        assert_eq!(percent(-1, 10_000), Some(-1));
        assert_eq!(percent(0, 0), Some(0));
        assert_eq!(percent(1, 0), None);
    }
}
