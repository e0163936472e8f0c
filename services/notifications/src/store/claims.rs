//! Messages on their way: claimed, and what came of them recorded.
//!
//! A claim pushes a message's due time to the end of a lease, so that nobody else takes it meanwhile; a process that dies with it loses nothing, for the message is due again when the lease
//! ends, under the same id, or at once where a process that is alone with its store starts again. The claim counts as the attempt it is, and what came of it is recorded only where it is still the last one: whoever
//! was so slow that the message was claimed again has no say any more.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use pathway_store::{StoreError, Tx, Val};
use uuid::Uuid;

use super::deliveries::{columns, delivery};
use super::endpoints::{BY_ID, endpoint};
use super::preferences::load_many;
use super::rows::{all_stored, columns as notice_columns};
use super::{Store, health};
use crate::delivery::{Attempt, Claim, Delivery, DeliveryState};
use crate::endpoint::Endpoint;
use crate::error::NotificationsError;
use crate::feeds::News;
use crate::preferences::Preferences;

const DUE: &str = "SELECT id, target, due_us FROM
     (SELECT id, target, due_us, ROW_NUMBER() OVER (PARTITION BY channel, target ORDER BY due_us, id) AS place
      FROM deliveries WHERE state = 'waiting' AND due_us <= $1) AS due
     WHERE place <= $2 ORDER BY due_us, id LIMIT $3";
const CLAIM: &str = concat!(
    "UPDATE deliveries SET attempts = attempts + 1, due_us = $2
     WHERE id = $1 AND state = 'waiting' AND due_us <= $3 RETURNING ",
    columns!()
);
const NEXT: &str = "SELECT MIN(due_us) FROM deliveries WHERE state = 'waiting' AND due_us > $1";
const NOTICE: &str =
    concat!("SELECT ", notice_columns!(), " FROM notices WHERE user_id = $1 AND sequence = $2");
const GATHERED: &str = concat!(
    "SELECT ",
    notice_columns!(),
    " FROM notices WHERE user_id = $1 AND sequence IN (SELECT sequence FROM gathered WHERE delivery_id = $2)
     ORDER BY sequence"
);
const ATTEMPT: &str = "INSERT INTO attempts (delivery_id, number, began_at_us, took_us, status, reason)
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (delivery_id, number) DO UPDATE SET began_at_us = excluded.began_at_us,
     took_us = excluded.took_us, status = excluded.status, reason = excluded.reason";
/// What was claimed in this series of attempts, of which nobody has said what came of it.
const UNTOLD: &str = "SELECT id, attempts, due_us FROM deliveries WHERE state = 'waiting' AND attempts > tries_before
     AND NOT EXISTS (SELECT 1 FROM attempts WHERE delivery_id = deliveries.id AND number = deliveries.attempts)";
const RELEASE: &str =
    "UPDATE deliveries SET due_us = $3 WHERE id = $1 AND attempts = $2 AND state = 'waiting'";
const LOST: &str = "INSERT INTO attempts (delivery_id, number, began_at_us, took_us, status, reason)
     VALUES ($1, $2, $3, 0, 0, 'nobody knows: the process ended first') ON CONFLICT (delivery_id, number) DO NOTHING";
const SETTLE: &str = "UPDATE deliveries SET state = $3, reason = $4, due_us = $5, ended_at_us = $6
     WHERE id = $1 AND attempts = $2 AND state = 'waiting'";

/// What to claim.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) now_us: i64,
    /// When the claim ends, if nothing is recorded before.
    pub(crate) lease_until_us: i64,
    /// At most so many messages.
    pub(crate) most: usize,
    /// At most so many of one target, those of `busy` included.
    pub(crate) most_per_target: usize,
    /// How many of each target are under way.
    pub(crate) busy: HashMap<String, usize>,
}

/// What came of an attempt, as it is recorded.
#[derive(Debug, Clone)]
pub(crate) struct Settled {
    pub(crate) id: Uuid,
    /// None where nothing was sent.
    pub(crate) attempt: Option<Attempt>,
    /// The number of the claim.
    pub(crate) number: i64,
    pub(crate) state: DeliveryState,
    pub(crate) reason: String,
    pub(crate) due_us: i64,
    pub(crate) ended_at_us: i64,
    /// What the attempt says of its endpoint.
    pub(crate) health: Option<(Uuid, Health)>,
}

/// What an attempt says of its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    Works,
    Fails,
    Gone,
}

// === impl Store ===

impl Store {
    /// Takes messages that are due.
    pub(crate) async fn claim(&self, wanted: Wanted) -> Result<Vec<Claim>, NotificationsError> {
        self.db.write_locking(move |tx| claim(tx, &wanted)).await
    }

    /// Lets go what a process before this one had claimed when it died. Only for a process that is alone with the store.
    pub(crate) async fn release(&self, lease_us: i64, now_us: i64) -> Result<(), StoreError> {
        self.db.write(move |tx| release(tx, lease_us, now_us)).await
    }

    /// When the next message is due after now.
    pub(crate) async fn next_due(&self, now_us: i64) -> Result<Option<i64>, StoreError> {
        self.db.read(move |tx| next_due(tx, now_us)).await
    }

