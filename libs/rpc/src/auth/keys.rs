//! The keys that sign tokens.
//!
//! A key knows its one algorithm. What a token's header names as its algorithm must be that: so nobody can have a public key taken for an HMAC secret, or
//! a signature skipped with `none`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{hmac, signature};
use serde::Deserialize;

/// A key and its algorithm.
pub(crate) struct Key {
    algorithm: &'static str,
    material: Material,
}

enum Material {
    Hmac(hmac::Key),
    Rsa { parameters: &'static signature::RsaParameters, modulus: Vec<u8>, exponent: Vec<u8> },
    Point { algorithm: &'static dyn signature::VerificationAlgorithm, point: Vec<u8> },
}

/// A key of a set, with its id.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) id: Option<String>,
    pub(crate) key: Key,
}

/// A key as a set has it (RFC 7517, 7518, 8037).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    r#use: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<serde_json::Value>,
}

/// The shortest HMAC secret, in bytes: as long as its hash (RFC 7518, 3.2).
pub(crate) const SHORTEST_SECRET: usize = 32;
/// The most keys of a set that are looked at.
const MOST_KEYS: usize = 64;

// === impl Key ===

impl Key {
    pub(crate) fn hmac(secret: &[u8]) -> Self {
        Self { algorithm: "HS256", material: Material::Hmac(hmac::Key::new(hmac::HMAC_SHA256, secret)) }
    }

    pub(crate) const fn algorithm(&self) -> &'static str {
        self.algorithm
    }

    /// Whether `signature` is this key's for `message`.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Hmac(key) => hmac::verify(key, message, signature).is_ok(),
            Material::Rsa { parameters, modulus, exponent } => {
                let key = signature::RsaPublicKeyComponents { n: modulus, e: exponent };
                key.verify(parameters, message, signature).is_ok()
            }
            Material::Point { algorithm, point } => {
                signature::UnparsedPublicKey::new(*algorithm, point).verify(message, signature).is_ok()
            }
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// The keys of a set that can check signatures. Keys of other kinds are passed over, as RFC 7517 asks; so are symmetric ones, which a public set cannot keep
/// secret.
pub(crate) fn read_set(text: &[u8]) -> Result<Vec<Named>, String> {
    let set: JwkSet = serde_json::from_slice(text).map_err(|error| format!("is no JWK set: {error}"))?;
    let keys = set.keys.into_iter().take(MOST_KEYS);
    let keys: Vec<Named> = keys.filter_map(|key| named(serde_json::from_value(key).ok()?)).collect();
    if keys.is_empty() { Err("has no key that can check a signature".to_owned()) } else { Ok(keys) }
}

/// How many usable keys a set has, or what is wrong with it.
///
/// # Errors
/// Where it is no set, or has none.
pub fn examine_keys(text: &[u8]) -> Result<usize, String> {
    read_set(text).map(|keys| keys.len())
}

fn named(jwk: Jwk) -> Option<Named> {
    if jwk.r#use.as_deref().is_some_and(|r#use| r#use != "sig") {
        return None;
    }
    let part = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
    let key = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => {
            let (algorithm, parameters) = rsa(jwk.alg.as_deref())?;
            let material = Material::Rsa { parameters, modulus: part(&jwk.n)?, exponent: part(&jwk.e)? };
            Key { algorithm, material }
        }
        ("EC", Some(curve)) => {
            let (name, algorithm, length): (_, &'static dyn signature::VerificationAlgorithm, _) = match curve
            {
                "P-256" => ("ES256", &signature::ECDSA_P256_SHA256_FIXED, 32),
                "P-384" => ("ES384", &signature::ECDSA_P384_SHA384_FIXED, 48),
                _ => return None,
            };
            let (x, y) = (part(&jwk.x)?, part(&jwk.y)?);
            // The uncompressed form (SEC 1, 2.3.3): a four, and both coordinates in full length.
            let is_whole = x.len() == length && y.len() == length;
            let point = is_whole.then(|| [&[4][..], &x, &y].concat())?;
            Key { algorithm: name, material: Material::Point { algorithm, point } }
        }
        ("OKP", Some("Ed25519")) => {
            let point = part(&jwk.x).filter(|x| x.len() == 32)?;
            Key { algorithm: "EdDSA", material: Material::Point { algorithm: &signature::ED25519, point } }
        }
        _ => return None,
    };
    let is_meant = jwk.alg.is_none_or(|alg| alg == key.algorithm);
    is_meant.then_some(Named { id: jwk.kid, key })
}

fn rsa(alg: Option<&str>) -> Option<(&'static str, &'static signature::RsaParameters)> {
    Some(match alg {
        None | Some("RS256") => ("RS256", &signature::RSA_PKCS1_2048_8192_SHA256),
        Some("RS384") => ("RS384", &signature::RSA_PKCS1_2048_8192_SHA384),
        Some("RS512") => ("RS512", &signature::RSA_PKCS1_2048_8192_SHA512),
        Some("PS256") => ("PS256", &signature::RSA_PSS_2048_8192_SHA256),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_other_kinds_are_passed_over() {
        let set = r#"{"keys":[
            {"kty":"oct","k":"c2VjcmV0","alg":"HS256"},
            {"kty":"RSA","n":"AQAB","e":"AQAB","use":"enc"},
            {"kty":"EC","crv":"P-521","x":"AA","y":"AA"},
            {"kty":"RSA","kid":"r","n":"AQAB","e":"AQAB","alg":"RS512"}
        ]}"#;
        let keys = read_set(set.as_bytes()).unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!((keys[0].id.as_deref(), keys[0].key.algorithm()), (Some("r"), "RS512"));
    }

    #[test]
    fn a_set_without_a_usable_key_is_a_mistake() {
        assert!(examine_keys(b"{}").unwrap_err().contains("no JWK set"));
        assert!(examine_keys(br#"{"keys":[{"kty":"oct","k":"AA"}]}"#).unwrap_err().contains("no key"));
    }
}
