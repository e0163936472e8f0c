//! Which partition a key belongs to.

/// The partition of `key` among `partitions`: FNV-1a, folded so that the high bits have their say.
///
/// This is a promise to every event that was ever appended: another function would send a user's next event to another partition, and it
/// could overtake the last one. The test below holds it in place.
pub(crate) fn of(key: &str, partitions: i32) -> i32 {
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let partitions = u64::try_from(partitions).unwrap_or(1).max(1);
    i32::try_from((hash ^ (hash >> 32)) % partitions).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_where_it_always_was() {
        let keys = ["", "user-1", "user-2", "alice", "Zoë", "5f0c1d1e-9a57-4a2b-8f57-0d6a2a9d8f11"];
        let partitions = keys.map(|key| of(key, 8));
        assert_eq!(partitions, [1, 6, 7, 4, 1, 5]);
    }

    #[test]
    fn keys_spread() {
        let mut counts = [0_u32; 8];
        for user in 0..8_000 {
            let partition = usize::try_from(of(&format!("user-{user}"), 8)).unwrap();
            counts[partition] += 1;
        }
        assert!(counts.iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
    }
}
