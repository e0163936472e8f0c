//! What stands out (G26).
//!
//! There are two detectors, and everything that is found names the one that found it:
//!
//! - **z-score** says how many standard deviations an amount lies from the mean of its baseline. Comparing squares keeps the test exact: with `n`
//!   amounts, sum `S` and sum of squares `Q`, `|z| > t` is `(n*x - S)^2 > t^2 * (n*Q - S^2)` for the population's deviation.
//! - **robust** compares with the median and the median of the distances from it (MAD), which one outlier in the baseline does not move. An amount
//!   scores `0.6745 * (x - median) / MAD`, as Iglewicz and Hoaglin have it; 3.5 is their bound. Half a minor unit can be a median and a quarter a
//!   MAD, so the test is made on four times of everything.
//!
//! All of it is in integers: the same amounts give the same answer on every machine.

use std::collections::BTreeSet;

use crate::CivilDate;

/// What found that an amount stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detector {
    /// Mean and standard deviation.
    ZScore,
    /// Median and median absolute deviation.
    Robust,
}

/// How far an amount stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// More than two standard deviations, or a robust score above 3.5.
    Medium,
    /// More than three, or above 7.
    High,
}

/// An amount that stands out, with what it was compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anomaly {
    /// Who found it.
    pub detector: Detector,
    /// How far.
    pub severity: Severity,
    /// How many amounts the baseline has.
    pub count: usize,
    /// Their mean, or their median, in minor units, rounded half-even.
    pub baseline_minor: i64,
    /// The amount as tenths of the baseline, rounded down: 35 is three and a half times.
    pub factor_tenths: i64,
}

/// How many of the latest amounts make the baseline.
const BASELINE: usize = 50;
/// With fewer there is no baseline of the z-score.
const ENOUGH: usize = 10;
/// With fewer there is none of the robust one.
const ENOUGH_ROBUST: usize = 5;
/// In fewer months than this a habit cannot be told from a beginning.
const ENOUGH_MONTHS: usize = 3;
/// How far above the median an amount must lie to matter at all, in minor units: 10.00 in most currencies.
const FLOOR_MINOR: i128 = 1000;
/// Where the baseline does not vary: how many times the median is medium, and high.
const MULTIPLES: [i128; 2] = [2, 3];

// === impl Detector ===

impl Detector {
    /// Its name in every insight.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ZScore => "z-score",
            Self::Robust => "robust",
        }
    }

    /// What its baseline is.
    #[must_use]
    pub const fn baseline(self) -> &'static str {
        match self {
            Self::ZScore => "mean",
            Self::Robust => "median",
        }
    }
}

/// Compares an amount with the latest of its category, newest first, the candidate not among them. None where there are fewer than ten, where they
/// do not vary, or where it does not stand out.
#[must_use]
pub fn z_score(candidate: i64, baseline: &[i64]) -> Option<Anomaly> {
    let baseline = &baseline[..baseline.len().min(BASELINE)];
    if baseline.len() < ENOUGH {
        return None;
    }
    let count = i128::try_from(baseline.len()).ok()?;
    let sum: i128 = baseline.iter().copied().map(i128::from).sum();
    // The amounts' distances from one of them have the same variance and far smaller squares.
    let origin = i128::from(baseline[0]);
    let shifted = |value: i64| i128::from(value) - origin;
    let shifted_sum: i128 = baseline.iter().map(|value| shifted(*value)).sum();
    let squares = baseline.iter().try_fold(0_i128, |squares, value| {
        shifted(*value).checked_mul(shifted(*value)).and_then(|square| squares.checked_add(square))
    })?;
    let spread = count.checked_mul(squares)?.checked_sub(shifted_sum.checked_mul(shifted_sum)?)?;
    let distance = count.checked_mul(shifted(candidate))?.checked_sub(shifted_sum)?;
    let square = distance.checked_mul(distance)?;
    let beyond =
        |deviations: i128| spread.checked_mul(deviations * deviations).is_some_and(|bound| square > bound);
    if spread == 0 || !beyond(2) {
        return None;
    }
    Some(Anomaly {
        detector: Detector::ZScore,
        severity: if beyond(3) { Severity::High } else { Severity::Medium },
        count: baseline.len(),
        baseline_minor: i64::try_from(half_even(sum, count)).ok()?,
        factor_tenths: factor_tenths(candidate, sum, count),
    })
}

