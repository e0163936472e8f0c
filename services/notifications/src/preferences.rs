//! What a user wants to be told, and where.
//!
//! A preference is a mode for a type and a channel. What the user has not said is said by the type `*`, and what that does not say by the defaults
//! here: everything is in the feed and goes to the webhooks that were made for it; a phone gets what wants to be seen today, a mailbox what wants an answer.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use crate::quiet::Quiet;

/// A way by which a user is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Channel {
    InApp,
    Email,
    Push,
    Webhook,
}

/// Whether and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Off,
    Immediate,
    /// Gathered and told once an hour.
    Hourly,
    /// Gathered and told once a day, in the morning.
    Daily,
}

/// What holds for a type and a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) mode: Mode,
    /// One about the same may follow after this many seconds; 0 for any time.
    pub(crate) throttle_s: i64,
}

/// What a user has said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Preferences {
    pub(crate) locale: String,
    /// The IANA name of the zone, and the zone.
    pub(crate) zone_name: String,
    pub(crate) zone: TimeZone,
    pub(crate) quiet: Option<Quiet>,
    /// Where e-mail goes; empty for nowhere.
    pub(crate) email: String,
    /// Whether whoever reads the mailbox has said that it is the user's: nothing goes there before.
    pub(crate) is_email_confirmed: bool,
    /// Whether amounts may leave the feed, for a lock screen or a list of mails (G29).
    pub(crate) shows_amounts: bool,
    pub(crate) rules: BTreeMap<(String, Channel), Rule>,
}

/// What a user changes of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Change {
    pub(crate) locale: Option<String>,
    /// The IANA name of the zone, and the zone.
    pub(crate) zone: Option<(String, TimeZone)>,
    /// The quiet hours, or that there are none any more.
    pub(crate) quiet: Option<Option<Quiet>>,
    pub(crate) email: Option<String>,
    pub(crate) shows_amounts: Option<bool>,
    /// Rules to set, or to take away.
    pub(crate) rules: Vec<((String, Channel), Option<Rule>)>,
}

/// The type that stands for all which have no rule of their own.
pub(crate) const ANY: &str = "*";

// === impl Channel ===

impl Channel {
    pub(crate) const ALL: [Self; 4] = [Self::InApp, Self::Email, Self::Push, Self::Webhook];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::InApp => "in_app",
            Self::Email => "email",
            Self::Push => "push",
            Self::Webhook => "webhook",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.name() == name)
    }

    /// Whether it disturbs somebody: a machine has no quiet hours and wants each message.
    pub(crate) const fn disturbs(self) -> bool {
        matches!(self, Self::Email | Self::Push)
    }
}

// === impl Mode ===

impl Mode {
    const ALL: [Self; 4] = [Self::Off, Self::Immediate, Self::Hourly, Self::Daily];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Immediate => "immediate",
            Self::Hourly => "hourly",
            Self::Daily => "daily",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

// === impl Rule ===

impl Rule {
    const fn new(mode: Mode) -> Self {
        Self { mode, throttle_s: 0 }
    }

    /// What holds where the user has said nothing.
    fn usual(kind: &str, channel: Channel) -> Self {
        let wants_an_answer =
            matches!(kind, "budget_exceeded" | "system_alert" | "recurring_missed" | "sync_failed");
        let wants_to_be_seen = wants_an_answer
            || matches!(
                kind,
                "budget_warning" | "transaction_alert" | "reminder" | "goal_milestone" | "document_ready"
            );
        let is_on = match channel {
            Channel::InApp | Channel::Webhook => true,
            Channel::Push => wants_to_be_seen,
            Channel::Email => wants_an_answer,
        };
        Self::new(if is_on { Mode::Immediate } else { Mode::Off })
    }
}

// === impl Preferences ===

impl Default for Preferences {
    fn default() -> Self {
        Self {
            locale: "en".to_owned(),
            zone_name: "UTC".to_owned(),
            zone: TimeZone::UTC,
            quiet: None,
            email: String::new(),
            is_email_confirmed: false,
            shows_amounts: false,
            rules: BTreeMap::new(),
        }
    }
}

impl Preferences {
    /// Makes a change and leaves the rest.
    pub(crate) fn apply(&mut self, change: &Change) {
        if let Some(locale) = &change.locale {
            self.locale.clone_from(locale);
        }
        if let Some((name, zone)) = &change.zone {
            self.zone_name.clone_from(name);
            self.zone = zone.clone();
        }
        if let Some(quiet) = change.quiet {
            self.quiet = quiet;
        }
        if let Some(email) = change.email.as_ref().filter(|email| **email != self.email) {
            self.email.clone_from(email);
            self.is_email_confirmed = false;
        }
        if let Some(shows_amounts) = change.shows_amounts {
            self.shows_amounts = shows_amounts;
        }
        for (key, rule) in &change.rules {
            let _before = match rule {
                Some(rule) => self.rules.insert(key.clone(), *rule),
                None => self.rules.remove(key),
            };
        }
    }

    /// What holds for a type and a channel.
    pub(crate) fn rule(&self, kind: &str, channel: Channel) -> Rule {
        self.said(kind, channel).unwrap_or_else(|| Rule::usual(kind, channel))
    }

    /// What the user has said themselves of a type and a channel.
    pub(crate) fn said(&self, kind: &str, channel: Channel) -> Option<Rule> {
        let said = |kind: &str| self.rules.get(&(kind.to_owned(), channel)).copied();
        said(kind).or_else(|| said(ANY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_types_own_rule_comes_before_that_of_all_and_the_defaults() {
        let mut preferences = Preferences::default();
        assert_eq!(preferences.rule("budget_exceeded", Channel::Email).mode, Mode::Immediate);
        assert_eq!(preferences.rule("moon_phase", Channel::Push).mode, Mode::Off);
        assert_eq!(preferences.rule("moon_phase", Channel::InApp).mode, Mode::Immediate);
        preferences.rules.insert((ANY.to_owned(), Channel::Email), Rule::new(Mode::Daily));
        assert_eq!(preferences.rule("budget_exceeded", Channel::Email).mode, Mode::Daily);
        preferences.rules.insert(("reminder".to_owned(), Channel::Email), Rule::new(Mode::Off));
        assert_eq!(preferences.rule("reminder", Channel::Email).mode, Mode::Off);
        assert_eq!(preferences.rule("reminder", Channel::Push).mode, Mode::Immediate);
    }

    #[test]
    fn names_come_back_as_they_went() {
        for channel in Channel::ALL {
            assert_eq!(Channel::parse(channel.name()), Some(channel));
        }
        for mode in Mode::ALL {
            assert_eq!(Mode::parse(mode.name()), Some(mode));
        }
    }
}
