//! Tokens of pages.
//!
//! A token says where the page before ended. It is opaque: what is in it may change, so it begins with a version. It is bound to its listing, which is the method
//! and the filters, because a place in one listing means nothing in another: whoever changes a filter and keeps the token is told so, and not answered
//! the wrong half of a list. And it carries a checksum, so that one which was cut off by a log or a shell is refused as such.
//!
//! It is no secret, and no permission: a listing only ever answers what its filters let through, wherever it begins.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pathway_kernel::stable_id;

/// The pages of one listing.
#[derive(Debug, Clone)]
pub struct Pages {
    listing: String,
}

const VERSION: u8 = 1;
/// How long a checksum is, in bytes.
const CHECKSUM: usize = 8;

// === impl Pages ===

impl Pages {
    /// Those of a method with these filters. A filter that is left out is an empty text.
    #[must_use]
    pub fn of(method: &str, filters: &[&str]) -> Self {
        let mut parts = vec![method];
        parts.extend(filters);
        Self { listing: stable_id(0, &parts).simple().to_string() }
    }

    /// The token of the page that begins behind `place`.
    #[must_use]
    pub fn token(&self, place: &str) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(self.checksum(place));
        bytes.extend(place.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Where the page of a token begins; none for the first page, which has none.
    ///
    /// # Errors
    /// What is wrong with it, to be read after its field's name.
    pub fn place(&self, token: &str) -> Result<Option<String>, &'static str> {
        if token.is_empty() {
            return Ok(None);
        }
        const STRANGE: &str = "is no token of a page, or only part of one: begin again with an empty one";
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| STRANGE)?;
        let (version, rest) = bytes.split_first().ok_or(STRANGE)?;
        if *version != VERSION {
            return Err("was made by another version of this service: begin again with an empty one");
        }
        let (checksum, place) = rest.split_at_checked(CHECKSUM).ok_or(STRANGE)?;
        let place = std::str::from_utf8(place).map_err(|_| STRANGE)?;
        if checksum != self.checksum(place) {
            return Err("was altered, or is of a listing with other filters: begin again with an empty one");
        }
        Ok(Some(place.to_owned()))
    }

    fn checksum(&self, place: &str) -> [u8; CHECKSUM] {
        // The hash is in the second half; in the first is the time, which is always the same here.
        let id = stable_id(0, &[&self.listing, place]).into_bytes();
        std::array::from_fn(|index| id[index + 8])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_to_its_place_in_its_listing_only() {
        let pages = Pages::of("List", &["asha", ""]);
        let token = pages.token("17.abc");
        assert_eq!(pages.place(&token), Ok(Some("17.abc".to_owned())));
        assert_eq!(pages.place(""), Ok(None));
        for other in [
            Pages::of("List", &["bela", ""]),
            Pages::of("List", &["", "asha"]),
            Pages::of("Other", &["asha", ""]),
        ] {
            assert!(other.place(&token).unwrap_err().contains("filters"));
        }
    }

    #[test]
    fn what_was_altered_is_refused() {
        let pages = Pages::of("List", &["asha"]);
        let token = pages.token("17.abc");
        for at in 0..token.len() {
            let mut altered = token.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            assert!(pages.place(&altered).is_err(), "{altered}");
            assert!(at == 0 || pages.place(&token[..at]).is_err(), "{}", &token[..at]);
        }
        assert!(pages.place("not base 64!").is_err());
        let other_version = URL_SAFE_NO_PAD.encode([2; 20]);
        assert!(pages.place(&other_version).unwrap_err().contains("version"));
    }
}
