//! Civil dates and zones.

use std::fmt;

use jiff::{Timestamp, civil};

/// A day in the calendar, without time or zone (G2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CivilDate(civil::Date);

/// An IANA time zone.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeZone(jiff::tz::TimeZone);

/// Why something is no date.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DateError {
    /// It is not a day of the calendar.
    #[error("is not a day of the calendar: write it like 2026-11-03")]
    NotADate,
    /// It is neither a date nor an instant.
    #[error(
        "is neither a date like 2026-11-03 nor a time like 2026-11-03T18:30 or 2026-11-03T18:30:00+05:30"
    )]
    NotAnInstant,
    /// It lies outside of the years that are kept.
    #[error("is out of range: years 1 to 9999")]
    OutOfRange,
    /// There is no such zone.
    #[error("is no time zone: give an IANA name such as Asia/Kolkata")]
    UnknownZone,
    /// It is not a period.
    #[error("is no period: write it like 2018-03, 2018, 2018-Q1, 2018-W10, or 2018-03-01..2018-04-01")]
    NotAPeriod,
}

// === impl CivilDate ===

impl CivilDate {
    /// A day of the years 1 to 9999.
    ///
    /// # Errors
    /// Where there is no such day.
    pub fn new(year: i16, month: i8, day: i8) -> Result<Self, DateError> {
        if year < 1 {
            return Err(DateError::NotADate);
        }
        civil::Date::new(year, month, day).map(Self).map_err(|_| DateError::NotADate)
    }

    /// Reads `2026-11-03` and nothing else.
    ///
    /// # Errors
    /// Where it is not that.
    pub fn parse(text: &str) -> Result<Self, DateError> {
        let bytes = text.as_bytes();
        let shaped = bytes.len() == 10 && bytes[4] == b'-' && bytes[7] == b'-';
        let digits = |range: std::ops::Range<usize>| -> Result<i16, DateError> {
            let part = text.get(range).ok_or(DateError::NotADate)?;
            if !part.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(DateError::NotADate);
            }
            part.parse().map_err(|_| DateError::NotADate)
        };
        if !shaped {
            return Err(DateError::NotADate);
        }
        let small = |value: i16| i8::try_from(value).map_err(|_| DateError::NotADate);
        Self::new(digits(0..4)?, small(digits(5..7)?)?, small(digits(8..10)?)?)
    }

    /// The day that it was in `zone` at an instant, microseconds since the Unix epoch.
    ///
    /// # Errors
    /// Where the instant is out of range.
    pub fn from_instant_us(us: i64, zone: &TimeZone) -> Result<Self, DateError> {
        let instant = Timestamp::from_microsecond(us).map_err(|_| DateError::OutOfRange)?;
        Ok(Self(zone.0.to_datetime(instant).date()))
    }

    /// The day this many days after 1970-01-01.
    ///
    /// # Errors
    /// Where it is out of range.
    pub fn from_epoch_days(days: i64) -> Result<Self, DateError> {
        Self(civil::date(1970, 1, 1)).add_days(days)
    }

    /// The instant at which it begins in `zone`, microseconds since the Unix epoch. Where a clock change skips midnight, the first instant after.
    ///
    /// # Errors
    /// Where that is out of range.
    pub fn begins_at_us(self, zone: &TimeZone) -> Result<i64, DateError> {
        let midnight = zone.0.to_timestamp(self.0.at(0, 0, 0, 0)).map_err(|_| DateError::OutOfRange)?;
        Ok(midnight.as_microsecond())
    }

    /// Days since 1970-01-01: how a date is stored.
    #[must_use]
    pub fn epoch_days(self) -> i64 {
        // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil.
        let (year, month, day) = (i64::from(self.year()), i64::from(self.month()), i64::from(self.day()));
        let year = if month <= 2 { year - 1 } else { year };
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
    }

    /// This many days later.
    ///
    /// # Errors
    /// Where that is out of range.
    pub fn add_days(self, days: i64) -> Result<Self, DateError> {
        let span = jiff::Span::new().try_days(days).map_err(|_| DateError::OutOfRange)?;
        let date = self.0.checked_add(span).map_err(|_| DateError::OutOfRange)?;
        if date.year() < 1 { Err(DateError::OutOfRange) } else { Ok(Self(date)) }
    }

    /// The year.
    #[must_use]
    pub fn year(self) -> i16 {
        self.0.year()
    }

    /// The month, from 1.
    #[must_use]
    pub fn month(self) -> i8 {
        self.0.month()
    }

    /// The day of the month, from 1.
    #[must_use]
    pub fn day(self) -> i8 {
        self.0.day()
    }

    /// How many days its month has.
    #[must_use]
    pub fn days_in_month(self) -> i8 {
        self.0.days_in_month()
    }

    /// The ISO weekday: 1 for Monday to 7 for Sunday.
    #[must_use]
    pub fn weekday(self) -> i8 {
        self.0.weekday().to_monday_one_offset()
    }
}

impl fmt::Display for CivilDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year(), self.month(), self.day())
    }
}

// === impl TimeZone ===

impl TimeZone {
    /// A zone by its IANA name.
    ///
    /// # Errors
    /// Where there is none.
    pub fn parse(name: &str) -> Result<Self, DateError> {
        jiff::tz::TimeZone::get(name).map(Self).map_err(|_| DateError::UnknownZone)
    }

    /// Coordinated universal time.
    #[must_use]
    pub const fn utc() -> Self {
        Self(jiff::tz::TimeZone::UTC)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }
}

