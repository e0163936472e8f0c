//! What stands out (G26).
//!
//! The z-score of an amount says how many standard deviations it lies from the mean of its baseline. Comparing squares keeps the test exact:
//! with `n` amounts, sum `S` and sum of squares `Q`, `|z| > t` is `(n*x - S)^2 > t^2 * (n*Q - S^2)` for the population's deviation.

/// How far an amount stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// More than two standard deviations.
    Medium,
    /// More than three.
    High,
}

/// An amount that stands out, with what it was compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anomaly {
    /// How far.
    pub severity: Severity,
    /// How many amounts the baseline has.
    pub count: usize,
    /// Their mean, in minor units, rounded half-even.
    pub mean_minor: i64,
    /// The amount as tenths of the mean, rounded down: 35 is three and a half times.
    pub factor_tenths: i64,
}

/// How many of the latest amounts make the baseline.
const BASELINE: usize = 50;
/// With fewer there is no baseline.
const ENOUGH: usize = 10;

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
        severity: if beyond(3) { Severity::High } else { Severity::Medium },
        count: baseline.len(),
        mean_minor: i64::try_from(half_even(sum, count)).ok()?,
        factor_tenths: (i128::from(candidate) * 10)
            .checked_mul(count)
            .and_then(|tenths| tenths.checked_div(sum))
            .and_then(|tenths| i64::try_from(tenths).ok())
            .unwrap_or(0),
    })
}

/// A quotient rounded to the nearest whole, ties to the even one. `divisor` is positive.
fn half_even(dividend: i128, divisor: i128) -> i128 {
    let (quotient, rest) = (dividend.div_euclid(divisor), dividend.rem_euclid(divisor));
    match (rest * 2).cmp(&divisor) {
        std::cmp::Ordering::Less => quotient,
        std::cmp::Ordering::Greater => quotient + 1,
        std::cmp::Ordering::Equal => quotient + quotient.rem_euclid(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Mean 100, population deviation 10.
    const TEN: [i64; 10] = [90, 110, 90, 110, 90, 110, 90, 110, 90, 110];

    fn severity(candidate: i64) -> Option<Severity> {
        z_score(candidate, &TEN).map(|anomaly| anomaly.severity)
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
        assert_eq!((anomaly.count, anomaly.mean_minor, anomaly.factor_tenths), (10, 100, 35));
    }

    #[test]
    fn means_are_rounded_half_even() {
        assert_eq!((half_even(5, 2), half_even(7, 2), half_even(-5, 2), half_even(7, 3)), (2, 4, -2, 2));
    }
}