/// Compares an amount with the latest of its category and their days, newest first, the candidate not among them. None where there are fewer than five
/// or all lie in one or two months, or where it does not stand out above them.
#[must_use]
pub fn robust(candidate: i64, baseline: &[(CivilDate, i64)]) -> Option<Anomaly> {
    let baseline = &baseline[..baseline.len().min(BASELINE)];
    let months: BTreeSet<(i16, i8)> = baseline.iter().map(|(day, _)| (day.year(), day.month())).collect();
    if baseline.len() < ENOUGH_ROBUST || months.len() < ENOUGH_MONTHS {
        return None;
    }
    let median_2 = twice_median(baseline.iter().map(|(_, minor)| i128::from(*minor)));
    let distances_2 = baseline.iter().map(|(_, minor)| (i128::from(*minor) * 2 - median_2).abs());
    let mad_4 = twice_median(distances_2);
    let above_2 = i128::from(candidate) * 2 - median_2;
    if above_2 < FLOOR_MINOR * 2 {
        return None;
    }
    // Scores of 3.5 and 7 over 0.6745, both sides in ten thousandths. An `i64` leaves room for it.
    let passes = |bound: i128, multiple: i128| {
        if mad_4 == 0 {
            i128::from(candidate) * 2 > median_2 * multiple
        } else {
            above_2 * 2 * 6745 > mad_4 * bound
        }
    };
    if !passes(35_000, MULTIPLES[0]) {
        return None;
    }
    Some(Anomaly {
        detector: Detector::Robust,
        severity: if passes(70_000, MULTIPLES[1]) { Severity::High } else { Severity::Medium },
        count: baseline.len(),
        baseline_minor: i64::try_from(half_even(median_2, 2)).ok()?,
        factor_tenths: factor_tenths(candidate, median_2, 2),
    })
}

/// Twice the median: the sum of the two in the middle, or the middle one twice.
fn twice_median(values: impl Iterator<Item = i128>) -> i128 {
    let mut values: Vec<i128> = values.collect();
    values.sort_unstable();
    let middle = |at: usize| values.get(at).copied().unwrap_or_default();
    middle(values.len() / 2) + middle(values.len().saturating_sub(1) / 2)
}

/// How many tenths of `sum / count` an amount is, rounded down.
fn factor_tenths(candidate: i64, sum: i128, count: i128) -> i64 {
    let tenths = (i128::from(candidate) * 10).checked_mul(count).and_then(|tenths| tenths.checked_div(sum));
    tenths.and_then(|tenths| i64::try_from(tenths).ok()).unwrap_or(0)
}