/// Reads a date; a date with a time of no zone, of which the day counts; or an RFC 3339 instant, which is converted once with the owner's zone and kept
/// (microseconds since the Unix epoch) beside the date (G2). Either time may leave out its seconds.
///
/// # Errors
/// Where it is none of them.
pub fn parse_when(text: &str, zone: &TimeZone) -> Result<(CivilDate, Option<i64>), DateError> {
    if !text.contains(['T', 't', ' ']) {
        return Ok((CivilDate::parse(text)?, None));
    }
    let has_offset = shape(text).ok_or(DateError::NotAnInstant)?;
    if !has_offset {
        // A time of nobody's zone is no instant; the day that it names is the civil date.
        let local: civil::DateTime = text.parse().map_err(|_| DateError::NotAnInstant)?;
        return Ok((CivilDate::new(local.year(), local.month(), local.day())?, None));
    }
    let instant: Timestamp = text.parse().map_err(|_| DateError::NotAnInstant)?;
    let us = instant.as_microsecond();
    Ok((CivilDate::from_instant_us(us, zone)?, Some(us)))
}

/// Whether a text with the shape of RFC 3339, its seconds or its offset perhaps left out, has an offset; none where it has not that shape. The shape is narrower
/// than what can be parsed: no basic form, no signed years, no zone's name, no offset of more than a day.
fn shape(text: &str) -> Option<bool> {
    let has = |text: &str, shape: &[u8]| {
        let fits = |(byte, wanted): (u8, &u8)| byte == *wanted || (*wanted == b'0' && byte.is_ascii_digit());
        text.len() == shape.len() && text.bytes().zip(shape).all(fits)
    };
    let (date, rest) = (text.get(..10)?, text.get(11..)?);
    let (time, offset) = match rest.strip_suffix(['Z', 'z']) {
        Some(time) => (time, None),
        None => rest.find(['+', '-']).map_or((rest, None), |at| (&rest[..at], Some(&rest[at + 1..]))),
    };
    let is_offset = offset.is_none_or(|offset| has(offset, b"00:00") && offset[..2] < *"24");
    let (whole, fraction) = time.split_once('.').map_or((time, None), |(whole, rest)| (whole, Some(rest)));
    let is_fraction = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_time = match fraction {
        None => has(whole, b"00:00") || has(whole, b"00:00:00"),
        Some(fraction) => has(whole, b"00:00:00") && is_fraction(fraction),
    };
    let is_separated = text.as_bytes()[10..11].iter().all(|byte| b"Tt ".contains(byte));
    (has(date, b"0000-00-00") && is_separated && is_offset && is_time).then_some(time.len() < rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn g02_an_instant_is_converted_once_with_the_owners_zone() {
        let kolkata = TimeZone::parse("Asia/Kolkata").unwrap();
        let (date, instant) = parse_when("2026-11-03T18:30:00Z", &kolkata).unwrap();
        assert_eq!((date.to_string().as_str(), instant), ("2026-11-04", Some(1_793_730_600_000_000)));
        assert_eq!(parse_when("2026-11-03T18:29:59Z", &kolkata).unwrap().0.to_string(), "2026-11-03");
        assert_eq!(parse_when("2026-11-03", &kolkata).unwrap().1, None);
        assert_eq!(
            parse_when("2026-11-03T18:30:00.250+05:30", &kolkata).unwrap().0.to_string(),
            "2026-11-03"
        );
        // Seconds may be left out, and an offset may have up to a day.
        let without = parse_when("2026-11-04T00:00+05:30", &kolkata).unwrap();
        assert_eq!((without.0.to_string().as_str(), without.1), ("2026-11-04", Some(1_793_730_600_000_000)));
        assert_eq!(parse_when("2026-11-03T18:30z", &kolkata).unwrap().1, without.1);
        assert!(parse_when("2026-11-03T10:00:00-23:59", &kolkata).is_ok());
        assert_eq!(parse_when("2026-11-03T10:00", &kolkata).unwrap().1, None);
        // A time without an offset is nobody's instant.
        let (date, instant) = parse_when("2026-11-03T23:59:59.5", &kolkata).unwrap();
        assert_eq!((date.to_string().as_str(), instant), ("2026-11-03", None));
    }

    #[test]
    fn g02_a_malformed_date_is_refused() {
        for text in [
            "",
            "2026-02-30",
            "2026-13-01",
            "26-01-01",
            "2026-1-1",
            "0000-01-01",
            "2026/01/01",
            "2026-01-01T",
            "2026-01-01T10",
            "2026-01-01T10:0",
            "2026-01-01T10:00.5",
            "2026-01-01T10:00:00.",
            "2026-01-01T25:00",
            "2026-01-01T10:60",
            "2026-02-30T10:00",
            "2026-01-01T10:00:00+25:00",
            "2026-01-01T10:00:00+24:00",
            "2026-01-01T10:00:00-25:59",
            "2026-01-01T10:00:00+05:60",
            "2026-01-01T10:00:00+05",
            "2026-01-01T10:00:00Z+05:00",
            "2026-01-01T10:00:00+05:00Z",
            "2026-02-30T10:00:00",
            "20261103T100000Z",
            "+002026-11-03T10:00:00Z",
            "2026-11-03T10:00:00[Asia/Kolkata]",
            "2026-11-03T10:00:00+05:30[Asia/Kolkata]",
            "2026-11-03T10:00:00+0530",
            "x",
        ] {
            assert!(parse_when(text, &TimeZone::utc()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn g02_days_since_the_epoch_round_trip(days in -700_000_i64..2_900_000) {
            let date = CivilDate::from_epoch_days(days).unwrap();
            prop_assert_eq!(date.epoch_days(), days);
            prop_assert_eq!(CivilDate::parse(&date.to_string()), Ok(date));
        }

        #[test]
        fn g02_no_text_panics(text: String) {
            let _ = parse_when(&text, &TimeZone::utc());
        }
    }
}