    /// Records what came of attempts; answers what the owners of endpoints were told.
    pub(crate) async fn settle(
        &self,
        settled: Vec<Settled>,
        now_us: i64,
    ) -> Result<Vec<News>, NotificationsError> {
        let templates = Arc::clone(&self.templates);
        self.db
            .write_locking(move |tx| {
                let news = health::note(tx, &settled, &templates, now_us)?;
                settle(tx, &settled)?;
                Ok(news)
            })
            .await
    }
}

fn claim(tx: &mut Tx<'_>, wanted: &Wanted) -> Result<Vec<Claim>, NotificationsError> {
    let limit = wanted.most + wanted.busy.len() * wanted.most_per_target;
    let count = |count: usize| Val::from(i64::try_from(count).unwrap_or(i64::MAX));
    let due = tx.query(DUE, &[wanted.now_us.into(), count(wanted.most_per_target), count(limit)])?;
    let (mut taken, mut keys, mut were_due) = (wanted.busy.clone(), Vec::new(), Vec::new());
    for row in &due {
        let under_way = taken.entry(row.text(1)?.to_owned()).or_default();
        if *under_way < wanted.most_per_target && keys.len() < wanted.most {
            *under_way += 1;
            keys.push([row.id(0)?.into(), wanted.lease_until_us.into(), wanted.now_us.into()]);
            were_due.push(row.i64(2)?);
        }
    }
    let (mut deliveries, mut lost) = (Vec::with_capacity(keys.len()), Vec::new());
    for (rows, was_due_us) in tx.query_many(CLAIM, &keys)?.iter().zip(were_due) {
        let Some(delivery) = rows.first().map(delivery).transpose()? else { continue };
        let before = delivery.attempts - 1;
        if before > delivery.tries_before {
            // On record already, unless its lease has ended.
            let began_us = was_due_us.saturating_sub(wanted.lease_until_us - wanted.now_us);
            lost.push([delivery.id.into_bytes().into(), before.into(), began_us.into()]);
        }
        deliveries.push(delivery);
    }
    tx.execute_many(LOST, &lost)?;
    with_content(tx, deliveries)
}

/// Adds to messages what sending them takes.
fn with_content(tx: &mut Tx<'_>, deliveries: Vec<Delivery>) -> Result<Vec<Claim>, NotificationsError> {
    let users: HashSet<&str> = deliveries.iter().map(|delivery| delivery.user_id.as_str()).collect();
    let users: Vec<&str> = users.into_iter().collect();
    let loaded = load_many(tx, &users)?;
    let preferences: HashMap<String, Preferences> =
        users.iter().map(|user_id| (*user_id).to_owned()).zip(loaded).collect();
    let mut endpoints: HashMap<String, Option<Endpoint>> = HashMap::new();
    let mut claims = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        let user = Val::from(&delivery.user_id);
        let rows = if delivery.sequence > 0 {
            tx.query(NOTICE, &[user, delivery.sequence.into()])?
        } else {
            tx.query(GATHERED, &[user, delivery.id.into_bytes().into()])?
        };
        if !endpoints.contains_key(&delivery.target) {
            let found = match Uuid::try_parse(&delivery.target) {
                Ok(id) => tx.query(BY_ID, &[id.into_bytes().into()])?.first().map(endpoint).transpose()?,
                Err(_) => None,
            };
            endpoints.insert(delivery.target.clone(), found);
        }
        claims.push(Claim {
            notices: all_stored(&rows)?,
            preferences: preferences.get(&delivery.user_id).cloned().unwrap_or_default(),
            endpoint: endpoints.get(&delivery.target).cloned().flatten(),
            delivery,
        });
    }
    Ok(claims)
}

fn release(tx: &mut Tx<'_>, lease_us: i64, now_us: i64) -> Result<(), StoreError> {
    let (mut lost, mut due): (Vec<[Val; 3]>, Vec<[Val; 3]>) = (Vec::new(), Vec::new());
    for row in tx.query(UNTOLD, &[])? {
        let (id, number) = (row.id(0)?, row.i64(1)?);
        lost.push([id.into(), number.into(), row.i64(2)?.saturating_sub(lease_us).into()]);
        due.push([id.into(), number.into(), now_us.into()]);
    }
    tx.execute_many(LOST, &lost)?;
    tx.execute_many(RELEASE, &due).map(|_| ())
}

/// When the next message is due after now.
fn next_due(tx: &mut Tx<'_>, now_us: i64) -> Result<Option<i64>, StoreError> {
    tx.query(NEXT, &[now_us.into()])?.first().map_or(Ok(None), |row| row.opt_i64(0))
}

/// Records what came of attempts.
fn settle(tx: &mut Tx<'_>, settled: &[Settled]) -> Result<(), StoreError> {
    let attempts: Vec<[Val; 6]> = settled
        .iter()
        .filter_map(|settled| {
            let attempt = settled.attempt.as_ref()?;
            Some([
                settled.id.into_bytes().into(),
                attempt.number.into(),
                attempt.began_at_us.into(),
                attempt.took_us.into(),
                attempt.status.into(),
                (&attempt.reason).into(),
            ])
        })
        .collect();
    tx.execute_many(ATTEMPT, &attempts)?;
    let ends: Vec<[Val; 6]> = settled
        .iter()
        .map(|settled| {
            [
                settled.id.into_bytes().into(),
                settled.number.into(),
                settled.state.name().into(),
                (&settled.reason).into(),
                settled.due_us.into(),
                settled.ended_at_us.into(),
            ]
        })
        .collect();
    tx.execute_many(SETTLE, &ends).map(|_| ())
}
