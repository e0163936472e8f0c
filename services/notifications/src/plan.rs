//! When a notice goes out by a channel, if it does.
//!
//! Decided in the transaction that stores the notice, from what is known then; whether it still should go is asked again when its time has come.

use jiff::{Timestamp, ToSpan as _, Unit, ZonedDateTime};

use crate::notice::Notice;
use crate::preferences::{Channel, Mode, Preferences, Rule};

/// When a notice goes out by a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Not at all.
    Not,
    /// By itself, then.
    Alone {
        /// Microseconds since the Unix epoch.
        due_us: i64,
        /// One about the same must not have gone out within this many seconds.
        throttle_s: i64,
    },
    /// With the others of a window that ends then.
    Gathered {
        /// The end of the window, which names it.
        window_us: i64,
        /// When it goes out: later, where the window ends in quiet hours.
        due_us: i64,
    },
}

/// The hour of the day at which a daily digest goes out.
const MORNING: i8 = 8;

// === impl Plan ===

impl Plan {
    pub(crate) fn of(notice: &Notice, channel: Channel, preferences: &Preferences, now_us: i64) -> Self {
        if notice.is_critical {
            return Self::Alone { due_us: now_us, throttle_s: 0 };
        }
        let Some(rule) = rule(notice, channel, preferences) else { return Self::Not };
        let after_quiet = |at_us: i64| match preferences.quiet.filter(|_| channel.disturbs()) {
            Some(quiet) => quiet.release(at_us, &preferences.zone).unwrap_or(at_us),
            None => at_us,
        };
        // A machine gets each message.
        let mode =
            if channel == Channel::Webhook && rule.mode != Mode::Off { Mode::Immediate } else { rule.mode };
        let window = match mode {
            Mode::Off => return Self::Not,
            Mode::Immediate => None,
            Mode::Hourly => next_hour(now_us, preferences),
            Mode::Daily => next_morning(now_us, preferences),
        };
        match window {
            Some(window_us) => Self::Gathered { window_us, due_us: after_quiet(window_us) },
            None => Self::Alone { due_us: after_quiet(now_us), throttle_s: rule.throttle_s },
        }
    }
}

/// The rule, where the sender has not chosen another channel. A channel that was chosen is taken, unless the user has said otherwise.
fn rule(notice: &Notice, channel: Channel, preferences: &Preferences) -> Option<Rule> {
    if notice.channel.is_empty() {
        return Some(preferences.rule(&notice.kind, channel));
    }
    let immediate = Rule { mode: Mode::Immediate, throttle_s: 0 };
    (notice.channel == channel.name()).then(|| preferences.said(&notice.kind, channel).unwrap_or(immediate))
}

fn local(now_us: i64, preferences: &Preferences) -> Option<ZonedDateTime> {
    let now = Timestamp::from_microsecond(now_us).ok()?;
    Some(now.to_zoned_datetime(preferences.zone.clone()))
}

fn next_hour(now_us: i64, preferences: &Preferences) -> Option<i64> {
    let hour = local(now_us, preferences)?
        .round(jiff::ZonedDateTimeRound::new().smallest(Unit::Hour).mode(jiff::RoundMode::Trunc));
    Some(hour.ok()?.checked_add(1.hour()).ok()?.timestamp().as_microsecond())
}

fn next_morning(now_us: i64, preferences: &Preferences) -> Option<i64> {
    let now = local(now_us, preferences)?;
    let morning = |date: jiff::civil::Date| preferences.zone.to_timestamp(date.at(MORNING, 0, 0, 0)).ok();
    let today = morning(now.date())?;
    let next = if today > now.timestamp() { today } else { morning(now.date().tomorrow().ok()?)? };
    Some(next.as_microsecond())
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::quiet::Quiet;

    fn us(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_microsecond()
    }

    fn preferences(mode: Mode) -> Preferences {
        let rule = Rule { mode, throttle_s: 60 };
        Preferences {
            zone: TimeZone::get("Asia/Kolkata").unwrap(),
            quiet: Quiet::try_new(22 * 60, 9 * 60),
            rules: [(("reminder".to_owned(), Channel::Email), rule)].into(),
            ..Preferences::default()
        }
    }

    fn reminder() -> Notice {
        Notice { kind: "reminder".to_owned(), ..Notice::default() }
    }

    const DAY: &str = "2026-11-24T06:10:00Z";
    const NIGHT: &str = "2026-11-24T18:00:00Z";

    #[test]
    fn what_comes_at_night_waits_for_the_morning() {
        let plan = |now| Plan::of(&reminder(), Channel::Email, &preferences(Mode::Immediate), us(now));
        assert_eq!(plan(DAY), Plan::Alone { due_us: us(DAY), throttle_s: 60 });
        assert_eq!(plan(NIGHT), Plan::Alone { due_us: us("2026-11-25T03:30:00Z"), throttle_s: 60 });
    }

    #[test]
    fn what_is_critical_waits_for_nothing() {
        let critical = Notice { is_critical: true, ..reminder() };
        for mode in [Mode::Off, Mode::Daily] {
            let plan = Plan::of(&critical, Channel::Email, &preferences(mode), us(NIGHT));
            assert_eq!(plan, Plan::Alone { due_us: us(NIGHT), throttle_s: 0 });
        }
    }

    #[test]
    fn a_digest_is_named_by_the_end_of_its_window() {
        let hourly = Plan::of(&reminder(), Channel::Email, &preferences(Mode::Hourly), us(DAY));
        let end = us("2026-11-24T06:30:00Z");
        assert_eq!(hourly, Plan::Gathered { window_us: end, due_us: end }, "12:00 there");
        let daily = Plan::of(&reminder(), Channel::Email, &preferences(Mode::Daily), us(DAY));
        let (window_us, due_us) = (us("2026-11-25T02:30:00Z"), us("2026-11-25T03:30:00Z"));
        assert_eq!(daily, Plan::Gathered { window_us, due_us }, "08:00 is quiet there");
    }

    #[test]
    fn a_chosen_channel_is_the_only_one_and_the_users_no_is_kept() {
        let chosen =
            Notice { channel: "email".to_owned(), kind: "moon_phase".to_owned(), ..Notice::default() };
        let plan = |channel, preferences| Plan::of(&chosen, channel, &preferences, us(DAY));
        assert_eq!(
            plan(Channel::Email, Preferences::default()),
            Plan::Alone { due_us: us(DAY), throttle_s: 0 }
        );
        assert_eq!(plan(Channel::Push, Preferences::default()), Plan::Not);
        let mut no = Preferences::default();
        no.rules.insert(("*".to_owned(), Channel::Email), Rule { mode: Mode::Off, throttle_s: 0 });
        assert_eq!(plan(Channel::Email, no), Plan::Not);
    }

    #[test]
    fn a_machine_has_no_quiet_hours() {
        let mut preferences = preferences(Mode::Immediate);
        preferences
            .rules
            .insert(("*".to_owned(), Channel::Webhook), Rule { mode: Mode::Daily, throttle_s: 0 });
        let plan = Plan::of(&reminder(), Channel::Webhook, &preferences, us(NIGHT));
        assert_eq!(plan, Plan::Alone { due_us: us(NIGHT), throttle_s: 0 });
    }
}
