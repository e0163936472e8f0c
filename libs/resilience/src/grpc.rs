//! The few parts of gRPC's wire form that the layers need (gRPC over HTTP2, "Requests" and "Responses").

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Response, header};

/// The statuses that say something about the peer's health, by their numbers.
pub(crate) const UNKNOWN: i32 = 2;
pub(crate) const DEADLINE_EXCEEDED: i32 = 4;
pub(crate) const RESOURCE_EXHAUSTED: i32 = 8;
pub(crate) const ABORTED: i32 = 10;
pub(crate) const INTERNAL: i32 = 13;
pub(crate) const UNAVAILABLE: i32 = 14;

/// Reads a `grpc-timeout`: at most eight digits and a unit.
#[must_use]
pub fn parse_timeout(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// Writes a `grpc-timeout` in the finest unit that fits, rounded down so that a hop never lengthens a deadline.
#[must_use]
pub fn encode_timeout(timeout: Duration) -> String {
    const LARGEST: u128 = 99_999_999;
    let units = [(timeout.as_nanos(), 'n'), (timeout.as_micros(), 'u'), (timeout.as_millis(), 'm')];
    units.into_iter().find(|(count, _)| *count <= LARGEST).map_or_else(
        || format!("{}S", u128::from(timeout.as_secs()).min(LARGEST)),
        |(count, unit)| format!("{count}{unit}"),
    )
}

/// The `grpc-status` in headers or trailers.
pub(crate) fn status(headers: &HeaderMap) -> Option<i32> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// The status that a response's head tells: its own, or what a proxy's HTTP status means where nobody behind it has spoken gRPC.
pub(crate) fn head_status<B>(response: &Response<B>) -> Option<i32> {
    // By gRPC's own table, "HTTP to gRPC Status Code Mapping".
    status(response.headers()).or_else(|| match response.status().as_u16() {
        200 => None,
        400 => Some(INTERNAL),
        401 => Some(16),
        403 => Some(7),
        404 => Some(12),
        429 | 502 | 503 | 504 => Some(UNAVAILABLE),
        _ => Some(UNKNOWN),
    })
}

/// Why a layer answers in the peer's place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal {
    pub(crate) status: i32,
    pub(crate) reason: &'static str,
    pub(crate) message: &'static str,
}

/// The reasons of a client's own layers that ask nobody.
pub(crate) const BREAKER_OPEN: &str = "BREAKER_OPEN";
pub(crate) const BULKHEAD_FULL: &str = "BULKHEAD_FULL";
pub(crate) const REFUSALS: [&str; 2] = [BREAKER_OPEN, BULKHEAD_FULL];

/// The header that carries a refusal's reason: the layers cannot write the `google.rpc` details that servers do.
pub const REASON_HEADER: &str = "pathway-reason";

/// A response that a layer gives in the peer's place.
pub(crate) fn refuse<B: Default>(refusal: Refusal, retry_after: Option<Duration>) -> Response<B> {
    let mut response = Response::new(B::default());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from(refusal.status));
    headers.insert("grpc-message", HeaderValue::from_static(refusal.message));
    headers.insert(REASON_HEADER, HeaderValue::from_static(refusal.reason));
    if let Some(after) = retry_after {
        let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        headers.insert("grpc-retry-pushback-ms", HeaderValue::from(millis));
    }
    response
}

/// Whether a status says that the peer is unwell. A caller's own mistake says nothing about it.
pub(crate) const fn is_failure(status: i32) -> bool {
    matches!(status, UNKNOWN | DEADLINE_EXCEEDED | INTERNAL | UNAVAILABLE)
}

/// Whether a response's head says that the peer is unwell.
pub fn is_failed_head<B>(response: &Response<B>) -> bool {
    head_status(response).is_some_and(is_failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_and_written() {
        assert_eq!(parse_timeout("250m"), Some(Duration::from_millis(250)));
        assert_eq!(parse_timeout("2H"), Some(Duration::from_secs(7200)));
        for nonsense in ["", "m", "1", "123456789m", "-1m", "1x", "1é"] {
            assert_eq!(parse_timeout(nonsense), None, "{nonsense}");
        }
        for timeout in
            [Duration::ZERO, Duration::from_micros(7), Duration::from_secs(30), Duration::from_secs(1 << 40)]
        {
            let read = parse_timeout(&encode_timeout(timeout)).unwrap();
            assert!(read <= timeout && (read == timeout || timeout.as_secs() > 99_999), "{timeout:?}");
        }
    }
}
