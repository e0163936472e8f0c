//! Revisions of a budget (G4, G23).
//!
//! A budget is never edited: other terms are a new revision, and each alert belongs to one. Another limit holds at once, for the period under
//! way. Another cut of the calendar (a kind of period, a zone) waits for the end of the period under way, because it would move the bounds of a
//! period in which alerts were sent already. So the terms of a day are found by the day, and what has ended never moves.

use crate::{CivilDate, DateError, Money, Period, PeriodKind, TimeZone};

/// What a budget says.
#[derive(Debug, Clone, PartialEq)]
pub struct BudgetTerms {
    /// The limit of each period; not negative.
    pub limit: Money,
    /// How the calendar is cut.
    pub kind: PeriodKind,
    /// The owner's zone, which decides when a day and so a period ends.
    pub zone: TimeZone,
}

/// Terms, from a day on.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    /// Counts from 1.
    pub number: i64,
    /// The first day that it may hold for.
    pub effective_from: CivilDate,
    /// The terms.
    pub terms: BudgetTerms,
}

// === impl Revision ===

impl Revision {
    /// The owner's day at an instant, microseconds since the Unix epoch.
    ///
    /// # Errors
    /// Where the instant is out of range.
    pub fn today(&self, now_us: i64) -> Result<CivilDate, DateError> {
        CivilDate::from_instant_us(now_us, &self.terms.zone)
    }

    /// The period in which a day lies.
    ///
    /// # Errors
    /// Where it reaches out of the years that are kept.
    pub fn period_of(&self, day: CivilDate) -> Result<Period, DateError> {
        self.terms.kind.period_of(day)
    }
}

/// The revision whose terms hold for a day, of a budget's revisions in the order of their numbers.
#[must_use]
pub fn in_force(revisions: &[Revision], day: CivilDate) -> Option<&Revision> {
    revisions.iter().rev().find(|revision| revision.effective_from <= day)
}

/// The revision in force at an instant, with its owner's day.
///
/// # Errors
/// Where the instant is out of range.
pub fn in_force_at(revisions: &[Revision], now_us: i64) -> Result<Option<(&Revision, CivilDate)>, DateError> {
    for revision in revisions.iter().rev() {
        let today = revision.today(now_us)?;
        if revision.effective_from <= today {
            return Ok(Some((revision, today)));
        }
    }
    Ok(None)
}

