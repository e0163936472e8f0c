//! The grammar of what goes out: preferences, webhooks, deliveries.

use clap::{Args, Subcommand, ValueEnum};

use super::inspect::parse_instant;

/// `pathway preferences`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Preferences {
    /// What to do with them; they are shown unless it is said.
    #[command(subcommand)]
    pub action: Option<PreferenceAction>,
    /// The user.
    #[arg(long, required = true)]
    pub user: Option<String>,
}

/// What can be done with preferences.
#[derive(Debug, Subcommand)]
pub enum PreferenceAction {
    /// Change what is given and leave the rest.
    Set(PreferenceSet),
    /// Confirm the address that e-mail goes to, by what was sent there.
    Confirm(EmailToken),
    /// Take the address away, by the token of an e-mail's header List-Unsubscribe.
    Unsubscribe(EmailToken),
    /// Show what a notice would read like.
    Preview(Preview),
}

/// A token that was sent to an address.
#[derive(Debug, Args)]
pub struct EmailToken {
    /// The token.
    pub token: String,
    /// The user.
    #[arg(long)]
    pub user: String,
}

/// `pathway preferences set`
#[derive(Debug, Args)]
pub struct PreferenceSet {
    /// The user.
    #[arg(long)]
    pub user: String,
    /// The language: en or hi.
    #[arg(long)]
    pub locale: Option<String>,
    /// The IANA time zone, such as `Asia/Kolkata`.
    #[arg(long)]
    pub time_zone: Option<String>,
    /// The quiet hours, such as `22:00-07:00`; `none` takes them away.
    #[arg(long, value_name = "FROM-UNTIL", value_parser = parse_quiet)]
    pub quiet: Option<(u16, u16)>,
    /// Where e-mail goes; `none` for nowhere.
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
    /// Whether amounts may show in subjects and push messages.
    #[arg(long, value_name = "BOOL")]
    pub show_amounts: Option<bool>,
    /// A rule, such as `budget_warning/email=daily`: a type or `*`, a channel (`in_app`, `email`, `push`, `webhook`), and off, immediate, hourly, daily or default;
    /// may be repeated.
    #[arg(long = "rule", value_name = "TYPE/CHANNEL=MODE", value_parser = parse_rule)]
    pub rules: Vec<Rule>,
    /// For the rules given: one about the same may follow after this many seconds.
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    pub throttle: i64,
}

/// A rule as it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The type, or `*`.
    pub kind: String,
    /// The channel.
    pub channel: String,
    /// Whether and when; none for the default.
    pub mode: Option<Mode>,
}

/// Whether and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Never.
    Off,
    /// At once.
    Immediate,
    /// Gathered, once an hour.
    Hourly,
    /// Gathered, once a day.
    Daily,
}

/// `pathway preferences preview`
#[derive(Debug, Args)]
pub struct Preview {
    /// The type.
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: String,
    /// A fact that the text is made of, such as `category=dining`; may be repeated.
    #[arg(long = "fact", value_name = "NAME=VALUE")]
    pub facts: Vec<String>,
    /// The language: en or hi.
    #[arg(long, default_value = "en")]
    pub locale: String,
    /// The channel: `in_app`, `email` or `push`.
    #[arg(long, default_value = "in_app")]
    pub channel: String,
}

/// `pathway webhooks`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Webhooks {
    /// What to do with them; they are listed unless it is said.
    #[command(subcommand)]
    pub action: Option<WebhookAction>,
    /// The user.
    #[arg(long, required = true)]
    pub user: Option<String>,
}

