//! What a link in an e-mail says on behalf of whoever reads the mailbox: that the address is theirs, or that no more shall come to it.
//!
//! A token names the user and the address and is signed with a secret of the store, so nothing is kept for it, and it works for as long as the address is the user's and no longer.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac::{HMAC_SHA256, Key, sign, verify};
use ring::rand::{SecureRandom as _, SystemRandom};

/// Signs tokens and reads them.
#[derive(Debug, Clone)]
pub(crate) struct Tokens(Key);

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Confirm,
    Unsubscribe,
}

/// Whose address a token is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) user_id: String,
    pub(crate) email: String,
}

/// Bytes of a secret.
const LENGTH: usize = 32;

/// A new secret; none where the operating system gives no randomness.
pub(crate) fn new_secret() -> Option<Vec<u8>> {
    let mut secret = vec![0; LENGTH];
    SystemRandom::new().fill(&mut secret).ok()?;
    Some(secret)
}

// === impl Tokens ===

impl Tokens {
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self(Key::new(HMAC_SHA256, secret))
    }

    pub(crate) fn of(&self, purpose: Purpose, user_id: &str, email: &str) -> String {
        let content = serde_json::json!([purpose.name(), user_id, email]).to_string();
        let signature = sign(&self.0, content.as_bytes());
        format!("{}.{}", URL_SAFE_NO_PAD.encode(content), URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    /// Whose address it is about; none for a token of another purpose, or that nobody signed.
    pub(crate) fn read(&self, purpose: Purpose, token: &str) -> Option<Address> {
        let (content, signature) = token.trim().split_once('.')?;
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
        let (content, signature) = (decode(content)?, decode(signature)?);
        verify(&self.0, &content, &signature).ok()?;
        let (name, user_id, email): (String, String, String) = serde_json::from_slice(&content).ok()?;
        (name == purpose.name()).then_some(Address { user_id, email })
    }
}

// === impl Purpose ===

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Unsubscribe => "unsubscribe",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_one_thing_of_one_address() {
        let tokens = Tokens::new(&new_secret().unwrap());
        let token = tokens.of(Purpose::Confirm, "u.v", "asha@example.com");
        let address = Address { user_id: "u.v".to_owned(), email: "asha@example.com".to_owned() };
        assert_eq!(tokens.read(Purpose::Confirm, &format!(" {token}\n")), Some(address));
        assert_eq!(tokens.read(Purpose::Unsubscribe, &token), None);
        assert_eq!(Tokens::new(&new_secret().unwrap()).read(Purpose::Confirm, &token), None);
    }

    #[test]
    fn what_nobody_signed_is_none() {
        let tokens = Tokens::new(&[1; 32]);
        let token = tokens.of(Purpose::Confirm, "u", "a@example.com");
        let (content, signature) = token.split_once('.').unwrap();
        let other = tokens.of(Purpose::Confirm, "v", "a@example.com");
        let mixed = format!("{}.{signature}", other.split_once('.').unwrap().0);
        for wrong in [content, "", ".", "a.b", &mixed, &token[..token.len() - 2]] {
            assert_eq!(tokens.read(Purpose::Confirm, wrong), None, "{wrong}");
        }
    }
}
