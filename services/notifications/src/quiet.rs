//! Quiet hours: when a user is not to be disturbed, and when that ends.
//!
//! They are hours of the wall clock where the user lives, so a night has seven or nine hours where the clocks change, and may lie over midnight.
//! What comes in quiet hours waits for their end; it is not dropped.

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

/// From when until when, in minutes since midnight; over midnight where it ends before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quiet {
    begin: i16,
    end: i16,
}

/// Minutes of a day.
const DAY: i16 = 24 * 60;

// === impl Quiet ===

impl Quiet {
    /// None where it begins when it ends, or at no minute of a day.
    pub(crate) fn try_new(begin: i64, end: i64) -> Option<Self> {
        let minute = |minute: i64| i16::try_from(minute).ok().filter(|minute| (0..DAY).contains(minute));
        let (begin, end) = (minute(begin)?, minute(end)?);
        (begin != end).then_some(Self { begin, end })
    }

    pub(crate) const fn begin(self) -> i16 {
        self.begin
    }

    pub(crate) const fn end(self) -> i16 {
        self.end
    }

    /// When what comes now may go out: none for at once.
    pub(crate) fn release(self, now_us: i64, zone: &TimeZone) -> Option<i64> {
        let now = Timestamp::from_microsecond(now_us).ok()?;
        let local = zone.to_datetime(now);
        if !self.contains(local) {
            return None;
        }
        let over_midnight = self.end < self.begin && minute_of(local) >= self.begin;
        let date = if over_midnight { local.date().checked_add(1.day()).ok()? } else { local.date() };
        let end =
            Time::new(i8::try_from(self.end / 60).ok()?, i8::try_from(self.end % 60).ok()?, 0, 0).ok()?;
        let end = zone.to_ambiguous_timestamp(date.to_datetime(end));
        // Where the clocks go back, the end comes twice: the one that is still to come counts. Where they go forward over it, it is as
        // much later as they went.
        let release = end.compatible().ok().filter(|first| *first > now).or_else(|| end.later().ok())?;
        Some(release.as_microsecond())
    }

    fn contains(self, local: DateTime) -> bool {
        let minute = minute_of(local);
        if self.begin < self.end {
            (self.begin..self.end).contains(&minute)
        } else {
            minute >= self.begin || minute < self.end
        }
    }
}

fn minute_of(local: DateTime) -> i16 {
    i16::from(local.hour()) * 60 + i16::from(local.minute())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn us(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_microsecond()
    }

    fn released(quiet: (i64, i64), now: &str, name: &str) -> Option<String> {
        let release = Quiet::try_new(quiet.0, quiet.1).unwrap().release(us(now), &zone(name))?;
        Some(Timestamp::from_microsecond(release).unwrap().to_string())
    }

    const NIGHT: (i64, i64) = (22 * 60, 7 * 60);

    #[test]
    fn a_night_lies_over_midnight_where_the_user_lives() {
        let kolkata = |now| released(NIGHT, now, "Asia/Kolkata");
        assert_eq!(kolkata("2026-11-24T16:29:59Z"), None, "21:59 there");
        assert_eq!(kolkata("2026-11-24T16:30:00Z").unwrap(), "2026-11-25T01:30:00Z");
        assert_eq!(kolkata("2026-11-24T20:00:00Z").unwrap(), "2026-11-25T01:30:00Z", "01:30 there");
        assert_eq!(kolkata("2026-11-25T01:30:00Z"), None);
        assert_eq!(
            released((12 * 60, 14 * 60), "2026-11-24T12:30:00Z", "UTC").unwrap(),
            "2026-11-24T14:00:00Z"
        );
    }

    #[test]
    fn a_night_is_as_long_as_the_clocks_make_it() {
        let berlin = |now| released(NIGHT, now, "Europe/Berlin");
        assert_eq!(berlin("2026-03-28T21:00:00Z").unwrap(), "2026-03-29T05:00:00Z", "eight hours");
        assert_eq!(berlin("2026-10-24T20:00:00Z").unwrap(), "2026-10-25T06:00:00Z", "ten hours");
    }

    #[test]
    fn an_end_that_comes_twice_or_never_is_an_end_all_the_same() {
        let early = (60, 2 * 60 + 30);
        let berlin = |now| released(early, now, "Europe/Berlin");
        // 02:30 is skipped: the clocks go from 02:00 to 03:00.
        assert_eq!(berlin("2026-03-29T00:30:00Z").unwrap(), "2026-03-29T01:30:00Z");
        // 02:30 comes at 00:30 and at 01:30 UTC; it is 02:10 for the second time.
        assert_eq!(berlin("2026-10-25T00:10:00Z").unwrap(), "2026-10-25T00:30:00Z");
        assert_eq!(berlin("2026-10-25T01:10:00Z").unwrap(), "2026-10-25T01:30:00Z");
    }

    #[test]
    fn what_is_no_stretch_of_a_day_is_none() {
        for (begin, end) in [(0, 0), (-1, 5), (0, 1440), (600, 600)] {
            assert_eq!(Quiet::try_new(begin, end), None);
        }
    }

    proptest! {
        #[test]
        fn what_waits_goes_out_within_a_day_and_not_in_quiet_hours(
            begin in 0_i64..1440, end in 0_i64..1440, now_s in 1_500_000_000_i64..2_000_000_000,
            name in prop::sample::select(vec!["UTC", "Asia/Kolkata", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "America/St_Johns"]),
        ) {
            let Some(quiet) = Quiet::try_new(begin, end) else { return Ok(()) };
            let (zone, now) = (zone(name), now_s * 1_000_000);
            if let Some(release) = quiet.release(now, &zone) {
                prop_assert!(release > now);
                // A day may have 25 hours.
                prop_assert!(release - now <= 25 * 3_600 * 1_000_000);
                prop_assert_eq!(quiet.release(release, &zone), None, "released into quiet hours");
            } else {
                prop_assert!(!quiet.contains(zone.to_datetime(Timestamp::from_second(now_s).unwrap())));
            }
        }
    }
}
