//! Half-open spans of days (G3).

use std::fmt;

use crate::{CivilDate, DateError};

/// The days from `start` to the day before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period {
    start: CivilDate,
    end: CivilDate,
}

/// How the calendar is cut into periods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeriodKind {
    /// Seven days from an ISO weekday, 1 for Monday.
    Week {
        /// The first day.
        start_weekday: i8,
    },
    /// Fourteen days, counted from an anchor.
    TwoWeeks {
        /// A day on which one begins.
        anchor: CivilDate,
    },
    /// The 1st to the 15th, and the 16th to the last.
    HalfMonth,
    /// From a day of the month, clamped to the month's last, to the day before the next such day.
    Month {
        /// 1 to 31.
        start_day: i8,
    },
    /// Three months from January, April, July or October.
    Quarter,
    /// January to December.
    Year,
    /// A fixed number of days, counted from an anchor.
    Days {
        /// At least 1.
        length: u16,
        /// A day on which one begins.
        anchor: CivilDate,
    },
}

// === impl Period ===

impl Period {
    /// The days from `start` to the day before `end`.
    ///
    /// # Errors
    /// Where that is no day.
    pub fn new(start: CivilDate, end: CivilDate) -> Result<Self, DateError> {
        if start < end { Ok(Self { start, end }) } else { Err(DateError::NotAPeriod) }
    }

    /// The first day.
    #[must_use]
    pub const fn start(self) -> CivilDate {
        self.start
    }

    /// The day after the last.
    #[must_use]
    pub const fn end(self) -> CivilDate {
        self.end
    }

    /// Whether a day lies in it.
    #[must_use]
    pub fn contains(self, date: CivilDate) -> bool {
        self.start <= date && date < self.end
    }

    /// Reads `2018-03`, `2018`, `2018-Q1`, `2018-W10` or `2018-03-01..2018-04-01`.
    ///
    /// # Errors
    /// Where it is none of them.
    pub fn parse(text: &str) -> Result<Self, DateError> {
        let wrong = |_| DateError::NotAPeriod;
        if let Some((start, end)) = text.split_once("..") {
            return Self::new(CivilDate::parse(start).map_err(wrong)?, CivilDate::parse(end).map_err(wrong)?);
        }
        let (year, rest) = text.split_at_checked(4).ok_or(DateError::NotAPeriod)?;
        let year: i16 = number(year)?;
        let january = CivilDate::new(year, 1, 1).map_err(wrong)?;
        match rest.as_bytes() {
            [] => PeriodKind::Year.period_of(january),
            [b'-', b'Q', quarter @ b'1'..=b'4'] => {
                let month = i8::try_from(quarter - b'1').map_err(|_| DateError::NotAPeriod)? * 3 + 1;
                PeriodKind::Quarter.period_of(CivilDate::new(year, month, 1)?)
            }
            [b'-', b'W', _, _] => iso_week(year, number(&rest[2..])?),
            [b'-', _, _] => {
                let month = i8::try_from(number::<i16>(&rest[1..])?).map_err(|_| DateError::NotAPeriod)?;
                PeriodKind::MONTH.period_of(CivilDate::new(year, month, 1).map_err(wrong)?)
            }
            _ => Err(DateError::NotAPeriod),
        }
    }
}

impl fmt::Display for Period {
    /// `2018-03` for a calendar month, `start..end` for any other.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if PeriodKind::MONTH.period_of(self.start) == Ok(*self) {
            return write!(f, "{:04}-{:02}", self.start.year(), self.start.month());
        }
        write!(f, "{}..{}", self.start, self.end)
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, DateError> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(DateError::NotAPeriod);
    }
    text.parse().map_err(|_| DateError::NotAPeriod)
}

/// ISO 8601: week 1 is the one with the year's first Thursday, so the one with the 4th of January.
fn iso_week(year: i16, week: i64) -> Result<Period, DateError> {
    let fourth = CivilDate::new(year, 1, 4)?;
    let first_monday = fourth.add_days(1 - i64::from(fourth.weekday()))?;
    let start = first_monday.add_days((week - 1) * 7)?;
    // The week's Thursday says whose year it is.
    if week < 1 || start.add_days(3)?.year() != year {
        return Err(DateError::NotAPeriod);
    }
    Period::new(start, start.add_days(7)?)
}

// === impl PeriodKind ===

impl PeriodKind {
    /// Calendar months.
    pub const MONTH: Self = Self::Month { start_day: 1 };

    /// The period in which a day lies.
    ///
    /// # Errors
    /// Where it reaches out of the years that are kept.
    pub fn period_of(self, date: CivilDate) -> Result<Period, DateError> {
        match self {
            Self::Week { start_weekday } => {
                let since = i64::from((date.weekday() - start_weekday).rem_euclid(7));
                let start = date.add_days(-since)?;
                Period::new(start, start.add_days(7)?)
            }
            Self::TwoWeeks { anchor } => days_from(anchor, 14, date),
            Self::Days { length, anchor } => days_from(anchor, i64::from(length.max(1)), date),
            Self::HalfMonth if date.day() <= 15 => {
                Period::new(on(date.year(), date.month(), 1)?, on(date.year(), date.month(), 16)?)
            }
            Self::HalfMonth => Period::new(on(date.year(), date.month(), 16)?, month_after(date, 1, 1)?),
            Self::Month { start_day } => {
                let this = on(date.year(), date.month(), start_day)?;
                if date >= this {
                    Period::new(this, month_after(date, 1, start_day)?)
                } else {
                    Period::new(month_after(date, -1, start_day)?, this)
                }
            }
            Self::Quarter => {
                let first = on(date.year(), (date.month() - 1) / 3 * 3 + 1, 1)?;
                Period::new(first, month_after(first, 3, 1)?)
            }
            Self::Year => {
                let first = on(date.year(), 1, 1)?;
                Period::new(first, month_after(first, 12, 1)?)
            }
        }
    }
}

