//! A message on its way by a channel: what it is, what can become of an attempt, and when the next one is due.

use std::time::Duration;

use pathway_kernel::Rng;
use uuid::Uuid;

use crate::endpoint::Endpoint;
use crate::notice::{State, Stored};
use crate::preferences::{Channel, Preferences};

/// A message as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) id: Uuid,
    pub(crate) user_id: String,
    pub(crate) channel: Channel,
    /// The endpoint's id; empty for e-mail.
    pub(crate) target: String,
    /// The notice's place; 0 for a digest and for a question.
    pub(crate) sequence: i64,
    /// What a throttle or a digest counts by.
    pub(crate) topic: String,
    pub(crate) state: DeliveryState,
    pub(crate) reason: String,
    pub(crate) attempts: i64,
    /// How many attempts there had been when it was let go once more: the waits begin anew.
    pub(crate) tries_before: i64,
    /// When it was to go out first.
    pub(crate) planned_us: i64,
    pub(crate) due_us: i64,
    pub(crate) created_at_us: i64,
    pub(crate) ended_at_us: i64,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeliveryState {
    Waiting,
    Delivered,
    Failed,
    Dropped,
}

/// An attempt, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) number: i64,
    pub(crate) began_at_us: i64,
    pub(crate) took_us: i64,
    pub(crate) status: i64,
    pub(crate) reason: String,
}

/// A message that is ours to send until its lease ends, with all that sending it takes.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) delivery: Delivery,
    /// The notices that it tells of.
    pub(crate) notices: Vec<Stored>,
    pub(crate) preferences: Preferences,
    /// Where it goes; none for e-mail, and where the user has removed it.
    pub(crate) endpoint: Option<Endpoint>,
}

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The other side has it.
    Delivered { status: i64 },
    /// It may be taken later; not before `after`, where the other side says so.
    Later { status: i64, reason: String, after: Option<Duration> },
    /// It will never be taken.
    Refused { status: i64, reason: String },
    /// The endpoint is no more.
    Gone { status: i64 },
    /// It need not go out any more; nothing was sent.
    Dropped { reason: &'static str },
}

/// The waits before the second attempt, the third, and so on.
const WEBHOOK: [u64; 9] =
    [5, 5 * 60, 30 * 60, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];
const EMAIL: [u64; 6] = [60, 5 * 60, 30 * 60, 2 * HOUR, 6 * HOUR, 24 * HOUR];
/// What a phone shows hours later is no alert any more.
const PUSH: [u64; 4] = [5, 60, 10 * 60, HOUR];
const HOUR: u64 = 3600;
/// The topic of a message that asks whether an address is the user's.
pub(crate) const CONFIRMATION: &str = "confirmation";
/// Why a message for an endpoint failed that is not to be called.
pub(crate) const DISABLED: &str = "the endpoint is disabled";
/// Each wait is longer by up to this part of it, so that messages which failed together do not come back together.
const JITTER: f64 = 0.2;
/// The longest that another side may make us wait.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * HOUR);

// === impl DeliveryState ===

impl DeliveryState {
    pub(crate) const ALL: [Self; 4] = [Self::Waiting, Self::Delivered, Self::Failed, Self::Dropped];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

// === impl Claim ===

impl Claim {
    /// Whether it still should go out, asked when its time has come: why not, where it should not. Notices that are not to be told any more are
    /// taken out.
    pub(crate) fn recheck(&mut self) -> Result<(), Outcome> {
        let dropped = |reason| Err(Outcome::Dropped { reason });
        let channel = self.delivery.channel;
        if channel != Channel::Email && self.endpoint.is_none() {
            return dropped("the endpoint was removed");
        }
        if self.endpoint.as_ref().is_some_and(|endpoint| !endpoint.is_enabled) {
            // Kept as failed, so that whoever enables it again can recover it.
            return Err(Outcome::Refused { status: 0, reason: DISABLED.to_owned() });
        }
        if channel == Channel::Email && self.preferences.email.is_empty() {
            return dropped("the user has no e-mail address");
        }
        if self.delivery.topic == CONFIRMATION {
            return if self.preferences.is_email_confirmed {
                dropped("the address is confirmed")
            } else {
                Ok(())
            };
        }
        if channel == Channel::Email && !self.preferences.is_email_confirmed {
            return dropped("the address is not confirmed");
        }
        if !channel.disturbs() {
            return Ok(());
        }
        let has_waited = self.delivery.planned_us > self.delivery.created_at_us;
        self.notices.retain(|stored| stored.state == State::Open && !(has_waited && stored.is_read));
        if self.notices.is_empty() {
            dropped("resolved, withdrawn, replaced or read in the meantime")
        } else {
            Ok(())
        }
    }
}

/// How long to wait after a failed attempt, counted from 1; none where it was the last.
pub(crate) fn wait_after(
    channel: Channel,
    attempt: i64,
    asked: Option<Duration>,
    rng: &Rng,
) -> Option<Duration> {
    let waits: &[u64] = match channel {
        Channel::Webhook => &WEBHOOK,
        Channel::Email => &EMAIL,
        Channel::Push => &PUSH,
        Channel::InApp => &[],
    };
    let index = usize::try_from(attempt.saturating_sub(1)).ok()?;
    let wait = Duration::from_secs(*waits.get(index)?).mul_f64(1.0 + JITTER * rng.unit());
    Some(asked.map_or(wait, |asked| wait.max(asked.min(LONGEST_WAIT))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_tried_over_days_and_then_given_up() {
        let rng = Rng::seeded(1);
        let mut total = Duration::ZERO;
        for (attempt, usual) in (1..).zip(WEBHOOK) {
            let wait = wait_after(Channel::Webhook, attempt, None, &rng).unwrap();
            let usual = Duration::from_secs(usual);
            assert!(wait >= usual && wait <= usual.mul_f64(1.0 + JITTER), "{attempt}: {wait:?}");
            total += wait;
        }
        assert!(total > Duration::from_secs(3 * 24 * HOUR));
        assert_eq!(wait_after(Channel::Webhook, 10, None, &rng), None);
    }

    #[test]
    fn the_other_side_may_ask_for_more_time_up_to_a_day() {
        let rng = Rng::seeded(1);
        let wait = |asked| wait_after(Channel::Push, 1, Some(Duration::from_secs(asked)), &rng).unwrap();
        assert_eq!(wait(3600), Duration::from_secs(3600));
        assert!(wait(1) >= Duration::from_secs(5));
        assert_eq!(wait(u64::MAX), LONGEST_WAIT);
    }
}
