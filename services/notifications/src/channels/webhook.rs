//! Webhooks: the notice as JSON, signed.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jiff::Timestamp;
use pathway_kernel::Clock;
use pathway_outbound::{Client, Request};
use serde_json::{Value, json};

use super::judged;
use crate::courier::{Sender, Sending};
use crate::delivery::{Claim, Outcome};
use crate::endpoint::Keys;
use crate::notice::Stored;
use crate::signature::sign;

/// Sends webhooks.
#[derive(Debug)]
pub(crate) struct WebhookSender {
    client: Client,
    clock: Clock,
}

// === impl WebhookSender ===

impl WebhookSender {
    pub(crate) const fn new(client: Client, clock: Clock) -> Self {
        Self { client, clock }
    }

    async fn post(&self, claim: &Claim) -> Outcome {
        let now_us = self.clock.now_us();
        let lacks = |reason: &str| Outcome::Refused { status: 0, reason: reason.to_owned() };
        let Some(endpoint) = &claim.endpoint else { return lacks("the endpoint was removed") };
        let Keys::Webhook(keys) = &endpoint.keys else { return lacks("the endpoint is no webhook") };
        let [notice] = claim.notices.as_slice() else { return lacks("the notice was removed") };
        let body = content(notice).to_string();
        let id = format!("msg_{}", claim.delivery.id);
        let timestamp_s = now_us.div_euclid(1_000_000);
        let signing = keys.iter().filter(|key| key.until_us.is_none_or(|until| until > now_us));
        let signing: Vec<&str> = signing.map(|key| key.secret.as_str()).collect();
        let signature = sign(&signing, &id, timestamp_s, body.as_bytes());
        let texts = [
            ("webhook-id", id),
            ("webhook-timestamp", timestamp_s.to_string()),
            ("webhook-signature", signature),
        ];
        let mut headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (USER_AGENT, HeaderValue::from_static("pathway-notifications")),
        ]);
        for (name, text) in texts {
            let Ok(value) = HeaderValue::try_from(text) else { return lacks("a header cannot be written") };
            headers.insert(HeaderName::from_static(name), value);
        }
        let request = Request {
            method: Method::POST,
            url: endpoint.url.clone(),
            headers,
            body: Bytes::from(body),
            until: None,
        };
        judged(self.client.send(request).await, now_us)
    }
}

impl Sender for WebhookSender {
    fn send<'a>(&'a self, claim: &'a Claim) -> Sending<'a> {
        Box::pin(self.post(claim))
    }
}

/// What the receiver gets: the same bytes for every attempt.
fn content(stored: &Stored) -> Value {
    let notice = &stored.notice;
    let at = |us: i64| Timestamp::from_microsecond(us).map_or_else(|_| us.to_string(), |at| at.to_string());
    json!({
        "type": "notification.created",
        "timestamp": at(stored.created_at_us),
        "data": {
            "id": stored.id.to_string(),
            "user_id": notice.user_id,
            "sequence": stored.sequence,
            "type": notice.kind,
            "title": notice.title,
            "message": notice.message,
            "metadata": notice.metadata,
            "about": notice.about,
            "critical": notice.is_critical,
        },
    })
}
