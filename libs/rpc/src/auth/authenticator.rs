//! Whose token it is.

use std::time::Duration;

use http::{HeaderMap, header};
use pathway_kernel::Clock;

use super::jwt::{Expected, Unverified};
use super::keys::Key;
use super::{AuthError, Identity, Jwks, Secret};

/// What tokens are checked with, and what they must say.
#[derive(Debug)]
pub struct AuthConfig {
    /// The secret of tokens that are signed with HS256; none where there are no such tokens.
    pub secret: Option<Secret>,
    /// The keys of all others; none where there are no others.
    pub jwks: Option<Jwks>,
    /// The `iss` that a token must have; empty for any.
    pub issuer: String,
    /// The `aud` that a token must have or list; empty for any.
    pub audience: String,
    /// The claim that names the role: `service` or `operator`; whoever has neither is a user.
    pub role_claim: String,
    /// How far our clock and the issuer's may lie apart.
    pub skew: Duration,
}

/// Says whose a token is.
#[derive(Debug)]
pub struct Authenticator {
    secret: Option<Key>,
    jwks: Option<Jwks>,
    expected: Expected,
    clock: Clock,
}

// === impl Authenticator ===

impl Authenticator {
    /// One that tells the time by `clock`.
    #[must_use]
    pub fn new(config: AuthConfig, clock: Clock) -> Self {
        let AuthConfig { secret, jwks, issuer, audience, role_claim, skew } = config;
        let expected = Expected { issuer, audience, role_claim, skew };
        Self { secret: secret.map(|secret| secret.key()), jwks, expected, clock }
    }

    /// Who sent these headers.
    ///
    /// # Errors
    /// Where they have no token, or none that is believed.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Identity, AuthError> {
        let token = Unverified::read(bearer(headers)?).ok_or(AuthError::Refused)?;
        let now_us = self.clock.now_us();
        // Each kind of token has its own keys, so what a header says can only lead to a key that does not fit.
        let believed = if token.is_symmetric() {
            let key = self.secret.as_ref().ok_or(AuthError::Refused)?;
            token.verify(key, &self.expected, now_us)?
        } else {
            let jwks = self.jwks.as_ref().ok_or(AuthError::Refused)?;
            let check = |named: &super::keys::Named| token.verify(&named.key, &self.expected, now_us);
            jwks.with_key(token.key_id.as_deref(), check).await??
        };
        let identity = Identity::new(believed.role, &believed.subject);
        Ok(identity.until(self.clock.clone(), believed.until_us))
    }
}

