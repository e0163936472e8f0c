//! Webhooks and push subscriptions.

use pathway_kernel::Check;
use pathway_proto::pathway::notifications::v1 as api;
use tonic::Status;

use super::deliveries::{of_id, wrong};
use super::{check_user, refuse};
use crate::channels::is_push_key;
use crate::endpoint::{Endpoint, Keys};
use crate::notice::is_name;
use crate::notices::Notices;
use crate::preferences::Channel;
use crate::signature::{Kind, for_receiver, kind};
use crate::store::Again;
use crate::webhooks::{NewWebhook, WebhookChange};

/// The longest URL and description, in bytes.
const LONGEST_URL: usize = 2048;
const LONGEST_DESCRIPTION: usize = 512;
/// The most types of a webhook, and the most messages of a replay by id.
const MOST_TYPES: usize = 64;
const MOST_IDS: usize = 500;
/// For how long the secrets before sign too, unless it is said.
const OVERLAP_S: i64 = 24 * 3600;

pub(super) async fn create_webhook(
    notices: &Notices,
    mut request: api::CreateWebhookRequest,
) -> Result<api::CreateWebhookResponse, Status> {
    let mut check = check_user(&request.user_id);
    check.request_id("request_id", &request.request_id);
    check_url(&mut check, "url", &request.url);
    check_types(&mut check, &request.types);
    check.text("description", &request.description, LONGEST_DESCRIPTION);
    refuse(check)?;
    let call = std::mem::take(&mut request.request_id);
    let once = notices.once("CreateWebhook", &call, &request.user_id, &request);
    let new = NewWebhook {
        kind: from_kind(request.signature()).unwrap_or(Kind::Secret),
        user_id: request.user_id,
        url: request.url,
        types: request.types,
        description: request.description,
    };
    let (webhook, secret) = notices.create_webhook(new, once).await.map_err(wrong)?;
    Ok(api::CreateWebhookResponse { webhook: Some(to_webhook(webhook)), secret })
}

pub(super) async fn list_webhooks(
    notices: &Notices,
    request: api::ListWebhooksRequest,
) -> Result<api::ListWebhooksResponse, Status> {
    refuse(check_user(&request.user_id))?;
    let webhooks = notices.store.endpoints(request.user_id, Channel::Webhook).await.map_err(wrong)?;
    Ok(api::ListWebhooksResponse { webhooks: webhooks.into_iter().map(to_webhook).collect() })
}

pub(super) async fn update_webhook(
    notices: &Notices,
    request: api::UpdateWebhookRequest,
) -> Result<api::UpdateWebhookResponse, Status> {
    let mut check = check_user(&request.user_id);
    if let Some(url) = &request.url {
        check_url(&mut check, "url", url);
    }
    check.text("description", request.description.as_deref().unwrap_or_default(), LONGEST_DESCRIPTION);
    let types = request.types.map(|types| types.types);
    check_types(&mut check, types.as_deref().unwrap_or_default());
    refuse(check)?;
    let change = WebhookChange {
        url: request.url,
        is_enabled: request.enabled,
        description: request.description,
        types,
    };
    let webhook = notices.update_webhook(request.user_id, of_id(&request.id), change).await.map_err(wrong)?;
    Ok(api::UpdateWebhookResponse { webhook: Some(to_webhook(webhook)) })
}

pub(super) async fn rotate_webhook_secret(
    notices: &Notices,
    mut request: api::RotateWebhookSecretRequest,
) -> Result<api::RotateWebhookSecretResponse, Status> {
    let mut check = check_user(&request.user_id);
    check.request_id("request_id", &request.request_id);
    refuse(check)?;
    let call = std::mem::take(&mut request.request_id);
    let once = notices.once("RotateWebhookSecret", &call, &request.user_id, &request);
    let kind = from_kind(request.signature());
    let overlap_s = if request.overlap_seconds == 0 { OVERLAP_S } else { request.overlap_seconds.max(0) };
    let overlap_us = overlap_s.saturating_mul(1_000_000);
    let rotated = notices.rotate_webhook(request.user_id, of_id(&request.id), kind, overlap_us, once);
    Ok(api::RotateWebhookSecretResponse { secret: rotated.await.map_err(wrong)? })
}

pub(super) async fn recover_webhook(
    notices: &Notices,
    request: api::RecoverWebhookRequest,
) -> Result<api::RecoverWebhookResponse, Status> {
    refuse(check_user(&request.user_id))?;
    let which = Again::FailedSince(request.since_us);
    let again = notices.send_again(request.user_id, of_id(&request.id), which, None);
    let messages = again.await.map_err(wrong)?;
    Ok(api::RecoverWebhookResponse { messages: count(messages) })
}

