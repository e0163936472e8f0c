//! Ids.
//!
//! A [`new_id`] is a UUIDv7: time-ordered, so that an index on it grows at one end. A [`stable_id`] is made of a name instead: the same
//! event delivered again gets the same id, which is what makes a second write of it visible as such.

use uuid::{NoContext, Timestamp, Uuid};

/// A new time-ordered id (UUIDv7) for `now_us`, microseconds since the Unix epoch.
#[must_use]
pub fn new_id(now_us: i64) -> Uuid {
    let now_us = u64::try_from(now_us).unwrap_or(0);
    let nanos = u32::try_from(now_us % 1_000_000 * 1_000).unwrap_or(0);
    Uuid::new_v7(Timestamp::from_unix(NoContext, now_us / 1_000_000, nanos))
}

/// An id made of `parts` alone: equal parts answer an equal id. It is time-ordered by `at_us` like a UUIDv7, and its random part is a
/// 64-bit FNV-1a hash of each half of the parts, which names but does not protect.
#[must_use]
pub fn stable_id(at_us: i64, parts: &[&str]) -> Uuid {
    let millis = u64::try_from(at_us / 1_000).unwrap_or(0);
    let mut random = [0_u8; 10];
    random[..8].copy_from_slice(&fnv1a(0xcbf2_9ce4_8422_2325, parts).to_be_bytes());
    random[8..].copy_from_slice(&fnv1a(0x9e37_79b9_7f4a_7c15, parts).to_be_bytes()[..2]);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

fn fnv1a(basis: u64, parts: &[&str]) -> u64 {
    let mut hash = basis;
    for part in parts {
        // The separator keeps ("ab", "c") apart from ("a", "bc"); 0xff occurs in no UTF-8 text.
        for byte in part.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_ids_differ_and_follow_time() {
        let (a, b) = (new_id(1_000_000), new_id(2_000_000));
        assert!(a < b);
        assert_ne!(new_id(5), new_id(5));
    }

    #[test]
    fn stable_ids_follow_from_their_parts() {
        assert_eq!(stable_id(1_000, &["a", "b"]), stable_id(1_000, &["a", "b"]));
        assert_ne!(stable_id(1_000, &["ab", "c"]), stable_id(1_000, &["a", "bc"]));
    }
}