/// The revisions that new terms make, at an instant; none where nothing would differ. There are two where both the limit and the cut of the calendar
/// differ: the limit holds at once, under the cut of the period under way, and the cut from its end.
///
/// # Errors
/// Where the instant, or the period in which it lies, is out of range.
pub fn revise(revisions: &[Revision], terms: &BudgetTerms, now_us: i64) -> Result<Vec<Revision>, DateError> {
    let mut number = revisions.last().map_or(0, |last| last.number);
    let mut next = |effective_from, terms| {
        number += 1;
        Revision { number, effective_from, terms }
    };
    let Some((current, today)) = in_force_at(revisions, now_us)? else {
        if revisions.last().is_some_and(|last| last.terms == *terms) {
            return Ok(Vec::new());
        }
        let today = CivilDate::from_instant_us(now_us, &terms.zone)?;
        return Ok(vec![next(terms.kind.period_of(today)?.start(), terms.clone())]);
    };
    let period = current.period_of(today)?;
    let same_cut = current.terms.kind == terms.kind && current.terms.zone == terms.zone;
    let same_limit = current.terms.limit == terms.limit;
    // What was to follow the terms in force follows no more, unless it says the same.
    let pending = revisions.last().filter(|last| last.number != current.number);
    let as_wanted =
        if same_cut { pending.is_none() } else { pending.is_some_and(|last| last.terms == *terms) };
    if same_limit && as_wanted {
        return Ok(Vec::new());
    }
    let mut made = Vec::new();
    if same_cut || !same_limit {
        made.push(next(period.start(), BudgetTerms { limit: terms.limit, ..current.terms.clone() }));
    }
    if !same_cut {
        made.push(next(period.end(), terms.clone()));
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Currency;

    /// 2026-11-24, 20:00 in UTC and already the 25th in Kolkata.
    const NOW: i64 = 1_795_550_400_000_000;

    fn day(text: &str) -> CivilDate {
        CivilDate::parse(text).unwrap()
    }

    fn terms(minor: i64, kind: PeriodKind, zone: &str) -> BudgetTerms {
        let limit = Money::new(minor, Currency::parse("USD").unwrap());
        BudgetTerms { limit, kind, zone: TimeZone::parse(zone).unwrap() }
    }

    /// Adds what the terms make; answers from when it holds.
    fn grow(revisions: &mut Vec<Revision>, terms: &BudgetTerms) -> Vec<String> {
        let made = revise(revisions, terms, NOW).unwrap();
        let from = made.iter().map(|revision| revision.effective_from.to_string()).collect();
        revisions.extend(made);
        from
    }

    #[test]
    fn g23_the_same_terms_make_no_revision() {
        let mut revisions = Vec::new();
        grow(&mut revisions, &terms(100, PeriodKind::MONTH, "UTC"));
        assert_eq!(revise(&revisions, &terms(100, PeriodKind::MONTH, "UTC"), NOW), Ok(Vec::new()));
    }

    #[test]
    fn g23_another_limit_holds_for_the_period_under_way() {
        let mut revisions = Vec::new();
        assert_eq!(grow(&mut revisions, &terms(100, PeriodKind::MONTH, "UTC")), ["2026-11-01"]);
        assert_eq!(grow(&mut revisions, &terms(200, PeriodKind::MONTH, "UTC")), ["2026-11-01"]);
        assert_eq!(in_force(&revisions, day("2026-11-02")).unwrap().number, 2);
        assert_eq!(in_force(&revisions, day("2026-10-31")), None, "what had ended has no budget");
    }

    #[test]
    fn g04_another_cut_of_the_calendar_waits_for_the_next_boundary() {
        let mut revisions = Vec::new();
        grow(&mut revisions, &terms(100, PeriodKind::MONTH, "UTC"));
        let week = PeriodKind::Week { start_weekday: 1 };
        assert_eq!(grow(&mut revisions, &terms(100, week, "UTC")), ["2026-12-01"]);
        assert_eq!(in_force(&revisions, day("2026-11-30")).unwrap().number, 1);
        assert_eq!(in_force(&revisions, day("2026-12-01")).unwrap().number, 2);
        assert_eq!(in_force_at(&revisions, NOW).unwrap().unwrap().0.number, 1);
    }

    #[test]
    fn g04_another_zone_waits_for_the_next_boundary() {
        let mut revisions = Vec::new();
        grow(&mut revisions, &terms(100, PeriodKind::MONTH, "UTC"));
        assert_eq!(grow(&mut revisions, &terms(100, PeriodKind::MONTH, "Asia/Kolkata")), ["2026-12-01"]);
        // Taken back before it came to hold: the terms of today go on.
        assert_eq!(grow(&mut revisions, &terms(100, PeriodKind::MONTH, "UTC")), ["2026-11-01"]);
        assert_eq!(in_force(&revisions, day("2026-12-24")).unwrap().number, 3);
    }

    #[test]
    fn g04_another_limit_does_not_wait_for_another_cut() {
        let mut revisions = Vec::new();
        grow(&mut revisions, &terms(100, PeriodKind::MONTH, "UTC"));
        grow(&mut revisions, &terms(100, PeriodKind::MONTH, "Asia/Kolkata"));
        // The cut is still to come; the limit is not.
        let both = grow(&mut revisions, &terms(50, PeriodKind::MONTH, "Asia/Kolkata"));
        assert_eq!(both, ["2026-11-01", "2026-12-01"]);
        let at = |date| in_force(&revisions, day(date)).unwrap();
        assert_eq!((at("2026-11-24").terms.limit.minor(), at("2026-11-24").terms.zone.name()), (50, "UTC"));
        assert_eq!(
            (at("2026-12-24").terms.limit.minor(), at("2026-12-24").terms.zone.name()),
            (50, "Asia/Kolkata")
        );
        assert_eq!(grow(&mut revisions.clone(), &terms(50, PeriodKind::MONTH, "Asia/Kolkata")), [""; 0]);
    }

    #[test]
    fn g03_today_is_read_in_the_owners_zone() {
        let mut revisions = Vec::new();
        grow(&mut revisions, &terms(100, PeriodKind::MONTH, "Asia/Kolkata"));
        assert_eq!(in_force_at(&revisions, NOW).unwrap().unwrap().1, day("2026-11-25"));
    }
}
