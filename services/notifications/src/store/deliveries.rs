//! Messages on their way: claimed, recorded, listed, sent again.
//!
//! A claim pushes a message's due time to the end of a lease, so that nobody else takes it meanwhile; a process that dies with it loses nothing, for the message is due again when the lease
//! ends, under the same id. The claim counts as the attempt it is, and what came of it is recorded only where it is still the last one: whoever
//! was so slow that the message was claimed again has no say any more.

use std::collections::{HashMap, HashSet};

use pathway_store::{Row, StoreError, Tx, Val};
use uuid::Uuid;

use super::endpoints::{BY_ID, endpoint};
use super::preferences::load_many;
use super::rows::{all_stored, columns as notice_columns};
use crate::delivery::{Attempt, Claim, Delivery, DeliveryState};
use crate::endpoint::Endpoint;
use crate::error::NotificationsError;
use crate::preferences::{Channel, Preferences};

macro_rules! columns {
    () => {
        "id, user_id, channel, target, sequence, state, reason, attempts, tries_before, planned_us, due_us, created_at_us, ended_at_us"
    };
}

const DUE: &str = "SELECT id, target FROM
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
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (delivery_id, number) DO NOTHING";
const SETTLE: &str = "UPDATE deliveries SET state = $3, reason = $4, due_us = $5, ended_at_us = $6
     WHERE id = $1 AND attempts = $2 AND state = 'waiting'";
const ATTEMPTS: &str = "SELECT number, began_at_us, took_us, status, reason FROM attempts
     WHERE delivery_id = $1 ORDER BY number";
const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM deliveries WHERE user_id = $1 AND id < $2 AND ($3 = '' OR channel = $3) AND ($4 = '' OR state = $4)
     AND ($5 = '' OR target = $5) ORDER BY id DESC LIMIT $6"
);
const OF_USER: &str = concat!("SELECT ", columns!(), " FROM deliveries WHERE user_id = $1 AND id = $2");
const AGAIN: &str = "UPDATE deliveries SET state = 'waiting', reason = '', due_us = $3, tries_before = attempts, ended_at_us = 0
     WHERE user_id = $1 AND id = $2";
const RECOVER: &str = "UPDATE deliveries SET state = 'waiting', reason = '', due_us = $4, tries_before = attempts, ended_at_us = 0
     WHERE user_id = $1 AND target = $2 AND state = 'failed' AND created_at_us >= $3";
const REPLAY: &str = "UPDATE deliveries SET state = 'waiting', reason = '', due_us = $5, tries_before = attempts, ended_at_us = 0
     WHERE user_id = $1 AND target = $2 AND created_at_us >= $3 AND created_at_us < $4 AND state <> 'waiting'";
const REPLAY_ONE: &str = "UPDATE deliveries SET state = 'waiting', reason = '', due_us = $4, tries_before = attempts, ended_at_us = 0
     WHERE user_id = $1 AND target = $2 AND id = $3 AND state <> 'waiting'";

/// Ids begin with their time: all that lie before one were written before it.
const OLD: &str = "SELECT id FROM deliveries WHERE id < $1 AND state <> 'waiting' ORDER BY id LIMIT $2";
const FORGET: [&str; 3] = [
    "DELETE FROM attempts WHERE delivery_id = $1",
    "DELETE FROM gathered WHERE delivery_id = $1",
    "DELETE FROM deliveries WHERE id = $1",
];

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

/// Which messages to list.
#[derive(Debug, Clone)]
pub(crate) struct DeliveryListing {
    pub(crate) user_id: String,
    /// Only those before this one.
    pub(crate) before: Uuid,
    pub(crate) channel: String,
    pub(crate) state: &'static str,
    pub(crate) target: String,
    pub(crate) limit: i64,
}

/// Which messages of a webhook to send once more.
#[derive(Debug, Clone)]
pub(crate) enum Again {
    /// Those that failed for good since then.
    FailedSince(i64),
    /// All that were written in this stretch of time.
    Between(i64, i64),
    /// These.
    These(Vec<Uuid>),
}

