//! What users do with their webhooks and push subscriptions.

use pathway_kernel::new_id;
use pathway_store::Once;
use uuid::Uuid;

use crate::endpoint::{Endpoint, Keys, SigningKey};
use crate::error::NotificationsError;
use crate::notices::Notices;
use crate::preferences::Channel;
use crate::signature::{Kind, for_receiver, kind, new_key};
use crate::store::Again;

/// A webhook to make.
#[derive(Debug, Clone)]
pub(crate) struct NewWebhook {
    pub(crate) user_id: String,
    pub(crate) url: String,
    pub(crate) types: Vec<String>,
    pub(crate) description: String,
    pub(crate) kind: Kind,
}

/// What to change of a webhook.
#[derive(Debug, Clone, Default)]
pub(crate) struct WebhookChange {
    pub(crate) url: Option<String>,
    pub(crate) is_enabled: Option<bool>,
    pub(crate) description: Option<String>,
    pub(crate) types: Option<Vec<String>>,
}

/// How many keys a webhook may have that still sign.
const MOST_KEYS: usize = 5;

// === impl Notices ===

impl Notices {
    /// Makes a webhook; answers it and what its receiver checks signatures with. A call that has an id is done once.
    pub(crate) async fn create_webhook(
        &self,
        new: NewWebhook,
        once: Option<Once>,
    ) -> Result<(Endpoint, String), NotificationsError> {
        let (key, secret) = fresh(new.kind)?;
        let now_us = self.clock.now_us();
        let endpoint = Endpoint {
            id: new_id(now_us),
            user_id: new.user_id,
            channel: Channel::Webhook,
            url: new.url,
            keys: Keys::Webhook(vec![key]),
            types: new.types,
            description: new.description,
            is_enabled: true,
            disabled_reason: String::new(),
            failing_since_us: None,
            created_at_us: now_us,
        };
        self.store.add_webhook(endpoint, secret, once).await
    }

    /// Changes a webhook. One that is enabled again begins anew.
    pub(crate) async fn update_webhook(
        &self,
        user_id: String,
        id: Uuid,
        change: WebhookChange,
    ) -> Result<Endpoint, NotificationsError> {
        let apply = move |endpoint: &mut Endpoint| {
            if let Some(url) = &change.url {
                endpoint.url.clone_from(url);
            }
            if let Some(description) = &change.description {
                endpoint.description.clone_from(description);
            }
            if let Some(types) = &change.types {
                endpoint.types.clone_from(types);
            }
            match change.is_enabled {
                Some(true) => {
                    endpoint.disabled_reason.clear();
                    endpoint.failing_since_us = None;
                    endpoint.is_enabled = true;
                }
                Some(false) => {
                    "by its owner".clone_into(&mut endpoint.disabled_reason);
                    endpoint.is_enabled = false;
                }
                None => {}
            }
        };
        self.store.update_endpoint(user_id, Channel::Webhook, id, apply).await
    }

    /// Gives a webhook another key; those before sign for `overlap_us` more. A call that has an id is done once.
    pub(crate) async fn rotate_webhook(
        &self,
        user_id: String,
        id: Uuid,
        wanted: Option<Kind>,
        overlap_us: i64,
        once: Option<Once>,
    ) -> Result<String, NotificationsError> {
        let found = self.store.endpoints(user_id.clone(), Channel::Webhook).await?;
        let found = found.into_iter().find(|endpoint| endpoint.id == id);
        let Some(Endpoint { keys: Keys::Webhook(keys), .. }) = found else {
            return Err(NotificationsError::UnknownEndpoint);
        };
        let kind = wanted.or_else(|| keys.first().map(|key| kind(&key.secret))).unwrap_or(Kind::Secret);
        let (new, secret) = fresh(kind)?;
        let now_us = self.clock.now_us();
        let until_us = now_us.saturating_add(overlap_us);
        let apply = move |endpoint: &mut Endpoint| {
            let Keys::Webhook(keys) = &mut endpoint.keys else { return };
            for key in &mut *keys {
                key.until_us = Some(key.until_us.map_or(until_us, |until| until.min(until_us)));
            }
            keys.retain(|key| key.until_us.is_none_or(|until| until > now_us));
            keys.insert(0, new.clone());
            keys.truncate(MOST_KEYS);
        };
        self.store.rotate(user_id, id, secret, once, apply).await
    }

    /// Lets messages of a webhook go out once more; answers how many.
    pub(crate) async fn send_again(
        &self,
        user_id: String,
        id: Uuid,
        which: Again,
        once: Option<Once>,
    ) -> Result<u64, NotificationsError> {
        let count = self.store.again(user_id, id, which, self.clock.now_us(), once).await?;
        self.wake.notify_one();
        Ok(count)
    }

    /// Keeps a push subscription in place of one with the same endpoint.
    pub(crate) async fn subscribe_push(
        &self,
        user_id: String,
        url: String,
        keys: Keys,
        description: String,
    ) -> Result<Endpoint, NotificationsError> {
        let now_us = self.clock.now_us();
        let endpoint = Endpoint {
            id: new_id(now_us),
            user_id,
            channel: Channel::Push,
            url,
            keys,
            types: Vec::new(),
            description,
            is_enabled: true,
            disabled_reason: String::new(),
            failing_since_us: None,
            created_at_us: now_us,
        };
        self.store.add_endpoint(endpoint.clone(), true).await?;
        Ok(endpoint)
    }
}

/// A new key, and what its receiver gets.
fn fresh(kind: Kind) -> Result<(SigningKey, String), NotificationsError> {
    let secret = new_key(kind).ok_or(NotificationsError::NoKey)?;
    let shown = for_receiver(&secret).ok_or(NotificationsError::NoKey)?;
    Ok((SigningKey { secret, until_us: None }, shown))
}