/// What can be done with webhooks.
#[derive(Debug, Subcommand)]
pub enum WebhookAction {
    /// Make one; its secret is printed once.
    Create {
        /// The user.
        #[arg(long)]
        user: String,
        /// Where to.
        url: String,
        /// A type that it gets; may be repeated; all unless given.
        #[arg(long = "type", value_name = "TYPE")]
        types: Vec<String>,
        /// What the user calls it.
        #[arg(long, default_value = "")]
        description: String,
        /// Sign with a key pair (v1a) instead of a shared secret (v1).
        #[arg(long)]
        key_pair: bool,
    },
    /// Send to it again, and forget its failures.
    Enable(OneWebhook),
    /// Send to it no more.
    Disable(OneWebhook),
    /// Remove it; what waits for it is dropped.
    Delete(OneWebhook),
    /// Give it another secret, which is printed once.
    Rotate {
        /// Which.
        #[command(flatten)]
        one: OneWebhook,
        /// For how long the secrets before sign too, in seconds; 0 for not at all.
        #[arg(long, default_value_t = 86_400, value_name = "SECONDS")]
        overlap: i64,
    },
    /// Send once more what failed for good since an instant.
    Recover {
        /// Which.
        #[command(flatten)]
        one: OneWebhook,
        /// The instant (RFC 3339).
        #[arg(long, value_name = "INSTANT", value_parser = parse_instant)]
        since: i64,
    },
    /// Send once more some messages, or all of a stretch of time, delivered or not.
    Replay {
        /// Which.
        #[command(flatten)]
        one: OneWebhook,
        /// The messages' ids.
        #[arg(long = "delivery", value_name = "ID", required_unless_present = "since")]
        deliveries: Vec<String>,
        /// Those that were written at this instant (RFC 3339) or later.
        #[arg(long, value_name = "INSTANT", value_parser = parse_instant)]
        since: Option<i64>,
        /// Those that were written before this instant (RFC 3339).
        #[arg(long, value_name = "INSTANT", value_parser = parse_instant)]
        until: Option<i64>,
    },
}

/// A webhook of a user.
#[derive(Debug, Args)]
pub struct OneWebhook {
    /// The webhook's id.
    pub id: String,
    /// The user.
    #[arg(long)]
    pub user: String,
}

/// `pathway deliveries`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Deliveries {
    /// What to do with them; they are listed unless it is said.
    #[command(subcommand)]
    pub action: Option<DeliveryAction>,
    /// The user.
    #[arg(long, required = true)]
    pub user: Option<String>,
    /// Only those by this channel.
    #[arg(long, default_value = "")]
    pub channel: String,
    /// Only those in this state.
    #[arg(long, value_enum)]
    pub state: Option<State>,
    /// Only those of this webhook or push subscription.
    #[arg(long, default_value = "", value_name = "ID")]
    pub target: String,
    /// At most this many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..=500))]
    pub limit: i32,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum State {
    /// It will be sent.
    Waiting,
    /// The other side has it.
    Delivered,
    /// It was given up.
    Failed,
    /// It was not to be sent any more.
    Dropped,
}

/// What can be done with deliveries.
#[derive(Debug, Subcommand)]
pub enum DeliveryAction {
    /// Send one now, whatever became of it before.
    Retry {
        /// The message's id.
        id: String,
        /// The user.
        #[arg(long)]
        user: String,
    },
}

fn parse_quiet(text: &str) -> Result<(u16, u16), String> {
    let minute = |time: &str| {
        let (hour, minute) = time.trim().split_once(':')?;
        let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
        (hour < 24 && minute < 60).then_some(hour * 60 + minute)
    };
    if text == "none" {
        return Ok((0, 0));
    }
    let parsed = text.split_once('-').and_then(|(from, until)| Some((minute(from)?, minute(until)?)));
    parsed.ok_or_else(|| "give two times of the day such as 22:00-07:00, or none".to_owned())
}

fn parse_rule(text: &str) -> Result<Rule, String> {
    let parse = || {
        let (place, mode) = text.split_once('=')?;
        let (kind, channel) = place.split_once('/')?;
        let mode = if mode == "default" { None } else { Some(Mode::from_str(mode, true).ok()?) };
        Some(Rule { kind: kind.to_owned(), channel: channel.to_owned(), mode })
    };
    parse().ok_or_else(|| "give a rule such as budget_warning/email=daily".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_are_two_times_of_the_day() {
        assert_eq!(parse_quiet("22:00-07:30"), Ok((1320, 450)));
        assert_eq!(parse_quiet("none"), Ok((0, 0)));
        for wrong in ["22-7", "24:00-07:00", "22:00", ""] {
            assert!(parse_quiet(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_rule_is_a_place_and_a_mode() {
        let rule = parse_rule("*/email=daily").unwrap();
        assert_eq!((rule.kind.as_str(), rule.channel.as_str(), rule.mode), ("*", "email", Some(Mode::Daily)));
        assert_eq!(parse_rule("reminder/push=default").unwrap().mode, None);
        assert!(parse_rule("reminder=off").is_err() && parse_rule("reminder/push=often").is_err());
    }
}
