//! The messages as their users see them: listed, sent again, and forgotten.

use pathway_store::{Once, Row, StoreError, Tx, Val};
use uuid::Uuid;

use super::retention::first_id_of;
use super::{Store, endpoints};
use crate::delivery::{Attempt, CONFIRMATION, Delivery, DeliveryState};
use crate::error::NotificationsError;
use crate::preferences::Channel;

macro_rules! columns {
    () => {
        "id, user_id, channel, target, sequence, state, reason, attempts, tries_before, planned_us, due_us, created_at_us, ended_at_us, topic"
    };
}
pub(super) use columns;

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
     WHERE user_id = $1 AND id = $2 AND topic <> $4";
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

// === impl Store ===

impl Store {
    /// Removes messages that were written before an instant and have ended, a few at a time; answers whether there may be more.
    pub(crate) async fn forget(&self, before_us: i64) -> Result<bool, StoreError> {
        let before = first_id_of(before_us);
        self.db.write(move |tx| forget(tx, before, 500)).await
    }

    /// A user's messages, newest first, each with every attempt.
    pub(crate) async fn deliveries(
        &self,
        listing: DeliveryListing,
    ) -> Result<Vec<(Delivery, Vec<Attempt>)>, NotificationsError> {
        self.db.read(move |tx| list(tx, &listing)).await
    }

    /// Lets a user's message go out now; answers how it is then. A call that has an id is done once.
    pub(crate) async fn retry(
        &self,
        user_id: String,
        id: Uuid,
        now_us: i64,
        once: Option<Once>,
    ) -> Result<(Delivery, Vec<Attempt>), NotificationsError> {
        let user = user_id.clone();
        self.once(once, move |tx| Ok((retry(tx, &user, id, now_us)?, ()))).await?;
        self.db.read(move |tx| find(tx, &user_id, id)).await
    }

    /// Lets messages of a user's endpoint go out once more; answers how many. A call that has an id is done once.
    pub(crate) async fn again(
        &self,
        user_id: String,
        id: Uuid,
        which: Again,
        now_us: i64,
        once: Option<Once>,
    ) -> Result<u64, NotificationsError> {
        let again = move |tx: &mut Tx<'_>| {
            endpoints::find(tx, &user_id, Channel::Webhook, id)?;
            Ok((again(tx, &user_id, &id.to_string(), &which, now_us)?, ()))
        };
        Ok(self.once(once, again).await?.0)
    }
}

/// Removes messages that were written before an id and have ended, a few at a time; answers whether there may be more.
fn forget(tx: &mut Tx<'_>, before: Uuid, most: i64) -> Result<bool, StoreError> {
    let old = tx.query(OLD, &[before.into_bytes().into(), most.into()])?;
    let keys: Vec<[Val; 1]> =
        old.iter().map(|row| Ok([row.id(0)?.into()])).collect::<Result<_, StoreError>>()?;
    for statement in FORGET {
        tx.execute_many(statement, &keys)?;
    }
    Ok(i64::try_from(keys.len()).is_ok_and(|count| count == most))
}

fn list(
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

/// Lets a user's message go out now. Not a question: whoever has not said yes could be asked without end.
fn retry(tx: &mut Tx<'_>, user_id: &str, id: Uuid, now_us: i64) -> Result<(), NotificationsError> {
    let (user, key) = (Val::from(user_id), Val::from(id.into_bytes()));
    if tx.execute(AGAIN, &[user.clone(), key.clone(), now_us.into(), CONFIRMATION.into()])? > 0 {
        return Ok(());
    }
    let is_question = !tx.query(OF_USER, &[user, key])?.is_empty();
    Err(if is_question { NotificationsError::Question } else { NotificationsError::UnknownDelivery })
}

/// A user's message.
fn find(tx: &mut Tx<'_>, user_id: &str, id: Uuid) -> Result<(Delivery, Vec<Attempt>), NotificationsError> {
    let found = tx.query(OF_USER, &[user_id.into(), id.into_bytes().into()])?;
    let found = found.first().ok_or(NotificationsError::UnknownDelivery)?;
    let deliveries = vec![delivery(found)?];
    with_attempts(tx, deliveries)?.pop().ok_or(NotificationsError::UnknownDelivery)
}

/// Lets messages of an endpoint go out once more; answers how many.
fn again(
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

pub(super) fn delivery(row: &Row) -> Result<Delivery, NotificationsError> {
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
        topic: row.text(13)?.to_owned(),
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
