//! The outbox: what goes out for a notice is written in the transaction that stores it.

use std::collections::HashMap;

use pathway_kernel::new_id;
use pathway_store::{StoreError, Tx, Val};
use uuid::Uuid;

use super::endpoints::{ALL_OF_USER, endpoint};
use super::preferences::load_many;
use crate::delivery::{CONFIRMATION, DISABLED, DeliveryState};
use crate::endpoint::Endpoint;
use crate::error::NotificationsError;
use crate::notice::{Mark, Stored};
use crate::plan::Plan;
use crate::preferences::{Channel, Preferences};

const INSERT: &str = "INSERT INTO deliveries
     (id, user_id, channel, target, sequence, topic, window_us, state, reason, attempts, tries_before, planned_us, due_us, created_at_us, ended_at_us)
     VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8, 0, 0, $9, $10, $11, $12)";
const GATHER: &str = "INSERT INTO deliveries
     (id, user_id, channel, target, sequence, topic, window_us, state, reason, attempts, tries_before, planned_us, due_us, created_at_us, ended_at_us)
     VALUES ($1, $2, $3, $4, 0, $5, $6, 'waiting', '', 0, 0, $7, $7, $8, 0)
     ON CONFLICT (user_id, channel, target, topic, window_us) WHERE window_us > 0 DO UPDATE SET topic = deliveries.topic
     RETURNING id";
const ADD: &str = "INSERT INTO gathered (delivery_id, sequence) VALUES ($1, $2) ON CONFLICT (delivery_id, sequence) DO NOTHING";
const LAST: &str = "SELECT created_at_us FROM deliveries
     WHERE user_id = $1 AND channel = $2 AND topic = $3 AND created_at_us > $4 AND state IN ('waiting', 'delivered')
     ORDER BY created_at_us DESC LIMIT 1";
const LAST_QUESTION: &str = "SELECT planned_us FROM deliveries
     WHERE user_id = $1 AND channel = $2 AND topic = $3 AND state IN ('waiting', 'delivered')
     ORDER BY created_at_us DESC LIMIT 1";

/// Nobody's mailbox is to be filled with questions.
const ASK_AGAIN_AFTER_US: i64 = 60 * 1_000_000;

/// What goes out for the users of a batch; nobody is in here who has said nothing.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    routes: HashMap<String, Routes>,
    /// Whether something was written that the courier should know of.
    pub(super) has_work: bool,
}

#[derive(Debug)]
struct Routes {
    preferences: Preferences,
    endpoints: Vec<Endpoint>,
}

/// A place that a notice goes to.
#[derive(Debug, Clone)]
struct Target {
    channel: Channel,
    id: String,
    is_enabled: bool,
}

// === impl Outbox ===

impl Outbox {
    /// Looks up what these users have said.
    pub(super) fn load(tx: &mut Tx<'_>, users: &[&str]) -> Result<Self, NotificationsError> {
        let keys: Vec<[Val; 1]> = users.iter().map(|user_id| [(*user_id).into()]).collect();
        let endpoints = tx.query_many(ALL_OF_USER, &keys)?;
        let loaded = load_many(tx, users)?;
        let mut routes = HashMap::new();
        for ((user_id, rows), preferences) in users.iter().zip(endpoints).zip(loaded) {
            let endpoints = rows.iter().map(endpoint).collect::<Result<_, _>>()?;
            routes.insert((*user_id).to_owned(), Routes { preferences, endpoints });
        }
        Ok(Self { routes, has_work: false })
    }

    /// The language that a user reads.
    pub(super) fn locale(&self, user_id: &str) -> &str {
        self.routes.get(user_id).map_or("en", |routes| &routes.preferences.locale)
    }

    /// Puts a notice away that its user does not want in the feed. It is stored all the same: what was told is known, and not told again.
    pub(super) fn keep_out(&self, stored: &mut Stored, now_us: i64) -> bool {
        let user = self.routes.get(&stored.notice.user_id);
        let unwanted = user.is_some_and(|routes| {
            Plan::of(&stored.notice, Channel::InApp, &routes.preferences, now_us) == Plan::Not
                && stored.notice.channel.is_empty()
        });
        unwanted && stored.mark(Mark::Archived(true))
    }

    /// Writes what goes out for a notice that has just been stored.
    pub(super) fn write(
        &mut self,
        tx: &mut Tx<'_>,
        stored: &Stored,
        now_us: i64,
    ) -> Result<(), NotificationsError> {
        let Some(routes) = self.routes.get(&stored.notice.user_id) else { return Ok(()) };
        for target in routes.targets(&stored.notice.kind) {
            let plan = Plan::of(&stored.notice, target.channel, &routes.preferences, now_us);
            self.has_work |= plan != Plan::Not && target.is_enabled;
            match plan {
                Plan::Not => {}
                Plan::Alone { due_us, throttle_s } => alone(tx, stored, &target, due_us, throttle_s, now_us)?,
                Plan::Gathered { window_us, due_us } => {
                    gather(tx, stored, &target, window_us, due_us, now_us)?;
                }
            }
        }
        Ok(())
    }
}

