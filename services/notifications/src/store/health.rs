//! How endpoints do, as attempts tell: one that is gone or has failed for days is not tried any more, and its owner is told.

use std::collections::BTreeMap;

use pathway_store::{Tx, Val};
use uuid::Uuid;

use super::claims::{Health, Settled};
use super::endpoints::{BY_ID, endpoint};
use super::send::send;
use crate::endpoint::Endpoint;
use crate::error::NotificationsError;
use crate::feeds::News;
use crate::notice::Notice;
use crate::preferences::Channel;
use crate::templates::Templates;

const WORKS: &str =
    "UPDATE endpoints SET failing_since_us = NULL WHERE id = $1 AND failing_since_us IS NOT NULL";
const FAILS: &str = "UPDATE endpoints SET failing_since_us = $2 WHERE id = $1 AND failing_since_us IS NULL";
const DISABLE: &str =
    "UPDATE endpoints SET is_enabled = 0, disabled_reason = $2 WHERE id = $1 AND is_enabled = 1";
const REMOVE: &str = "DELETE FROM endpoints WHERE id = $1";

/// After so long without one success an endpoint is disabled: longer than the waits between the attempts of one message.
const DISABLE_AFTER_US: i64 = 5 * 24 * 3600 * 1_000_000;

/// Notes how endpoints do; answers what their owners were told.
pub(super) fn note(
    tx: &mut Tx<'_>,
    settled: &[Settled],
    templates: &Templates,
    now_us: i64,
) -> Result<Vec<News>, NotificationsError> {
    // One success among those that ended together is enough; an answer that the endpoint is gone is the last word.
    let mut all: BTreeMap<Uuid, Health> = BTreeMap::new();
    for (id, health) in settled.iter().filter_map(|settled| settled.health) {
        let rank = |health| match health {
            Health::Fails => 0,
            Health::Works => 1,
            Health::Gone => 2,
        };
        let known = all.entry(id).or_insert(health);
        if rank(health) > rank(*known) {
            *known = health;
        }
    }
    let mut told = Vec::new();
    for (id, health) in all {
        let key = Val::from(id.into_bytes());
        let Some(found) = tx.query(BY_ID, std::slice::from_ref(&key))?.first().map(endpoint).transpose()?
        else {
            continue;
        };
        let since = found.failing_since_us.unwrap_or(now_us);
        match (found.channel, health) {
            (_, Health::Works) => {
                tx.execute(WORKS, &[key])?;
            }
            // A browser that has unsubscribed tells nobody; the push service does.
            (Channel::Push, Health::Gone) => {
                tx.execute(REMOVE, &[key])?;
            }
            (_, Health::Gone) => told.extend(disable(tx, &found, "it answered that it is gone (410)")?),
            (_, Health::Fails) if now_us - since >= DISABLE_AFTER_US => {
                told.extend(disable(tx, &found, "every message has failed for five days")?);
            }
            (_, Health::Fails) => {
                tx.execute(FAILS, &[key, now_us.into()])?;
            }
        }
    }
    if told.is_empty() { Ok(Vec::new()) } else { Ok(send(tx, &told, templates, now_us)?.news) }
}

/// Disables an endpoint; answers the notice to its owner, where it was enabled before.
fn disable(tx: &mut Tx<'_>, endpoint: &Endpoint, reason: &str) -> Result<Option<Notice>, NotificationsError> {
    if tx.execute(DISABLE, &[endpoint.id.into_bytes().into(), reason.into()])? == 0 {
        return Ok(None);
    }
    let name = if endpoint.description.is_empty() { "A webhook" } else { endpoint.description.as_str() };
    let facts =
        [("webhook_id", endpoint.id.to_string()), ("reason", format!("{name} was disabled: {reason}."))];
    Ok(Some(Notice {
        user_id: endpoint.user_id.clone(),
        dedup_key: format!(
            "webhook-disabled:{}:{}",
            endpoint.id,
            endpoint.failing_since_us.unwrap_or_default()
        ),
        kind: "system_alert".to_owned(),
        title: "A webhook was disabled".to_owned(),
        message: format!(
            "{name} was disabled: {reason}. Enable it again when it works, and recover what it missed."
        ),
        metadata: facts.map(|(key, value)| (key.to_owned(), value)).into(),
        about: format!("webhook/{}", endpoint.id),
        ..Notice::default()
    }))
}