pub(super) async fn replay_webhook(
    notices: &Notices,
    mut request: api::ReplayWebhookRequest,
) -> Result<api::ReplayWebhookResponse, Status> {
    let mut check = check_user(&request.user_id);
    check.request_id("request_id", &request.request_id);
    check.at_most("delivery_ids", request.delivery_ids.len(), MOST_IDS);
    let is_nothing = request.delivery_ids.is_empty() && request.since_us <= 0 && request.until_us <= 0;
    check.note("delivery_ids", is_nothing.then_some("or a stretch of time is required: since_us, until_us"));
    refuse(check)?;
    let call = std::mem::take(&mut request.request_id);
    let once = notices.once("ReplayWebhook", &call, &request.user_id, &request);
    let which = if request.delivery_ids.is_empty() {
        let until = if request.until_us <= 0 { i64::MAX } else { request.until_us };
        Again::Between(request.since_us, until)
    } else {
        Again::These(request.delivery_ids.iter().map(|id| of_id(id)).collect())
    };
    let again = notices.send_again(request.user_id, of_id(&request.id), which, once);
    let messages = again.await.map_err(wrong)?;
    Ok(api::ReplayWebhookResponse { messages: count(messages) })
}

pub(super) async fn create_push_subscription(
    notices: &Notices,
    request: api::CreatePushSubscriptionRequest,
) -> Result<api::CreatePushSubscriptionResponse, Status> {
    let mut check = check_user(&request.user_id);
    check_url(&mut check, "endpoint", &request.endpoint);
    check.text("description", &request.description, LONGEST_DESCRIPTION);
    let is_point = is_push_key(&request.p256dh, 65);
    check.note(
        "p256dh",
        (!is_point).then_some("must be an uncompressed point of P-256, 65 bytes in URL-safe base64"),
    );
    let is_secret = is_push_key(&request.auth, 16);
    check.note("auth", (!is_secret).then_some("must be 16 bytes in URL-safe base64"));
    refuse(check)?;
    let keys = Keys::Push { p256dh: request.p256dh, auth: request.auth };
    let kept = notices.subscribe_push(request.user_id, request.endpoint, keys, request.description);
    let kept = kept.await.map_err(wrong)?;
    Ok(api::CreatePushSubscriptionResponse { subscription: Some(to_subscription(kept)) })
}

pub(super) async fn list_push_subscriptions(
    notices: &Notices,
    request: api::ListPushSubscriptionsRequest,
) -> Result<api::ListPushSubscriptionsResponse, Status> {
    refuse(check_user(&request.user_id))?;
    let kept = notices.store.endpoints(request.user_id, Channel::Push).await.map_err(wrong)?;
    Ok(api::ListPushSubscriptionsResponse { subscriptions: kept.into_iter().map(to_subscription).collect() })
}

pub(super) async fn remove(
    notices: &Notices,
    user_id: String,
    channel: Channel,
    id: &str,
) -> Result<(), Status> {
    refuse(check_user(&user_id))?;
    let now_us = notices.clock.now_us();
    notices.store.remove_endpoint(user_id, channel, of_id(id), now_us).await.map_err(wrong)
}

/// Whether it may be called is asked when it is: a name may mean another address by then.
fn check_url(check: &mut Check, field: &str, url: &str) {
    check.required(field, url, LONGEST_URL);
    let is_http = url.is_empty() || url.starts_with("https://") || url.starts_with("http://");
    check.note(field, (!is_http).then_some("must begin with https:// or http://"));
    // Up to where the path begins: an @ behind that is a part of it.
    let authority = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = authority.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let problem = "must not have a user or a password in it: it is shown in lists; what its receiver needs goes into the path, or it checks the signature";
    check.note(field, authority.contains('@').then_some(problem));
}

fn check_types(check: &mut Check, types: &[String]) {
    check.at_most("types", types.len(), MOST_TYPES);
    let strange =
        types.iter().any(|kind| kind.is_empty() || kind.len() > LONGEST_DESCRIPTION || !is_name(kind));
    check.note("types", strange.then_some("may have a-z, 0-9 and _ only"));
}

const fn from_kind(kind: api::SignatureKind) -> Option<Kind> {
    match kind {
        api::SignatureKind::Unspecified => None,
        api::SignatureKind::Secret => Some(Kind::Secret),
        api::SignatureKind::KeyPair => Some(Kind::KeyPair),
    }
}

fn count(messages: u64) -> i64 {
    i64::try_from(messages).unwrap_or(i64::MAX)
}

/// A webhook without its secrets.
fn to_webhook(endpoint: Endpoint) -> api::Webhook {
    let keys = match &endpoint.keys {
        Keys::Webhook(keys) => keys.as_slice(),
        Keys::Push { .. } => &[],
    };
    let pairs = keys.iter().filter(|key| kind(&key.secret) == Kind::KeyPair);
    api::Webhook {
        id: endpoint.id.to_string(),
        public_keys: pairs.filter_map(|key| for_receiver(&key.secret)).collect(),
        url: endpoint.url,
        types: endpoint.types,
        description: endpoint.description,
        enabled: endpoint.is_enabled,
        disabled_reason: endpoint.disabled_reason,
        failing_since_us: endpoint.failing_since_us.unwrap_or_default(),
        created_at_us: endpoint.created_at_us,
    }
}

fn to_subscription(endpoint: Endpoint) -> api::PushSubscription {
    api::PushSubscription {
        id: endpoint.id.to_string(),
        endpoint: endpoint.url,
        description: endpoint.description,
        created_at_us: endpoint.created_at_us,
    }
}
