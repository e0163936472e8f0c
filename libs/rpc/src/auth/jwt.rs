//! Tokens: taking one apart, and signing our own.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::keys::{Key, SHORTEST_SECRET};
use super::{AuthError, Role};

/// The longest token, in bytes.
pub const MOST_TOKEN_BYTES: usize = 8 * 1024;
/// The longest `sub`, in bytes: as long as a user id may be.
const LONGEST_SUBJECT: usize = 512;

/// A secret that signs and checks tokens (HS256).
#[derive(Clone)]
pub struct Secret(Vec<u8>);

/// A token, taken apart and not yet believed.
pub(super) struct Unverified<'a> {
    algorithm: String,
    /// Which key signed it.
    pub(super) key_id: Option<String>,
    signed: &'a str,
    signature: Vec<u8>,
    claims: Map<String, Value>,
}

/// What a token must say.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    pub(super) issuer: String,
    pub(super) audience: String,
    pub(super) role_claim: String,
    pub(super) skew: Duration,
}

/// What a token says that is believed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Believed {
    pub(super) role: Role,
    pub(super) subject: String,
    /// When it stops being accepted, the skew included.
    pub(super) until_us: i64,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

// === impl Secret ===

impl Secret {
    /// A secret, where it is long enough not to be guessed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(secret: &[u8]) -> Result<Self, String> {
        if secret.len() < SHORTEST_SECRET {
            return Err(format!(
                "has {} bytes; a secret has at least {SHORTEST_SECRET} (openssl rand -base64 32)",
                secret.len()
            ));
        }
        Ok(Self(secret.to_owned()))
    }

    pub(super) fn key(&self) -> Key {
        Key::hmac(&self.0)
    }

    /// A token with these claims.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": "HS256", "typ": "JWT"});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(claims));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.0), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

// === impl Unverified ===

