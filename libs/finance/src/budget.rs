//! Revisions of a budget (G4, G23).
//!
//! A budget is never edited: other terms are a new revision, and each alert belongs to one. Another limit holds at once, for the period under
//! way. Another cut of the calendar (a kind of period, a zone) waits for the end of the period under way, because it would move the bounds of a
//! period in which alerts were sent already. So the terms of a day are found by the day, and what has ended never moves.
//!
//! What is left of a period may be carried into the next ([`Rollover`]). Carrying is a fold over the periods that have ended, so whoever keeps what
//! each of them carried on needs no more than the last.

use crate::{CivilDate, DEFAULT_THRESHOLDS, DateError, Money, Overflow, Period, PeriodKind, TimeZone};

/// What a budget says.
#[derive(Debug, Clone, PartialEq)]
pub struct BudgetTerms {
    /// The limit of each period; not negative.
    pub limit: Money,
    /// How the calendar is cut.
    pub kind: PeriodKind,
    /// The owner's zone, which decides when a day and so a period ends.
    pub zone: TimeZone,
    /// What else it says; like the limit, it holds for the period under way.
    pub rules: Rules,
}

/// What a budget says beside its limit and its periods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The percentages at which it alerts, in ascending order.
    pub thresholds: Vec<i64>,
    /// What becomes of what is left of a period.
    pub rollover: Rollover,
    /// Whether it alerts when the period will end over the limit if spending goes on.
    pub pace: bool,
    /// The categories whose spending counts, where it is a group; none where it is of the category that it is named after.
    pub members: Vec<String>,
}

/// What becomes of what is left of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rollover {
    /// Nothing: each period begins with the limit.
    #[default]
    Off,
    /// It is added to the next period. What was spent too much is forgiven.
    Positive,
    /// It is added to the next period, and what was spent too much is taken from it.
    All,
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

// === impl Rules ===

impl Default for Rules {
    fn default() -> Self {
        let thresholds = DEFAULT_THRESHOLDS.to_vec();
        Self { thresholds, rollover: Rollover::Off, pace: false, members: Vec::new() }
    }
}

// === impl Rollover ===

impl Rollover {
    /// How it is stored.
    #[must_use]
    pub const fn code(self) -> i64 {
        match self {
            Self::Off => 0,
            Self::Positive => 1,
            Self::All => 2,
        }
    }

    /// What was stored.
    #[must_use]
    pub const fn from_code(code: i64) -> Option<Self> {
        match code {
            0 => Some(Self::Off),
            1 => Some(Self::Positive),
            2 => Some(Self::All),
            _ => None,
        }
    }

    /// What a period carries into the next: of what there was to spend, the limit and what it was carried itself, what net spending left.
    ///
    /// # Errors
    /// Where that is out of range.
    pub fn carry(self, limit: i64, carried: i64, spent: i64) -> Result<i64, Overflow> {
        let left = limit.checked_add(carried).and_then(|available| available.checked_sub(spent));
        match self {
            Self::Off => Ok(0),
            Self::Positive => left.map(|left| left.max(0)).ok_or(Overflow),
            Self::All => left.ok_or(Overflow),
        }
    }
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

    /// The period in which a day lies. The first one under another cut of the calendar begins where the last one under the cut before it ends, though the
    /// calendar would have it begin earlier: what is over never moves (G4), and no day lies in two periods.
    ///
    /// # Errors
    /// Where it reaches out of the years that are kept.
    pub fn period_of(&self, day: CivilDate) -> Result<Period, DateError> {
        let period = self.terms.kind.period_of(day)?;
        let is_first = period.start() < self.effective_from && self.effective_from <= day;
        if is_first { Period::new(self.effective_from, period.end()) } else { Ok(period) }
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
    let same_limit = current.terms.limit == terms.limit && current.terms.rules == terms.rules;
    // What was to follow the terms in force follows no more, unless it says the same.
    let pending = revisions.last().filter(|last| last.number != current.number);
    let as_wanted =
        if same_cut { pending.is_none() } else { pending.is_some_and(|last| last.terms == *terms) };
    if same_limit && as_wanted {
        return Ok(Vec::new());
    }
    let mut made = Vec::new();
    if same_cut || !same_limit {
        let (limit, rules) = (terms.limit, terms.rules.clone());
        made.push(next(period.start(), BudgetTerms { limit, rules, ..current.terms.clone() }));
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
        BudgetTerms { limit, kind, zone: TimeZone::parse(zone).unwrap(), rules: Rules::default() }
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
    fn g23_other_thresholds_are_a_revision_that_holds_at_once() {
        let mut revisions = Vec::new();
        grow(&mut revisions, &terms(100, PeriodKind::MONTH, "UTC"));
        let rules = Rules { thresholds: vec![50], ..Rules::default() };
        let other = BudgetTerms { rules, ..terms(100, PeriodKind::MONTH, "UTC") };
        assert_eq!(grow(&mut revisions, &other), ["2026-11-01"]);
        assert_eq!(in_force(&revisions, day("2026-11-24")).unwrap().terms.rules.thresholds, [50]);
    }

    #[test]
    fn g04_another_start_day_waits_for_the_next_boundary() {
        let mut revisions = Vec::new();
        grow(&mut revisions, &terms(100, PeriodKind::MONTH, "UTC"));
        let from_the_25th = terms(100, PeriodKind::Month { start_day: 25 }, "UTC");
        assert_eq!(grow(&mut revisions, &from_the_25th), ["2026-12-01"]);
        let november = in_force(&revisions, day("2026-11-30")).unwrap().period_of(day("2026-11-30")).unwrap();
        assert_eq!(november.end(), day("2026-12-01"), "what is under way ends where it was to end");
        let at = |date| in_force(&revisions, day(date)).unwrap().period_of(day(date)).unwrap();
        let first = Period::new(day("2026-12-01"), day("2026-12-25"));
        assert_eq!(Ok(at("2026-12-24")), first, "and no day of it lies in the one that follows");
        assert_eq!(at("2026-12-25").start(), day("2026-12-25"));
        // Another limit holds at once, also in the first one.
        let in_december = NOW + 10 * 86_400_000_000;
        let less = terms(50, PeriodKind::Month { start_day: 25 }, "UTC");
        let made = revise(&revisions, &less, in_december).unwrap();
        assert_eq!(made.len(), 1);
        assert_eq!(made[0].period_of(day("2026-12-05")), first);
    }

    #[test]
    fn g23_what_is_left_is_carried_as_the_rollover_says() {
        for (rollover, left, overspent) in
            [(Rollover::Off, 0, 0), (Rollover::Positive, 70, 0), (Rollover::All, 70, -30)]
        {
            assert_eq!(rollover.carry(100, 20, 50), Ok(left));
            assert_eq!(rollover.carry(100, 20, 150), Ok(overspent));
            assert_eq!(Rollover::from_code(rollover.code()), Some(rollover));
        }
        assert_eq!(Rollover::All.carry(i64::MAX, 1, 0), Err(Overflow));
    }

    #[test]
    fn g03_today_is_read_in_the_owners_zone() {
        let mut revisions = Vec::new();
        grow(&mut revisions, &terms(100, PeriodKind::MONTH, "Asia/Kolkata"));
        assert_eq!(in_force_at(&revisions, NOW).unwrap().unwrap().1, day("2026-11-25"));
    }
}
