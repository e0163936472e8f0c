//! `Retry-After`: when a server wants to be asked again (RFC 9110, 10.2.3).

use std::time::Duration;

use http::{HeaderMap, header};
use jiff::fmt::rfc2822;

/// How long a server wants to be left alone: it says so in seconds, or by a date. A date that has passed is now; what is neither says nothing.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now_us: i64) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = rfc2822::parse(value).ok()?.timestamp();
    let left = date.as_microsecond().saturating_sub(now_us);
    Some(Duration::from_micros(u64::try_from(left).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_in_both_forms() {
        let said = |value: &str, now_us| {
            retry_after(&HeaderMap::from_iter([(header::RETRY_AFTER, value.parse().unwrap())]), now_us)
        };
        // 2015-10-21T07:27:00Z.
        let now_us = 1_445_412_420_000_000;
        assert_eq!(said("120", now_us), Some(Duration::from_secs(120)));
        assert_eq!(said(" 0 ", now_us), Some(Duration::ZERO));
        assert_eq!(said("Wed, 21 Oct 2015 07:28:00 GMT", now_us), Some(Duration::from_secs(60)));
        assert_eq!(said("Wed, 21 Oct 2015 07:26:00 GMT", now_us), Some(Duration::ZERO));
        for nonsense in ["soon", "", "-1", "1.5", "Wed, 99 Oct 2015 07:28:00 GMT"] {
            assert_eq!(said(nonsense, now_us), None, "{nonsense}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now_us), None);
    }
}