/// The one bearer token of a call.
fn bearer(headers: &HeaderMap) -> Result<&str, AuthError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(AuthError::Missing)?;
    if values.next().is_some() {
        return Err(AuthError::Refused);
    }
    let text = value.to_str().map_err(|_| AuthError::Refused)?;
    let (scheme, token) = text.split_once(' ').ok_or(AuthError::Refused)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(AuthError::Refused) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use http::HeaderValue;
    use pathway_kernel::ManualClock;
    use ring::rand::SystemRandom;
    use ring::signature::{Ed25519KeyPair, KeyPair as _};
    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::{JwksTimes, Role};

    /// Somebody who issues tokens.
    struct Issuer {
        id: String,
        pair: Ed25519KeyPair,
    }

    impl Issuer {
        fn new(id: &str) -> Self {
            let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
            Self { id: id.to_owned(), pair: Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap() }
        }

        fn jwk(&self) -> Value {
            let x = URL_SAFE_NO_PAD.encode(self.pair.public_key());
            json!({"kty": "OKP", "crv": "Ed25519", "kid": self.id, "x": x, "use": "sig"})
        }

        fn token(&self) -> HeaderMap {
            let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let header = part(json!({"alg": "EdDSA", "kid": self.id}));
            let signed = format!("{header}.{}", part(json!({"sub": "asha", "exp": 100})));
            let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(signed.as_bytes()));
            bearing(&format!("{signed}.{signature}"))
        }
    }

    fn bearing(token: &str) -> HeaderMap {
        let value = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
        HeaderMap::from_iter([(header::AUTHORIZATION, value)])
    }

    fn set(keys: &[&Issuer]) -> String {
        json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()}).to_string()
    }

    fn by(secret: Option<Secret>, jwks: Option<Jwks>) -> Authenticator {
        let config = AuthConfig {
            secret,
            jwks,
            issuer: String::new(),
            audience: String::new(),
            role_claim: "role".to_owned(),
            skew: Duration::ZERO,
        };
        Authenticator::new(config, Clock::manual(&ManualClock::at(0)))
    }

    #[tokio::test]
    async fn only_one_bearer_token_is_a_token() {
        let secret = Secret::new(&[7; 32]).unwrap();
        let token = secret.sign(&json!({"sub": "asha", "exp": 100}));
        let auth = by(Some(secret), None);
        let got = auth.authenticate(&bearing(&token)).await.unwrap();
        assert_eq!((got.role(), got.subject()), (Role::User, "asha"));
        assert_eq!(auth.authenticate(&HeaderMap::new()).await.unwrap_err(), AuthError::Missing);
        let mut two = bearing(&token);
        two.append(header::AUTHORIZATION, two[header::AUTHORIZATION].clone());
        let basic = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static("Basic x"))]);
        for wrong in [two, basic, bearing("x"), bearing("a.b.c")] {
            assert_eq!(auth.authenticate(&wrong).await.unwrap_err(), AuthError::Refused);
        }
    }

    #[tokio::test]
    async fn a_public_key_is_never_taken_for_a_secret() {
        let issuer = Issuer::new("1");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("jwks.json");
        std::fs::write(&path, set(&[&issuer])).unwrap();
        let auth = by(None, Some(Jwks::new(path.to_str().unwrap(), JwksTimes::default()).unwrap()));
        let forged = Secret::new(issuer.pair.public_key().as_ref()).unwrap();
        let token = forged.sign(&json!({"sub": "asha", "exp": 100}));
        assert_eq!(auth.authenticate(&bearing(&token)).await.unwrap_err(), AuthError::Refused);
        assert!(auth.authenticate(&issuer.token()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_rotated_key_is_found_after_the_cool_down() {
        let (old, new) = (Issuer::new("old"), Issuer::new("new"));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("jwks.json");
        std::fs::write(&path, set(&[&old])).unwrap();
        let auth = by(None, Some(Jwks::new(path.to_str().unwrap(), JwksTimes::default()).unwrap()));
        assert!(auth.authenticate(&old.token()).await.is_ok());
        std::fs::write(&path, set(&[&new])).unwrap();
        assert_eq!(auth.authenticate(&new.token()).await.unwrap_err(), AuthError::Refused, "cooling down");
        tokio::time::advance(Duration::from_secs(31)).await;
        assert!(auth.authenticate(&new.token()).await.is_ok());
        assert_eq!(auth.authenticate(&old.token()).await.unwrap_err(), AuthError::Refused, "withdrawn");
        // What cannot be read any more holds for a day.
        std::fs::remove_file(&path).unwrap();
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert!(auth.authenticate(&new.token()).await.is_ok());
        tokio::time::advance(Duration::from_secs(86_400)).await;
        assert_eq!(auth.authenticate(&new.token()).await.unwrap_err(), AuthError::KeysUnavailable);
    }

    #[tokio::test]
    async fn many_callers_ask_the_issuer_once() {
        let (issuer, stranger) = (Issuer::new("1"), Issuer::new("2"));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let (body, asked) = (set(&[&issuer]), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let _ = socket.read(&mut [0; 1024]).await;
                let head =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            }
        });
        let auth = Arc::new(by(None, Some(Jwks::new(&url, JwksTimes::default()).unwrap())));
        let calls = (0..20).map(|_| {
            let (auth, token) = (Arc::clone(&auth), issuer.token());
            tokio::spawn(async move { auth.authenticate(&token).await })
        });
        for call in calls.collect::<Vec<_>>() {
            assert!(call.await.unwrap().is_ok());
        }
        for _ in 0..20 {
            assert_eq!(auth.authenticate(&stranger.token()).await.unwrap_err(), AuthError::Refused);
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1, "made-up key ids do not lead to the issuer");
    }

    #[tokio::test]
    async fn an_issuer_that_is_away_is_said_to_be() {
        let auth = by(None, Some(Jwks::new("http://127.0.0.1:1/jwks", JwksTimes::default()).unwrap()));
        assert_eq!(
            auth.authenticate(&Issuer::new("1").token()).await.unwrap_err(),
            AuthError::KeysUnavailable
        );
    }
}
