//! What users have said.

use jiff::tz::TimeZone;
use pathway_store::{Row, StoreError, Tx, Val};

use super::Store;
use super::feed::HAS_ROUTES;
use super::outbox::confirmation;
use crate::error::NotificationsError;
use crate::preferences::{Change, Channel, Mode, Preferences, Rule};
use crate::quiet::Quiet;
use crate::tokens::{Address, Purpose};

const SETTINGS: &str =
    "SELECT locale, time_zone, quiet_begin, quiet_end, email, shows_amounts, is_email_confirmed
     FROM settings WHERE user_id = $1";
const RULES: &str = "SELECT type, channel, mode, throttle_s FROM preferences WHERE user_id = $1";
const SET: &str = "INSERT INTO settings
     (user_id, locale, time_zone, quiet_begin, quiet_end, email, shows_amounts, is_email_confirmed)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
     ON CONFLICT (user_id) DO UPDATE SET locale = excluded.locale, time_zone = excluded.time_zone,
     quiet_begin = excluded.quiet_begin, quiet_end = excluded.quiet_end, email = excluded.email,
     shows_amounts = excluded.shows_amounts, is_email_confirmed = excluded.is_email_confirmed";
const FORGET: &str = "DELETE FROM preferences WHERE user_id = $1";
const SAY: &str =
    "INSERT INTO preferences (user_id, type, channel, mode, throttle_s) VALUES ($1, $2, $3, $4, $5)";

// === impl Store ===

impl Store {
    /// What a user has said.
    pub(crate) async fn preferences(&self, user_id: String) -> Result<Preferences, NotificationsError> {
        self.db.read(move |tx| load(tx, &user_id)).await
    }

    /// Changes what a user has said. Where that names an address that is not confirmed, a message asks there; answers whether one goes out.
    pub(crate) async fn update_preferences(
        &self,
        user_id: String,
        change: Change,
        now_us: i64,
    ) -> Result<(Preferences, bool), NotificationsError> {
        self.db
            .write_locking(move |tx| {
                let before = load(tx, &user_id)?.email;
                let preferences = update(tx, &user_id, |preferences| preferences.apply(&change))?;
                let is_asked = change.email.is_some()
                    && !preferences.email.is_empty()
                    && !preferences.is_email_confirmed
                    && confirmation(tx, &user_id, preferences.email != before, now_us)?;
                Ok((preferences, is_asked))
            })
            .await
    }

    /// Does what whoever reads a mailbox says of an address, while it is the user's.
    pub(crate) async fn answer_for(
        &self,
        address: Address,
        purpose: Purpose,
    ) -> Result<Preferences, NotificationsError> {
        self.db
            .write_locking(move |tx| {
                let said = load(tx, &address.user_id)?;
                if said.email != address.email {
                    // Nothing goes to an address that is not the user's any more.
                    let is_done = purpose == Purpose::Unsubscribe;
                    return if is_done { Ok(said) } else { Err(NotificationsError::StrangeToken) };
                }
                update(tx, &address.user_id, |preferences| match purpose {
                    Purpose::Confirm => preferences.is_email_confirmed = true,
                    Purpose::Unsubscribe => {
                        preferences.email.clear();
                        preferences.is_email_confirmed = false;
                    }
                })
            })
            .await
    }
}

/// What each of these users has said, in order.
pub(super) fn load_many(tx: &mut Tx<'_>, users: &[&str]) -> Result<Vec<Preferences>, NotificationsError> {
    let keys: Vec<[Val; 1]> = users.iter().map(|user_id| [(*user_id).into()]).collect();
    let (settings, rules) = (tx.query_many(SETTINGS, &keys)?, tx.query_many(RULES, &keys)?);
    settings.iter().zip(rules).map(|(settings, rules)| of_rows(settings.first(), &rules)).collect()
}

fn load(tx: &mut Tx<'_>, user_id: &str) -> Result<Preferences, NotificationsError> {
    Ok(load_many(tx, &[user_id])?.pop().unwrap_or_default())
}

/// Changes what a user has said, by what `change` makes of it.
fn update(
    tx: &mut Tx<'_>,
    user_id: &str,
    change: impl FnOnce(&mut Preferences),
) -> Result<Preferences, NotificationsError> {
    // The feed's row is the lock; two devices that change different things both get what they want.
    tx.execute(HAS_ROUTES, &[user_id.into()])?;
    let mut preferences = load(tx, user_id)?;
    change(&mut preferences);
    let quiet = |minute: fn(Quiet) -> i16| preferences.quiet.map(|quiet| i64::from(minute(quiet)));
    let row: [Val; 8] = [
        user_id.into(),
        (&preferences.locale).into(),
        (&preferences.zone_name).into(),
        quiet(Quiet::begin).into(),
        quiet(Quiet::end).into(),
        (&preferences.email).into(),
        preferences.shows_amounts.into(),
        preferences.is_email_confirmed.into(),
    ];
    tx.execute(SET, &row)?;
    tx.execute(FORGET, &[user_id.into()])?;
    let rules: Vec<[Val; 5]> = preferences
        .rules
        .iter()
        .map(|((kind, channel), rule)| {
            [
                user_id.into(),
                kind.into(),
                channel.name().into(),
                rule.mode.name().into(),
                rule.throttle_s.into(),
            ]
        })
        .collect();
    tx.execute_many(SAY, &rules)?;
    Ok(preferences)
}

fn of_rows(settings: Option<&Row>, rules: &[Row]) -> Result<Preferences, NotificationsError> {
    let strange = |index, expected| StoreError::Column { index, expected };
    let mut preferences = Preferences::default();
    if let Some(row) = settings {
        row.text(0)?.clone_into(&mut preferences.locale);
        row.text(1)?.clone_into(&mut preferences.zone_name);
        // It was a zone when it was stored; the machine's own list may be older.
        preferences.zone = TimeZone::get(&preferences.zone_name).unwrap_or(TimeZone::UTC);
        preferences.quiet =
            row.opt_i64(2)?.zip(row.opt_i64(3)?).and_then(|(begin, end)| Quiet::try_new(begin, end));
        row.text(4)?.clone_into(&mut preferences.email);
        preferences.shows_amounts = row.bool(5)?;
        preferences.is_email_confirmed = row.bool(6)?;
    }
    for row in rules {
        let channel = Channel::parse(row.text(1)?).ok_or_else(|| strange(1, "a channel"))?;
        let mode = Mode::parse(row.text(2)?).ok_or_else(|| strange(2, "a mode"))?;
        let rule = Rule { mode, throttle_s: row.i64(3)? };
        preferences.rules.insert((row.text(0)?.to_owned(), channel), rule);
    }
    Ok(preferences)
}
