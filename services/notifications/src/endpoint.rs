//! Where a user's notices go over HTTP: webhooks and push subscriptions.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::preferences::Channel;

/// A webhook or a push subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) id: Uuid,
    pub(crate) user_id: String,
    pub(crate) channel: Channel,
    pub(crate) url: String,
    pub(crate) keys: Keys,
    /// The types that it gets; none for all.
    pub(crate) types: Vec<String>,
    pub(crate) description: String,
    pub(crate) is_enabled: bool,
    pub(crate) disabled_reason: String,
    /// Since when every attempt has failed.
    pub(crate) failing_since_us: Option<i64>,
    pub(crate) created_at_us: i64,
}

/// What its messages are signed with or encrypted for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Keys {
    /// A webhook's signing keys, newest first.
    Webhook(Vec<SigningKey>),
    /// A browser's public key and secret, URL-safe base64.
    Push { p256dh: String, auth: String },
}

/// A key of a webhook.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SigningKey {
    /// `whsec_...` or `whsk_...`.
    pub(crate) secret: String,
    /// Until when it signs; none for as long as it is the newest.
    pub(crate) until_us: Option<i64>,
}

// === impl Endpoint ===

impl Endpoint {
    /// Whether it is meant for a type.
    pub(crate) fn takes(&self, kind: &str) -> bool {
        self.types.is_empty() || self.types.iter().any(|one| one == kind)
    }
}

// === impl Keys ===

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Webhook(keys) => f.debug_tuple("Webhook").field(keys).finish(),
            Self::Push { .. } => f.debug_struct("Push").finish_non_exhaustive(),
        }
    }
}

// === impl SigningKey ===

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("until_us", &self.until_us).finish_non_exhaustive()
    }
}
