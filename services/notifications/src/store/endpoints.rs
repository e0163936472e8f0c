//! Webhooks and push subscriptions.

use pathway_store::{Once, Row, StoreError, Tx, Val};
use uuid::Uuid;

use super::Store;
use super::feed::HAS_ROUTES;
use crate::endpoint::Endpoint;
use crate::error::NotificationsError;
use crate::preferences::Channel;

macro_rules! columns {
    () => {
        "id, user_id, channel, url, keys, types, description, is_enabled, disabled_reason, failing_since_us, created_at_us"
    };
}

pub(super) const ALL_OF_USER: &str =
    concat!("SELECT ", columns!(), " FROM endpoints WHERE user_id = $1 ORDER BY id");
const OF_USER: &str =
    concat!("SELECT ", columns!(), " FROM endpoints WHERE user_id = $1 AND channel = $2 ORDER BY id");
pub(super) const BY_ID: &str = concat!("SELECT ", columns!(), " FROM endpoints WHERE id = $1");
const INSERT: &str = concat!(
    "INSERT INTO endpoints (",
    columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
     ON CONFLICT (id) DO UPDATE SET url = excluded.url, keys = excluded.keys, types = excluded.types,
     description = excluded.description, is_enabled = excluded.is_enabled, disabled_reason = excluded.disabled_reason,
     failing_since_us = excluded.failing_since_us"
);
const DELETE: &str = "DELETE FROM endpoints WHERE id = $1 AND user_id = $2";
const DROP_WAITING: &str = "UPDATE deliveries
     SET state = 'dropped', reason = 'the endpoint was removed', ended_at_us = $3
     WHERE user_id = $1 AND target = $2 AND state = 'waiting'";

// === impl Store ===

impl Store {
    /// A user's endpoints of a channel, in the order in which they were made.
    pub(crate) async fn endpoints(
        &self,
        user_id: String,
        channel: Channel,
    ) -> Result<Vec<Endpoint>, NotificationsError> {
        self.db.read(move |tx| list(tx, &user_id, channel)).await
    }

    /// Stores a new webhook, and keeps with the call what its receiver is to have; answers both, as the webhook is then. A call that has an id is done once.
    pub(crate) async fn add_webhook(
        &self,
        endpoint: Endpoint,
        secret: String,
        once: Option<Once>,
    ) -> Result<(Endpoint, String), NotificationsError> {
        let user_id = endpoint.user_id.clone();
        let add = move |tx: &mut Tx<'_>| {
            add(tx, &endpoint, false)?;
            Ok(((endpoint.id.into_bytes(), secret.clone()), ()))
        };
        let ((id, secret), _) = self.once(once, add).await?;
        let id = Uuid::from_bytes(id);
        let found = self.db.read(move |tx| find(tx, &user_id, Channel::Webhook, id)).await?;
        Ok((found, secret))
    }

    /// Gives a webhook other keys, by what `change` makes of them, and keeps with the call what its receiver is to have, which is answered. A call that has an id is
    /// done once.
    pub(crate) async fn rotate(
        &self,
        user_id: String,
        id: Uuid,
        secret: String,
        once: Option<Once>,
        change: impl Fn(&mut Endpoint) + Send + 'static,
    ) -> Result<String, NotificationsError> {
        let rotate = move |tx: &mut Tx<'_>| {
            update(tx, &user_id, Channel::Webhook, id, &change)?;
            Ok((secret.clone(), ()))
        };
        Ok(self.once(once, rotate).await?.0)
    }

    /// Stores a new endpoint, and removes the user's others of its channel with the same URL where `alone`.
    pub(crate) async fn add_endpoint(
        &self,
        endpoint: Endpoint,
        alone: bool,
    ) -> Result<(), NotificationsError> {
        self.db.write_locking(move |tx| add(tx, &endpoint, alone)).await
    }

    /// Changes a user's endpoint, by what `change` makes of it.
    pub(crate) async fn update_endpoint(
        &self,
        user_id: String,
        channel: Channel,
        id: Uuid,
        change: impl Fn(&mut Endpoint) + Send + 'static,
    ) -> Result<Endpoint, NotificationsError> {
        self.db.write_locking(move |tx| update(tx, &user_id, channel, id, &change)).await
    }

    /// Removes a user's endpoint and drops what waits for it.
    pub(crate) async fn remove_endpoint(
        &self,
        user_id: String,
        channel: Channel,
        id: Uuid,
        now_us: i64,
    ) -> Result<(), NotificationsError> {
        self.db.write_locking(move |tx| remove(tx, &user_id, channel, id, now_us)).await
    }
}

