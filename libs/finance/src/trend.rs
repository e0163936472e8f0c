//! Comparing one period with others, and what is left of it.

use crate::anomaly::half_even;
use crate::{CivilDate, DateError, Period, PeriodKind};

/// The period before one: the calendar month, quarter or year before one of these, else as many days.
///
/// # Errors
/// Where it reaches out of the years that are kept.
pub fn previous(period: Period) -> Result<Period, DateError> {
    let calendar = [PeriodKind::MONTH, PeriodKind::Quarter, PeriodKind::Year];
    if let Some(kind) = calendar.into_iter().find(|kind| kind.period_of(period.start()) == Ok(period)) {
        return kind.period_of(period.start().add_days(-1)?);
    }
    Period::new(period.start().add_days(-days(period))?, period.start())
}

/// How many days a period has.
#[must_use]
pub fn days(period: Period) -> i64 {
    period.end().epoch_days() - period.start().epoch_days()
}

/// A range cut into buckets of one day, or of a kind of period, in order and without a gap; the first and the last are cut off at its ends. None where
/// there would be more than `most`.
///
/// # Errors
/// Where one reaches out of the years that are kept.
pub fn buckets(
    range: Period,
    kind: Option<PeriodKind>,
    most: usize,
) -> Result<Option<Vec<Period>>, DateError> {
    let mut buckets = Vec::new();
    let mut start = range.start();
    while start < range.end() {
        if buckets.len() == most {
            return Ok(None);
        }
        let end: CivilDate = match kind {
            Some(kind) => kind.period_of(start)?.end(),
            None => start.add_days(1)?,
        };
        let end = end.min(range.end());
        buckets.push(Period::new(start, end)?);
        start = end;
    }
    Ok(Some(buckets))
}

/// What will be spent at a period's end, should the rest of it go as the days up to today went; rounded half-even. What is spent, where that is not
/// positive. Capped at the largest amount.
#[must_use]
pub fn projected(spent: i64, elapsed_days: i64, total_days: i64) -> i64 {
    if spent <= 0 || elapsed_days <= 0 {
        return spent;
    }
    let whole = half_even(i128::from(spent) * i128::from(total_days), i128::from(elapsed_days));
    i64::try_from(whole).unwrap_or(i64::MAX)
}

/// By how many per cent a sum changed, rounded down. None where there was nothing, or less, before.
#[must_use]
pub fn change_percent(now: i64, before: i64) -> Option<i64> {
    if before <= 0 {
        return None;
    }
    let change = (i128::from(now) - i128::from(before)) * 100;
    i64::try_from(change.div_euclid(i128::from(before))).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn period(text: &str) -> Period {
        Period::parse(text).unwrap()
    }

    #[test]
    fn g03_the_period_before_a_calendar_one_is_a_calendar_one() {
        for (of, before) in [
            ("2026-03", "2026-02"),
            ("2026-01", "2025-12"),
            ("2026-Q1", "2025-Q4"),
            ("2026", "2025"),
            ("2026-W10", "2026-W09"),
            ("2026-03-11..2026-03-21", "2026-03-01..2026-03-11"),
        ] {
            assert_eq!(previous(period(of)), Ok(period(before)), "{of}");
        }
        assert!(previous(period("0001-01")).is_err());
    }

    #[test]
    fn a_range_is_cut_without_a_gap_and_cut_off_at_its_ends() {
        let cut = |range, kind| buckets(period(range), kind, 1000).unwrap().unwrap();
        let months = cut("2026-01-15..2026-03-02", Some(PeriodKind::MONTH));
        let shown: Vec<String> = months.iter().map(|m| format!("{}..{}", m.start(), m.end())).collect();
        assert_eq!(shown, ["2026-01-15..2026-02-01", "2026-02-01..2026-03-01", "2026-03-01..2026-03-02"]);
        assert_eq!(cut("2026-02", None).len(), 28);
        assert_eq!(cut("2026-02", Some(PeriodKind::Week { start_weekday: 1 })).len(), 5);
        assert_eq!(buckets(period("2026-02"), None, 27), Ok(None));
    }

    #[test]
    fn a_projection_goes_on_as_the_days_before() {
        assert_eq!(projected(10_000, 10, 30), 30_000);
        assert_eq!(projected(10_000, 30, 30), 10_000);
        assert_eq!(projected(1, 2, 3), 2, "1.5, half-even");
        assert_eq!(projected(-500, 10, 30), -500);
        assert_eq!(projected(i64::MAX, 1, 31), i64::MAX);
    }

    #[test]
    fn a_change_is_in_whole_per_cent_of_what_was_before() {
        assert_eq!(change_percent(150, 100), Some(50));
        assert_eq!(change_percent(0, 3), Some(-100));
        assert_eq!(change_percent(199, 300), Some(-34));
        assert_eq!(change_percent(5, 0), None);
        assert_eq!(change_percent(-5, -5), None);
    }

    proptest! {
        #[test]
        fn buckets_tile_their_range(first in 0_i64..30_000, length in 1_i64..900, weekly in any::<bool>()) {
            let day = |days| CivilDate::from_epoch_days(days).unwrap();
            let range = Period::new(day(first), day(first + length)).unwrap();
            let kind = weekly.then_some(PeriodKind::Week { start_weekday: 1 });
            let cut = buckets(range, kind, 1000).unwrap().unwrap();
            prop_assert_eq!((cut[0].start(), cut[cut.len() - 1].end()), (range.start(), range.end()));
            prop_assert!(cut.windows(2).all(|pair| pair[0].end() == pair[1].start()));
        }
    }
}