impl<'a> Unverified<'a> {
    /// Takes a token apart.
    pub(super) fn read(token: &'a str) -> Option<Self> {
        if token.len() > MOST_TOKEN_BYTES {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let part = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
        let Header { alg, kid, crit } = serde_json::from_slice(&part(header)?).ok()?;
        // What is critical to the issuer and unknown to us must be refused (RFC 7515, 4.1.11).
        if crit.is_some() {
            return None;
        }
        let claims = serde_json::from_slice(&part(claims)?).ok()?;
        Some(Self { algorithm: alg, key_id: kid, signed, signature: part(signature)?, claims })
    }

    /// Whether it says to be signed with our secret rather than with a key of the set.
    pub(super) fn is_symmetric(&self) -> bool {
        self.algorithm.starts_with("HS")
    }

    /// Believes it, where `key` signed it and it says what is expected.
    pub(super) fn verify(&self, key: &Key, expected: &Expected, now_us: i64) -> Result<Believed, AuthError> {
        let is_signed =
            self.algorithm == key.algorithm() && key.verifies(self.signed.as_bytes(), &self.signature);
        if !is_signed || !self.is_for(expected) {
            return Err(AuthError::Refused);
        }
        let skew_us = i64::try_from(expected.skew.as_micros()).unwrap_or(i64::MAX);
        let expires_us = instant_us(self.claims.get("exp")).ok_or(AuthError::Refused)?;
        let until_us = expires_us.saturating_add(skew_us);
        if until_us <= now_us {
            return Err(AuthError::Expired);
        }
        if let Some(begins) = self.claims.get("nbf") {
            let begins_us = instant_us(Some(begins)).ok_or(AuthError::Refused)?;
            if begins_us.saturating_sub(skew_us) > now_us {
                return Err(AuthError::Refused);
            }
        }
        let subject = self.claims.get("sub").and_then(Value::as_str).unwrap_or_default();
        if subject.is_empty() || subject.len() > LONGEST_SUBJECT || subject.contains('\0') {
            return Err(AuthError::Refused);
        }
        Ok(Believed { role: self.role(&expected.role_claim), subject: subject.to_owned(), until_us })
    }

    fn is_for(&self, expected: &Expected) -> bool {
        let has = |claim: &str, wanted: &str| {
            wanted.is_empty() || texts(self.claims.get(claim)).any(|text| text == wanted)
        };
        has("iss", &expected.issuer) && has("aud", &expected.audience)
    }

    /// The role that the claim names: a text or a list of them; `a.b` is the field `b` of the claim `a` unless there is a claim of that very name.
    fn role(&self, claim: &str) -> Role {
        let nested = || {
            claim.split('.').try_fold(None, |found: Option<&Value>, step| {
                let next = found.map_or_else(|| self.claims.get(step), |found| found.get(step));
                next.map(Some)
            })
        };
        let value = self.claims.get(claim).or_else(|| nested().flatten());
        let names = |name: &str| texts(value).any(|text| text == name);
        if names("service") {
            Role::Service
        } else if names("operator") {
            Role::Operator
        } else {
            Role::User
        }
    }
}

/// The texts of a claim that is one or a list of them.
fn texts(claim: Option<&Value>) -> impl Iterator<Item = &str> {
    let one = claim.and_then(Value::as_str);
    let many = claim.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    one.into_iter().chain(many)
}

/// A `NumericDate`: seconds since the Unix epoch, possibly with a fraction, which is cut off.
fn instant_us(claim: Option<&Value>) -> Option<i64> {
    let Some(Value::Number(number)) = claim else { return None };
    let text = number.to_string();
    let seconds: i64 = text.split_once('.').map_or(text.as_str(), |(whole, _)| whole).parse().ok()?;
    Some(seconds.saturating_mul(1_000_000))
}

/// Takes a token apart as a server does, and checks it with a secret: for who wants to know what a server makes of any text.
///
/// # Errors
/// Why it is not accepted.
pub fn examine(token: &str, secret: &Secret, now_us: i64) -> Result<Role, AuthError> {
    let expected = Expected {
        issuer: String::new(),
        audience: String::new(),
        role_claim: "role".to_owned(),
        skew: Duration::ZERO,
    };
    let token = Unverified::read(token).ok_or(AuthError::Refused)?;
    token.verify(&secret.key(), &expected, now_us).map(|believed| believed.role)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_US: i64 = 1_000_000_000;

    fn secret() -> Secret {
        Secret::new(&[7; 32]).unwrap()
    }

    fn expected() -> Expected {
        Expected {
            issuer: "https://issuer".to_owned(),
            audience: "pathway".to_owned(),
            role_claim: "role".to_owned(),
            skew: Duration::from_secs(30),
        }
    }

    fn claims() -> Value {
        json!({"iss": "https://issuer", "aud": ["other", "pathway"], "sub": "asha", "exp": 1100})
    }

    fn with(claim: &str, value: Value) -> Value {
        let mut claims = claims();
        claims[claim] = value;
        claims
    }

    fn check(claims: &Value) -> Result<Believed, AuthError> {
        let token = secret().sign(claims);
        Unverified::read(&token).unwrap().verify(&secret().key(), &expected(), NOW_US)
    }

    #[test]
    fn a_good_token_is_believed_until_it_ends() {
        let believed = Believed { role: Role::User, subject: "asha".to_owned(), until_us: 1_130_000_000 };
        assert_eq!(check(&claims()), Ok(believed));
        assert!(check(&with("exp", json!(971))).is_ok(), "within the skew");
        assert_eq!(check(&with("exp", json!(970))), Err(AuthError::Expired));
        assert!(check(&with("exp", json!(1100.9))).is_ok());
        assert!(check(&with("nbf", json!(1030))).is_ok(), "within the skew");
        assert_eq!(check(&with("nbf", json!(1031))), Err(AuthError::Refused));
    }

    #[test]
    fn what_is_missing_or_meant_for_others_is_refused() {
        for (claim, value) in [
            ("iss", json!("https://other")),
            ("aud", json!("other")),
            ("aud", Value::Null),
            ("sub", json!("")),
            ("sub", json!(7)),
            ("sub", json!("a\0b")),
            ("exp", Value::Null),
            ("exp", json!("1100")),
            ("nbf", json!("soon")),
        ] {
            assert_eq!(check(&with(claim, value)), Err(AuthError::Refused), "{claim}");
        }
    }

    #[test]
    fn the_header_does_not_choose_the_check() {
        let token = secret().sign(&claims());
        let (_, rest) = token.split_once('.').unwrap();
        let header = |header: &Value| URL_SAFE_NO_PAD.encode(header.to_string());
        for alg in ["none", "HS512", "RS256", "hs256"] {
            let token = format!("{}.{rest}", header(&json!({"alg": alg})));
            let read = Unverified::read(&token).unwrap();
            assert_eq!(read.verify(&secret().key(), &expected(), NOW_US), Err(AuthError::Refused), "{alg}");
        }
        let critical = format!("{}.{rest}", header(&json!({"alg": "HS256", "crit": ["b64"]})));
        assert!(Unverified::read(&critical).is_none());
    }

    #[test]
    fn any_change_breaks_the_signature() {
        let token = secret().sign(&claims());
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(examine(&changed, &secret(), NOW_US).is_err(), "byte {at}");
        }
        assert_eq!(examine(&token, &Secret::new(&[8; 32]).unwrap(), NOW_US), Err(AuthError::Refused));
    }

    #[test]
    fn a_role_is_a_text_or_in_a_list_or_deeper() {
        let role = |claim: &str, claims: Value| {
            let token = secret().sign(&claims);
            Unverified::read(&token).unwrap().role(claim)
        };
        assert_eq!(role("role", json!({"role": "service"})), Role::Service);
        assert_eq!(role("roles", json!({"roles": ["x", "operator"]})), Role::Operator);
        assert_eq!(role("realm.roles", json!({"realm": {"roles": ["service"]}})), Role::Service);
        assert_eq!(role("https://x.y/role", json!({"https://x.y/role": "service"})), Role::Service);
        assert_eq!(role("role", json!({"role": "services"})), Role::User);
        assert_eq!(role("role", json!({"role": {"service": true}})), Role::User);
    }

    #[test]
    fn a_short_secret_is_refused() {
        assert!(Secret::new(b"password").unwrap_err().contains("at least 32"));
        assert_eq!(format!("{:?}", secret()), "Secret(..)");
    }
}