// === impl Routes ===

impl Routes {
    fn targets(&self, kind: &str) -> Vec<Target> {
        let email = self.preferences.is_email_confirmed.then(|| Target {
            channel: Channel::Email,
            id: String::new(),
            is_enabled: true,
        });
        let endpoints = self.endpoints.iter().filter(|endpoint| endpoint.takes(kind));
        let endpoints = endpoints.map(|endpoint| Target {
            channel: endpoint.channel,
            id: endpoint.id.to_string(),
            is_enabled: endpoint.is_enabled,
        });
        email.into_iter().chain(endpoints).collect()
    }
}

/// Writes a message of its own, or why there is none.
fn alone(
    tx: &mut Tx<'_>,
    stored: &Stored,
    target: &Target,
    due_us: i64,
    throttle_s: i64,
    now_us: i64,
) -> Result<(), StoreError> {
    let notice = &stored.notice;
    let topic = format!("{} {} {}", target.id, notice.kind, notice.about);
    let (state, reason) = if !target.is_enabled {
        // What was missed is known, so that whoever enables it again can recover it.
        (DeliveryState::Failed, DISABLED)
    } else if is_throttled(tx, stored, target, &topic, throttle_s, now_us)? {
        (DeliveryState::Dropped, "one about the same went out a short while before")
    } else {
        (DeliveryState::Waiting, "")
    };
    let (is_due_us, ended_at_us) = if state == DeliveryState::Waiting { (due_us, 0) } else { (0, now_us) };
    let row: [Val; 12] = [
        new_id(now_us).into_bytes().into(),
        (&notice.user_id).into(),
        target.channel.name().into(),
        (&target.id).into(),
        stored.sequence.into(),
        topic.into(),
        state.name().into(),
        reason.into(),
        due_us.into(),
        is_due_us.into(),
        now_us.into(),
        ended_at_us.into(),
    ];
    tx.execute(INSERT, &row).map(|_| ())
}

/// Asks the reader of a mailbox whether it is the user's; answers whether there is a new message. Where the last question went out a short while before, an
/// address that is new waits for its turn, and one that was asked is not asked again.
pub(super) fn confirmation(
    tx: &mut Tx<'_>,
    user_id: &str,
    is_new: bool,
    now_us: i64,
) -> Result<bool, StoreError> {
    let email = Val::from(Channel::Email.name());
    let last = tx.query(LAST_QUESTION, &[user_id.into(), email.clone(), CONFIRMATION.into()])?;
    let last_us = last.first().map(|row| row.i64(0)).transpose()?;
    let due_us = last_us.map_or(now_us, |last_us| now_us.max(last_us.saturating_add(ASK_AGAIN_AFTER_US)));
    // One that has not had its turn goes to the address which the user has then.
    let is_to_come = last_us.is_some_and(|last_us| last_us > now_us);
    if is_to_come || (due_us > now_us && !is_new) {
        return Ok(false);
    }
    let row: [Val; 12] = [
        new_id(now_us).into_bytes().into(),
        user_id.into(),
        email,
        "".into(),
        0_i64.into(),
        CONFIRMATION.into(),
        DeliveryState::Waiting.name().into(),
        "".into(),
        due_us.into(),
        due_us.into(),
        now_us.into(),
        0_i64.into(),
    ];
    tx.execute(INSERT, &row)?;
    Ok(true)
}

/// Whether one about the same has gone out, or will, within the time that the user wants between them.
fn is_throttled(
    tx: &mut Tx<'_>,
    stored: &Stored,
    target: &Target,
    topic: &str,
    throttle_s: i64,
    now_us: i64,
) -> Result<bool, StoreError> {
    if throttle_s <= 0 {
        return Ok(false);
    }
    let since = now_us.saturating_sub(throttle_s.saturating_mul(1_000_000));
    let user = Val::from(&stored.notice.user_id);
    Ok(!tx.query(LAST, &[user, target.channel.name().into(), topic.into(), since.into()])?.is_empty())
}

/// Adds a notice to the digest of a window, which the first one begins.
fn gather(
    tx: &mut Tx<'_>,
    stored: &Stored,
    target: &Target,
    window_us: i64,
    due_us: i64,
    now_us: i64,
) -> Result<(), StoreError> {
    let row: [Val; 8] = [
        new_id(now_us).into_bytes().into(),
        (&stored.notice.user_id).into(),
        target.channel.name().into(),
        (&target.id).into(),
        "digest".into(),
        window_us.into(),
        due_us.into(),
        now_us.into(),
    ];
    let digest = tx.query(GATHER, &row)?;
    let digest = digest.first().ok_or(StoreError::Column { index: 0, expected: "a digest" })?;
    let id = Uuid::from_bytes(digest.id(0)?);
    tx.execute(ADD, &[id.into_bytes().into(), stored.sequence.into()]).map(|_| ())
}