pub(super) fn claim(tx: &mut Tx<'_>, wanted: &Wanted) -> Result<Vec<Claim>, NotificationsError> {
    let limit = wanted.most + wanted.busy.len() * wanted.most_per_target;
    let count = |count: usize| Val::from(i64::try_from(count).unwrap_or(i64::MAX));
    let due = tx.query(DUE, &[wanted.now_us.into(), count(wanted.most_per_target), count(limit)])?;
    let (mut taken, mut keys) = (wanted.busy.clone(), Vec::new());
    for row in &due {
        let under_way = taken.entry(row.text(1)?.to_owned()).or_default();
        if *under_way < wanted.most_per_target && keys.len() < wanted.most {
            *under_way += 1;
            keys.push([row.id(0)?.into(), wanted.lease_until_us.into(), wanted.now_us.into()]);
        }
    }
    let claimed = tx.query_many(CLAIM, &keys)?;
    let deliveries: Vec<Delivery> =
        claimed.iter().flatten().map(delivery).collect::<Result<_, NotificationsError>>()?;
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

/// When the next message is due after now.
pub(super) fn next_due(tx: &mut Tx<'_>, now_us: i64) -> Result<Option<i64>, StoreError> {
    tx.query(NEXT, &[now_us.into()])?.first().map_or(Ok(None), |row| row.opt_i64(0))
}

/// Records what came of attempts.
pub(super) fn settle(tx: &mut Tx<'_>, settled: &[Settled]) -> Result<(), StoreError> {
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

/// Removes messages that were written before an id and have ended, a few at a time; answers whether there may be more.
pub(super) fn forget(tx: &mut Tx<'_>, before: Uuid, most: i64) -> Result<bool, StoreError> {
    let old = tx.query(OLD, &[before.into_bytes().into(), most.into()])?;
    let keys: Vec<[Val; 1]> =
        old.iter().map(|row| Ok([row.id(0)?.into()])).collect::<Result<_, StoreError>>()?;
    for statement in FORGET {
        tx.execute_many(statement, &keys)?;
    }
    Ok(i64::try_from(keys.len()).is_ok_and(|count| count == most))
}

pub(super) fn list(
    tx: &mut Tx<'_>,
    listing: &DeliveryListing,
) -> Result<Vec<(Delivery, Vec<Attempt>)>, NotificationsError> {
    let key: [Val; 6] = [
        (&listing.user_id).into(),
        listing.before.into_bytes().into(),
        (&listing.channel).into(),
        listing.state.into(),
        (&listing.target).into(),
        listing.limit.into(),
    ];
    let rows = tx.query(LIST, &key)?;
    let deliveries: Vec<Delivery> = rows.iter().map(delivery).collect::<Result<_, _>>()?;
    with_attempts(tx, deliveries)
}

fn with_attempts(
    tx: &mut Tx<'_>,
    deliveries: Vec<Delivery>,
) -> Result<Vec<(Delivery, Vec<Attempt>)>, NotificationsError> {
    let keys: Vec<[Val; 1]> = deliveries.iter().map(|delivery| [delivery.id.into_bytes().into()]).collect();
    let attempts = tx.query_many(ATTEMPTS, &keys)?;
    let with = |(delivery, rows): (Delivery, Vec<Row>)| {
        Ok((delivery, rows.iter().map(attempt).collect::<Result<_, StoreError>>()?))
    };
    deliveries.into_iter().zip(attempts).map(with).collect()
}

/// Lets a user's message go out now.
pub(super) fn retry(tx: &mut Tx<'_>, user_id: &str, id: Uuid, now_us: i64) -> Result<(), NotificationsError> {
    let changed = tx.execute(AGAIN, &[user_id.into(), id.into_bytes().into(), now_us.into()])?;
    if changed == 0 { Err(NotificationsError::UnknownDelivery) } else { Ok(()) }
}

/// A user's message.
pub(super) fn find(
    tx: &mut Tx<'_>,
    user_id: &str,
    id: Uuid,
) -> Result<(Delivery, Vec<Attempt>), NotificationsError> {
    let found = tx.query(OF_USER, &[user_id.into(), id.into_bytes().into()])?;
    let found = found.first().ok_or(NotificationsError::UnknownDelivery)?;
    let deliveries = vec![delivery(found)?];
    with_attempts(tx, deliveries)?.pop().ok_or(NotificationsError::UnknownDelivery)
}

/// Lets messages of an endpoint go out once more; answers how many.
pub(super) fn again(
    tx: &mut Tx<'_>,
    user_id: &str,
    target: &str,
    which: &Again,
    now_us: i64,
) -> Result<u64, StoreError> {
    let (user, target) = (Val::from(user_id), Val::from(target));
    match which {
        Again::FailedSince(since) => tx.execute(RECOVER, &[user, target, (*since).into(), now_us.into()]),
        Again::Between(since, until) => {
            tx.execute(REPLAY, &[user, target, (*since).into(), (*until).into(), now_us.into()])
        }
        Again::These(ids) => {
            let keys: Vec<[Val; 4]> = ids
                .iter()
                .map(|id| [user.clone(), target.clone(), id.into_bytes().into(), now_us.into()])
                .collect();
            tx.execute_many(REPLAY_ONE, &keys)
        }
    }
}

fn delivery(row: &Row) -> Result<Delivery, NotificationsError> {
    let strange = |index, expected| StoreError::Column { index, expected };
    Ok(Delivery {
        id: Uuid::from_bytes(row.id(0)?),
        user_id: row.text(1)?.to_owned(),
        channel: Channel::parse(row.text(2)?).ok_or_else(|| strange(2, "a channel"))?,
        target: row.text(3)?.to_owned(),
        sequence: row.i64(4)?,
        state: DeliveryState::parse(row.text(5)?).ok_or_else(|| strange(5, "a delivery's state"))?,
        reason: row.text(6)?.to_owned(),
        attempts: row.i64(7)?,
        tries_before: row.i64(8)?,
        planned_us: row.i64(9)?,
        due_us: row.i64(10)?,
        created_at_us: row.i64(11)?,
        ended_at_us: row.i64(12)?,
    })
}

fn attempt(row: &Row) -> Result<Attempt, StoreError> {
    Ok(Attempt {
        number: row.i64(0)?,
        began_at_us: row.i64(1)?,
        took_us: row.i64(2)?,
        status: row.i64(3)?,
        reason: row.text(4)?.to_owned(),
    })
}