/// A user's endpoints of a channel, in the order in which they were made.
fn list(tx: &mut Tx<'_>, user_id: &str, channel: Channel) -> Result<Vec<Endpoint>, NotificationsError> {
    tx.query(OF_USER, &[user_id.into(), channel.name().into()])?.iter().map(endpoint).collect()
}

/// A user's own endpoint of a channel.
pub(super) fn find(
    tx: &mut Tx<'_>,
    user_id: &str,
    channel: Channel,
    id: Uuid,
) -> Result<Endpoint, NotificationsError> {
    let row = tx.query(BY_ID, &[id.into_bytes().into()])?;
    let found = row.first().map(endpoint).transpose()?;
    found
        .filter(|endpoint| endpoint.user_id == user_id && endpoint.channel == channel)
        .ok_or(NotificationsError::UnknownEndpoint)
}

/// Stores an endpoint, new or changed.
pub(super) fn put(tx: &mut Tx<'_>, endpoint: &Endpoint) -> Result<(), NotificationsError> {
    tx.execute(HAS_ROUTES, &[(&endpoint.user_id).into()])?;
    let row: [Val; 11] = [
        endpoint.id.into_bytes().into(),
        (&endpoint.user_id).into(),
        endpoint.channel.name().into(),
        (&endpoint.url).into(),
        serde_json::to_string(&endpoint.keys)?.into(),
        serde_json::to_string(&endpoint.types)?.into(),
        (&endpoint.description).into(),
        endpoint.is_enabled.into(),
        (&endpoint.disabled_reason).into(),
        endpoint.failing_since_us.into(),
        endpoint.created_at_us.into(),
    ];
    tx.execute(INSERT, &row)?;
    Ok(())
}

/// Stores a new endpoint; where `alone`, in place of the user's others of its channel with the same URL.
fn add(tx: &mut Tx<'_>, endpoint: &Endpoint, alone: bool) -> Result<(), NotificationsError> {
    put(tx, endpoint)?;
    for other in list(tx, &endpoint.user_id, endpoint.channel)? {
        if alone && other.id != endpoint.id && other.url == endpoint.url {
            remove(tx, &endpoint.user_id, endpoint.channel, other.id, endpoint.created_at_us)?;
        }
    }
    Ok(())
}

/// Changes a user's endpoint, by what `change` makes of it.
fn update(
    tx: &mut Tx<'_>,
    user_id: &str,
    channel: Channel,
    id: Uuid,
    change: impl FnOnce(&mut Endpoint),
) -> Result<Endpoint, NotificationsError> {
    tx.execute(HAS_ROUTES, &[user_id.into()])?;
    let mut endpoint = find(tx, user_id, channel, id)?;
    change(&mut endpoint);
    put(tx, &endpoint)?;
    Ok(endpoint)
}

/// Removes a user's endpoint and drops what waits for it.
fn remove(
    tx: &mut Tx<'_>,
    user_id: &str,
    channel: Channel,
    id: Uuid,
    now_us: i64,
) -> Result<(), NotificationsError> {
    tx.execute(HAS_ROUTES, &[user_id.into()])?;
    find(tx, user_id, channel, id)?;
    tx.execute(DELETE, &[id.into_bytes().into(), user_id.into()])?;
    tx.execute(DROP_WAITING, &[user_id.into(), id.to_string().into(), now_us.into()])?;
    Ok(())
}

pub(super) fn endpoint(row: &Row) -> Result<Endpoint, NotificationsError> {
    Ok(Endpoint {
        id: Uuid::from_bytes(row.id(0)?),
        user_id: row.text(1)?.to_owned(),
        channel: Channel::parse(row.text(2)?)
            .ok_or(StoreError::Column { index: 2, expected: "a channel" })?,
        url: row.text(3)?.to_owned(),
        keys: serde_json::from_str(row.text(4)?)?,
        types: serde_json::from_str(row.text(5)?)?,
        description: row.text(6)?.to_owned(),
        is_enabled: row.bool(7)?,
        disabled_reason: row.text(8)?.to_owned(),
        failing_since_us: row.opt_i64(9)?,
        created_at_us: row.i64(10)?,
    })
}