/// A quotient rounded to the nearest whole, ties to the even one. `divisor` is positive.
pub(crate) fn half_even(dividend: i128, divisor: i128) -> i128 {
    let (quotient, rest) = (dividend.div_euclid(divisor), dividend.rem_euclid(divisor));
    match (rest * 2).cmp(&divisor) {
        std::cmp::Ordering::Less => quotient,
        std::cmp::Ordering::Greater => quotient + 1,
        std::cmp::Ordering::Equal => quotient + quotient.rem_euclid(2),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // Mean 100, population deviation 10.
    const TEN: [i64; 10] = [90, 110, 90, 110, 90, 110, 90, 110, 90, 110];

    fn severity(candidate: i64) -> Option<Severity> {
        z_score(candidate, &TEN).map(|anomaly| anomaly.severity)
    }

    /// Amounts, one a month, the newest first.
    fn monthly(amounts: &[i64]) -> Vec<(CivilDate, i64)> {
        let day = |at: usize| CivilDate::new(2026, 12 - i8::try_from(at % 12).unwrap(), 5).unwrap();
        amounts.iter().enumerate().map(|(at, minor)| (day(at), *minor)).collect()
    }

    fn robust_severity(candidate: i64, amounts: &[i64]) -> Option<Severity> {
        robust(candidate, &monthly(amounts)).map(|anomaly| anomaly.severity)
    }

    #[test]
    fn g26_beyond_two_deviations_is_medium_and_beyond_three_high() {
        assert_eq!(severity(120), None);
        assert_eq!(severity(121), Some(Severity::Medium));
        assert_eq!(severity(130), Some(Severity::Medium));
        assert_eq!(severity(131), Some(Severity::High));
        assert_eq!(severity(79), Some(Severity::Medium));
    }

    #[test]
    fn g26_fewer_than_ten_or_unvarying_amounts_are_no_baseline() {
        assert_eq!(z_score(1_000_000, &TEN[..9]), None);
        assert_eq!(z_score(1_000_000, &[100; 20]), None);
    }

    #[test]
    fn g26_only_the_latest_fifty_count() {
        let mut amounts: Vec<i64> = TEN.iter().copied().cycle().take(50).collect();
        amounts.extend([1_000_000; 50]);
        assert_eq!(z_score(131, &amounts).unwrap().count, 50);
    }

    #[test]
    fn g26_the_insight_states_baseline_count_and_factor() {
        let anomaly = z_score(350, &TEN).unwrap();
        assert_eq!((anomaly.count, anomaly.baseline_minor, anomaly.factor_tenths), (10, 100, 35));
        let anomaly = robust(35_000, &monthly(&[9000, 10_000, 11_000, 10_000, 9500])).unwrap();
        assert_eq!((anomaly.detector.name(), anomaly.count), ("robust", 5));
        assert_eq!((anomaly.baseline_minor, anomaly.factor_tenths), (10_000, 35));
    }

    #[test]
    fn g26_robust_scores_by_median_and_mad() {
        // Median 10_000, distances 1000, 0, 1000, 0, 500: MAD 500. A score of 3.5 is 2594.5 above, one of 7 is 5189.03.
        let amounts = [9000, 10_000, 11_000, 10_000, 9500];
        assert_eq!(robust_severity(12_594, &amounts), None);
        assert_eq!(robust_severity(12_595, &amounts), Some(Severity::Medium));
        assert_eq!(robust_severity(15_189, &amounts), Some(Severity::Medium));
        assert_eq!(robust_severity(15_190, &amounts), Some(Severity::High));
    }

    #[test]
    fn g26_robust_is_not_moved_by_an_outlier_in_its_baseline() {
        let amounts = [9000, 10_000, 11_000, 10_000, 9500, 10_500, 10_000, 9000, 11_000, 500_000];
        assert_eq!(severity_of_z(40_000, &amounts), None, "one outlier hides the next from the mean");
        assert_eq!(robust_severity(40_000, &amounts), Some(Severity::High));
    }

    fn severity_of_z(candidate: i64, amounts: &[i64]) -> Option<Severity> {
        z_score(candidate, amounts).map(|anomaly| anomaly.severity)
    }

    #[test]
    fn g26_robust_looks_at_the_upper_side_only() {
        assert_eq!(robust_severity(1, &[9000, 10_000, 11_000, 10_000, 9500]), None);
    }

    #[test]
    fn g26_robust_needs_five_lines_in_three_months() {
        let four = [9000, 10_000, 11_000, 10_000];
        assert_eq!(robust_severity(100_000, &four), None);
        let mut two_months = monthly(&[9000, 10_000, 11_000, 10_000, 9500]);
        for (at, line) in two_months.iter_mut().enumerate() {
            line.0 = CivilDate::new(2026, 11 + i8::try_from(at % 2).unwrap(), 5).unwrap();
        }
        assert_eq!(robust(100_000, &two_months), None);
    }

    #[test]
    fn g26_robust_has_an_absolute_floor() {
        // Coffee at 3.00, give or take a few cents: 9.00 scores far beyond any bound, and does not matter.
        let coffee = [300, 305, 295, 300, 310];
        assert_eq!(robust_severity(900, &coffee), None);
        assert_eq!(robust_severity(1299, &coffee), None);
        assert_eq!(robust_severity(1300, &coffee), Some(Severity::High));
    }

    #[test]
    fn g26_robust_takes_a_multiple_of_the_median_where_mad_is_zero() {
        let rent = [100_000; 6];
        assert_eq!(robust_severity(200_000, &rent), None);
        assert_eq!(robust_severity(200_001, &rent), Some(Severity::Medium));
        assert_eq!(robust_severity(300_001, &rent), Some(Severity::High));
    }

    #[test]
    fn means_are_rounded_half_even() {
        assert_eq!((half_even(5, 2), half_even(7, 2), half_even(-5, 2), half_even(7, 3)), (2, 4, -2, 2));
    }

    proptest! {
        #[test]
        fn g26_the_order_of_the_baseline_does_not_matter_and_no_amount_panics(
            amounts in prop::collection::vec(1_i64..=i64::MAX, 5..50),
            candidate in 1_i64..=i64::MAX,
        ) {
            let mut baseline = monthly(&amounts);
            let found = robust(candidate, &baseline);
            baseline.reverse();
            prop_assert_eq!(robust(candidate, &baseline), found);
            let _ = z_score(candidate, &amounts);
        }
    }
}