/// A day of a month, clamped to its last.
fn on(year: i16, month: i8, day: i8) -> Result<CivilDate, DateError> {
    let first = CivilDate::new(year, month, 1).map_err(|_| DateError::OutOfRange)?;
    CivilDate::new(year, month, day.clamp(1, first.days_in_month()))
}

/// That day some months later, clamped likewise.
pub(crate) fn month_after(date: CivilDate, months: i16, day: i8) -> Result<CivilDate, DateError> {
    let count = i32::from(date.year()) * 12 + i32::from(date.month()) - 1 + i32::from(months);
    let year = i16::try_from(count.div_euclid(12)).map_err(|_| DateError::OutOfRange)?;
    let month = i8::try_from(count.rem_euclid(12) + 1).map_err(|_| DateError::OutOfRange)?;
    on(year, month, day)
}

fn days_from(anchor: CivilDate, length: i64, date: CivilDate) -> Result<Period, DateError> {
    let since = (date.epoch_days() - anchor.epoch_days()).rem_euclid(length);
    let start = date.add_days(-since)?;
    Period::new(start, start.add_days(length)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn date(text: &str) -> CivilDate {
        CivilDate::parse(text).unwrap()
    }

    fn period(kind: PeriodKind, day: &str) -> String {
        let period = kind.period_of(date(day)).unwrap();
        format!("{}..{}", period.start(), period.end())
    }

    #[test]
    fn g03_a_month_starts_on_its_day_clamped_to_the_last() {
        let month = |start_day| PeriodKind::Month { start_day };
        assert_eq!(period(month(1), "2026-11-24"), "2026-11-01..2026-12-01");
        assert_eq!(period(month(25), "2026-11-24"), "2026-10-25..2026-11-25");
        assert_eq!(period(month(31), "2026-02-28"), "2026-02-28..2026-03-31");
        assert_eq!(period(month(31), "2026-02-27"), "2026-01-31..2026-02-28");
        assert_eq!(period(month(30), "2028-02-29"), "2028-02-29..2028-03-30");
    }

    #[test]
    fn g03_every_kind_is_half_open() {
        assert_eq!(period(PeriodKind::Week { start_weekday: 1 }, "2026-11-24"), "2026-11-23..2026-11-30");
        assert_eq!(period(PeriodKind::Week { start_weekday: 7 }, "2026-11-24"), "2026-11-22..2026-11-29");
        assert_eq!(period(PeriodKind::HalfMonth, "2026-02-15"), "2026-02-01..2026-02-16");
        assert_eq!(period(PeriodKind::HalfMonth, "2026-12-16"), "2026-12-16..2027-01-01");
        assert_eq!(period(PeriodKind::Quarter, "2026-11-24"), "2026-10-01..2027-01-01");
        assert_eq!(period(PeriodKind::Year, "2026-11-24"), "2026-01-01..2027-01-01");
        let anchor = date("2026-11-02");
        assert_eq!(period(PeriodKind::TwoWeeks { anchor }, "2026-11-01"), "2026-10-19..2026-11-02");
        assert_eq!(period(PeriodKind::Days { length: 10, anchor }, "2026-11-12"), "2026-11-12..2026-11-22");
    }

    #[test]
    fn g03_periods_are_read() {
        for (text, expected) in [
            ("2018-03", "2018-03-01..2018-04-01"),
            ("2018", "2018-01-01..2019-01-01"),
            ("2018-Q4", "2018-10-01..2019-01-01"),
            ("2018-W01", "2018-01-01..2018-01-08"),
            ("2020-W53", "2020-12-28..2021-01-04"),
            ("2018-03-05..2018-03-06", "2018-03-05..2018-03-06"),
        ] {
            let period = Period::parse(text).unwrap();
            assert_eq!(format!("{}..{}", period.start(), period.end()), expected, "{text}");
        }
        for text in [
            "",
            "2018-13",
            "2018-00",
            "2018-Q5",
            "2018-W53",
            "2018-W00",
            "18-03",
            "2018-3",
            "2018-04-01..2018-04-01",
            "é018",
        ] {
            assert_eq!(Period::parse(text), Err(DateError::NotAPeriod), "{text}");
        }
    }

    fn kinds() -> impl Strategy<Value = PeriodKind> {
        let anchor = || (0_i64..40_000).prop_map(|days| CivilDate::from_epoch_days(days).unwrap());
        prop_oneof![
            (1_i8..=7).prop_map(|start_weekday| PeriodKind::Week { start_weekday }),
            anchor().prop_map(|anchor| PeriodKind::TwoWeeks { anchor }),
            Just(PeriodKind::HalfMonth),
            (1_i8..=31).prop_map(|start_day| PeriodKind::Month { start_day }),
            Just(PeriodKind::Quarter),
            Just(PeriodKind::Year),
            (1_u16..400, anchor()).prop_map(|(length, anchor)| PeriodKind::Days { length, anchor }),
        ]
    }

    proptest! {
        #[test]
        fn g03_periods_tile_the_calendar(kind in kinds(), days in 0_i64..40_000) {
            let day = CivilDate::from_epoch_days(days).unwrap();
            let period = kind.period_of(day).unwrap();
            prop_assert!(period.contains(day));
            let next = kind.period_of(period.end()).unwrap();
            prop_assert_eq!(next.start(), period.end());
            prop_assert_eq!(kind.period_of(period.end().add_days(-1).unwrap()).unwrap(), period);
        }

        #[test]
        fn g03_no_text_panics(text: String) {
            let _ = Period::parse(&text);
        }
    }
}
