//! Web push: a message through the browser's own service, which can deliver it and cannot read it.
//!
//! The server says who it is by VAPID (RFC 8292): a token signed with a key whose public half the browser was given when it subscribed. A notice's time to live is a day, its
//! topic is what it is about, so that a phone that was off shows the last of several, and its urgency follows from whether it is critical.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use pathway_kernel::Clock;
use pathway_outbound::{Client, Request};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::json;

use super::judged;
use super::push_encryption::encrypt;
use crate::courier::{Sender, Sending};
use crate::delivery::{Claim, Outcome};
use crate::endpoint::Keys;
use crate::templates::Templates;

/// Sends push messages.
#[derive(Debug)]
pub(crate) struct PushSender {
    client: Client,
    clock: Clock,
    vapid: Vapid,
    templates: Arc<Templates>,
}

/// Who the server is to push services.
#[derive(Debug)]
pub(crate) struct Vapid {
    pair: EcdsaKeyPair,
    /// `mailto:` or `https:`: whom a push service may ask.
    subject: String,
}

/// For how long a push service keeps a message for a phone that is off, in seconds.
const TIME_TO_LIVE_S: u32 = 24 * 3600;
/// For how long a token is valid, in seconds; a day is the most (RFC 8292).
const TOKEN_S: i64 = 12 * 3600;
/// The longest text in a message: a push service takes 4096 bytes, encrypted.
const LONGEST_TEXT: usize = 1200;

// === impl Vapid ===

impl Vapid {
    /// A key from its file's text: PKCS #8 in PEM, as `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` writes it.
    pub(crate) fn parse(pem: &str, subject: &str) -> Result<Self, &'static str> {
        let body: String = pem.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
        let der = base64::engine::general_purpose::STANDARD.decode(body).map_err(|_| "is no PEM")?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, &SystemRandom::new());
        let pair = pair.map_err(|_| "is no private key of P-256 in PKCS #8")?;
        Ok(Self { pair, subject: subject.to_owned() })
    }

    /// A browser's `applicationServerKey`.
    pub(crate) fn public_key(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref())
    }

    /// The value of `authorization` for an endpoint.
    fn authorization(&self, endpoint: &str, now_s: i64) -> Option<String> {
        let uri: Uri = endpoint.parse().ok()?;
        let audience = format!("{}://{}", uri.scheme_str()?, uri.authority()?);
        let header = URL_SAFE_NO_PAD.encode(json!({"typ": "JWT", "alg": "ES256"}).to_string());
        let claims = json!({"aud": audience, "exp": now_s + TOKEN_S, "sub": self.subject}).to_string();
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).ok()?;
        let signature = URL_SAFE_NO_PAD.encode(signature.as_ref());
        Some(format!("vapid t={signed}.{signature}, k={}", self.public_key()))
    }
}

// === impl PushSender ===

impl PushSender {
    pub(crate) const fn new(client: Client, clock: Clock, vapid: Vapid, templates: Arc<Templates>) -> Self {
        Self { client, clock, vapid, templates }
    }

    async fn push(&self, claim: &Claim) -> Outcome {
        let now_us = self.clock.now_us();
        match self.request(claim, now_us.div_euclid(1_000_000)) {
            Err(reason) => Outcome::Refused { status: 0, reason: reason.to_owned() },
            Ok(request) => match judged(self.client.send(request).await, now_us) {
                // A push service says so of a subscription that its browser has ended.
                Outcome::Later { status: 404, .. } => Outcome::Gone { status: 404 },
                // Too large, or a token that it does not believe: no later attempt will be another.
                Outcome::Later { status: status @ (400 | 401 | 403 | 413), reason, .. } => {
                    Outcome::Refused { status, reason }
                }
                outcome => outcome,
            },
        }
    }

    fn request(&self, claim: &Claim, now_s: i64) -> Result<Request, &'static str> {
        let endpoint = claim.endpoint.as_ref().ok_or("the endpoint was removed")?;
        let Keys::Push { p256dh, auth } = &endpoint.keys else {
            return Err("the endpoint is no subscription");
        };
        let authorization = self.vapid.authorization(&endpoint.url, now_s).ok_or("the endpoint is no URL")?;
        let urgency =
            if claim.notices.iter().any(|stored| stored.notice.is_critical) { "high" } else { "normal" };
        let texts = [
            ("authorization", authorization),
            ("content-encoding", "aes128gcm".to_owned()),
            ("content-type", "application/octet-stream".to_owned()),
            ("ttl", TIME_TO_LIVE_S.to_string()),
            ("topic", topic(claim)),
            ("urgency", urgency.to_owned()),
        ];
        let mut headers = HeaderMap::new();
        for (name, text) in texts {
            let value = HeaderValue::try_from(text).map_err(|_| "a header cannot be written")?;
            headers.insert(HeaderName::from_static(name), value);
        }
        let body = encrypt(self.content(claim).as_bytes(), p256dh, auth)?;
        Ok(Request {
            method: Method::POST,
            url: endpoint.url.clone(),
            headers,
            body: Bytes::from(body),
            until: None,
        })
    }

    /// What the page's service worker gets.
    fn content(&self, claim: &Claim) -> String {
        let notices: Vec<_> = claim.notices.iter().map(|stored| &stored.notice).collect();
        let preferences = &claim.preferences;
        let text = self.templates.push(&notices, &preferences.locale, preferences.shows_amounts);
        let notice = match claim.notices.as_slice() {
            [stored] => json!({"id": stored.id.to_string(), "type": stored.notice.kind}),
            _ => json!(null),
        };
        json!({
            "title": shortened(&text.title),
            "body": shortened(&text.message),
            "tag": topic(claim),
            "notice": notice,
        })
        .to_string()
    }
}

impl Sender for PushSender {
    fn send<'a>(&'a self, claim: &'a Claim) -> Sending<'a> {
        Box::pin(self.push(claim))
    }
}

/// A later message with the same topic takes the place of one that still waits: at most 32 characters of URL-safe base64 (RFC 8030). What it is about stays unsaid:
/// push services read topics.
fn topic(claim: &Claim) -> String {
    let about = match claim.notices.as_slice() {
        [stored] if !stored.notice.about.is_empty() => {
            format!("{} {}", stored.notice.user_id, stored.notice.about)
        }
        _ => claim.delivery.id.to_string(),
    };
    let mut topic = URL_SAFE_NO_PAD.encode(digest(&SHA256, about.as_bytes()));
    topic.truncate(32);
    topic
}

fn shortened(text: &str) -> &str {
    let end = (0..=LONGEST_TEXT.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}
