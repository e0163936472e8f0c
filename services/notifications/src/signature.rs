//! Signatures of webhooks, as Standard Webhooks says (<https://www.standardwebhooks.com>).
//!
//! What is signed is `<id>.<timestamp>.<body>`: a receiver that checks the timestamp cannot be replayed to, and one that remembers the id takes a message once. A header may carry several
//! signatures, of which one must fit; so a key is changed without a message lost, by signing with the old and the new one for a while.
//!
//! - `v1` is HMAC-SHA256 with a secret that both sides have, `whsec_` and base64.
//! - `v1a` is Ed25519 with a key that only we have: `whsk_` and base64 of seed and public key, of which the receiver gets the second half as `whpk_`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

/// How messages are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Secret,
    KeyPair,
}

const SECRET: &str = "whsec_";
const PRIVATE: &str = "whsk_";
const PUBLIC: &str = "whpk_";
/// Bytes of a new secret, and of an Ed25519 seed.
const LENGTH: usize = 32;

/// A new key, as it is kept; none where the operating system gives no randomness.
pub(crate) fn new_key(kind: Kind) -> Option<String> {
    let mut bytes = [0; LENGTH];
    SystemRandom::new().fill(&mut bytes).ok()?;
    match kind {
        Kind::Secret => Some(format!("{SECRET}{}", STANDARD.encode(bytes))),
        Kind::KeyPair => {
            let pair = Ed25519KeyPair::from_seed_unchecked(&bytes).ok()?;
            let both = [&bytes, pair.public_key().as_ref()].concat();
            Some(format!("{PRIVATE}{}", STANDARD.encode(both)))
        }
    }
}

/// The kind of a key.
pub(crate) fn kind(key: &str) -> Kind {
    if key.starts_with(PRIVATE) { Kind::KeyPair } else { Kind::Secret }
}

/// What the receiver needs to check the signatures of a key: the secret itself, or the public key.
pub(crate) fn for_receiver(key: &str) -> Option<String> {
    match kind(key) {
        Kind::Secret => Some(key.to_owned()),
        Kind::KeyPair => Some(format!("{PUBLIC}{}", STANDARD.encode(pair(key)?.public_key().as_ref()))),
    }
}

/// The value of `webhook-signature`: one for each key that can sign.
pub(crate) fn sign(keys: &[&str], id: &str, timestamp_s: i64, body: &[u8]) -> String {
    let content = [format!("{id}.{timestamp_s}.").as_bytes(), body].concat();
    let signature = |key: &str| match kind(key) {
        Kind::Secret => {
            let secret = STANDARD.decode(key.strip_prefix(SECRET)?).ok()?;
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), &content);
            Some(format!("v1,{}", STANDARD.encode(tag.as_ref())))
        }
        Kind::KeyPair => Some(format!("v1a,{}", STANDARD.encode(pair(key)?.sign(&content).as_ref()))),
    };
    keys.iter().filter_map(|key| signature(key)).collect::<Vec<_>>().join(" ")
}

fn pair(key: &str) -> Option<Ed25519KeyPair> {
    let bytes = STANDARD.decode(key.strip_prefix(PRIVATE)?).ok()?;
    let (seed, public) = bytes.split_at_checked(LENGTH)?;
    Ed25519KeyPair::from_seed_and_public_key(seed, public).ok()
}

#[cfg(test)]
mod tests {
    use ring::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    #[test]
    fn the_published_vector_is_met() {
        // Of the reference implementations' own tests.
        let signed = sign(
            &["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_pair_signs_what_its_public_half_verifies() {
        let key = new_key(Kind::KeyPair).unwrap();
        let signed = sign(&[&key], "msg_1", 5, b"{}");
        let signature = STANDARD.decode(signed.strip_prefix("v1a,").unwrap()).unwrap();
        let public = for_receiver(&key).unwrap();
        let public = STANDARD.decode(public.strip_prefix(PUBLIC).unwrap()).unwrap();
        let public = UnparsedPublicKey::new(&ED25519, public);
        assert!(public.verify(b"msg_1.5.{}", &signature).is_ok());
        assert!(public.verify(b"msg_1.6.{}", &signature).is_err());
    }

    #[test]
    fn several_keys_sign_while_one_is_changed() {
        let keys = [new_key(Kind::Secret).unwrap(), new_key(Kind::KeyPair).unwrap(), "nonsense".to_owned()];
        let signed = sign(&keys.each_ref().map(String::as_str), "msg_1", 5, b"{}");
        let versions: Vec<&str> = signed.split(' ').map(|one| one.split(',').next().unwrap()).collect();
        assert_eq!(versions, ["v1", "v1a"]);
        assert_ne!(new_key(Kind::Secret), new_key(Kind::Secret));
        assert!(for_receiver(&keys[1]).unwrap().starts_with(PUBLIC), "the private half stays here");
    }
}
