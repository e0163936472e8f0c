//! Encryption of push messages (RFC 8291, over the content coding of RFC 8188).
//!
//! Our own on ring, which is in the tree for TLS: the crates for it bring a second library of curves and ciphers. It is one key agreement, four HMACs and one seal, and
//! the RFC's example is a test.

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::hmac::{HMAC_SHA256, Key, sign};
use ring::rand::{SecureRandom as _, SystemRandom};

/// The length of a record: one is enough for what a push service takes.
const RECORD: u32 = 4096;
const SALT: usize = 16;
/// Ends the last record.
const LAST: u8 = 2;

/// What only this message is encrypted with.
struct Once {
    shared_secret: Vec<u8>,
    our_public: Vec<u8>,
    salt: [u8; SALT],
}

/// The body for a subscription whose keys are URL-safe base64.
pub(super) fn encrypt(text: &[u8], p256dh: &str, auth: &str) -> Result<Vec<u8>, &'static str> {
    let their_public = decode(p256dh).ok_or("the subscription's key is none")?;
    let auth = decode(auth).ok_or("the subscription's secret is none")?;
    let random = SystemRandom::new();
    let no_key = "no key can be made";
    let ours = EphemeralPrivateKey::generate(&ECDH_P256, &random).map_err(|_| no_key)?;
    let our_public = ours.compute_public_key().map_err(|_| no_key)?.as_ref().to_vec();
    let mut salt = [0; SALT];
    random.fill(&mut salt).map_err(|_| no_key)?;
    let theirs = UnparsedPublicKey::new(&ECDH_P256, &their_public);
    let shared_secret =
        agree_ephemeral(ours, &theirs, <[u8]>::to_vec).map_err(|_| "the subscription's key is no point")?;
    seal(text, &their_public, &auth, &Once { shared_secret, our_public, salt })
}

/// Bytes in URL-safe base64, with padding or without.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

fn seal(text: &[u8], their_public: &[u8], auth: &[u8], once: &Once) -> Result<Vec<u8>, &'static str> {
    let (key, nonce) = keys(their_public, auth, once);
    let key = UnboundKey::new(&AES_128_GCM, &key).map_err(|_| "no key can be made")?;
    let mut record = [text, &[LAST]].concat();
    LessSafeKey::new(key)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut record)
        .map_err(|_| "the message is too long")?;
    let length = u8::try_from(once.our_public.len()).map_err(|_| "no key can be made")?;
    let header = [&once.salt, &RECORD.to_be_bytes()[..], &[length], &once.our_public].concat();
    Ok([header, record].concat())
}

/// The content key and the nonce (RFC 8291, section 3.4).
fn keys(their_public: &[u8], auth: &[u8], once: &Once) -> ([u8; 16], [u8; 12]) {
    let info = [b"WebPush: info\0", their_public, &once.our_public].concat();
    let ikm = expand(&extract(auth, &once.shared_secret), &info);
    let prk = extract(&once.salt, &ikm);
    let (key, nonce) =
        (expand(&prk, b"Content-Encoding: aes128gcm\0"), expand(&prk, b"Content-Encoding: nonce\0"));
    (first(&key), first(&nonce))
}

/// HKDF's first step.
fn extract(salt: &[u8], input: &[u8]) -> [u8; 32] {
    hmac(salt, input)
}

/// HKDF's second step, for an output of one block.
fn expand(prk: &[u8], info: &[u8]) -> [u8; 32] {
    hmac(prk, &[info, &[1]].concat())
}

fn hmac(key: &[u8], content: &[u8]) -> [u8; 32] {
    first(sign(&Key::new(HMAC_SHA256, key), content).as_ref())
}

/// The first bytes.
fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    std::array::from_fn(|index| bytes.get(index).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8291, appendix A.
    #[test]
    fn the_example_of_the_rfc_is_met() {
        let their_public =
            decode("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4")
                .unwrap();
        let our_public =
            decode("BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8")
                .unwrap();
        let once = Once {
            shared_secret: decode("kyrL1jIIOHEzg3sM2ZWRHDRB62YACZhhSlknJ672kSs").unwrap(),
            our_public,
            salt: first(&decode("DGv6ra1nlYgDCS1FRnbzlw").unwrap()),
        };
        let auth = decode("BTBZMqHH6r4Tts7J_aSIgg").unwrap();
        let body = seal(b"When I grow up, I want to be a watermelon", &their_public, &auth, &once).unwrap();
        let expected = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
        assert_eq!(URL_SAFE_NO_PAD.encode(body), expected);
    }

    #[test]
    fn what_is_no_subscription_is_refused() {
        let secret = "BTBZMqHH6r4Tts7J_aSIgg";
        assert!(encrypt(b"x", "no base64!", secret).is_err());
        assert!(encrypt(b"x", "AAAA", secret).is_err());
    }
}
