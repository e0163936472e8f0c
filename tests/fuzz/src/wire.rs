//! Headers, tokens, keys and certificates, as anybody may send them.

use http::{HeaderMap, HeaderValue};
use pathway_resilience::{encode_timeout, parse_timeout};
use pathway_rpc::{Pages, Secret, examine, examine_keys, examine_pem};

/// The seconds at which the seeds of `token` are good.
const NOW_US: i64 = 1_795_521_600_000_000;

/// A bearer token: only what was signed is accepted, and that is in the seeds.
pub fn token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(secret) = Secret::new(&[b'k'; 32]) else { return };
    let told = examine(text.trim_end(), &secret, NOW_US);
    assert_eq!(told, examine(text.trim_end(), &secret, NOW_US));
    let seeds = [include_str!("../seeds/token/user"), include_str!("../seeds/token/service")];
    let is_signed = seeds.iter().any(|seed| seed.trim_end() == text.trim_end());
    assert_eq!(told.is_ok(), is_signed, "accepted and never signed, or signed and not accepted");
}

/// A JWK set: it has a bounded number of keys, or says what is wrong with it.
pub fn keys(data: &[u8]) {
    match examine_keys(data) {
        Ok(count) => assert!((1..=64).contains(&count), "{count} keys"),
        Err(problem) => assert!(!problem.is_empty(), "refused for nothing"),
    }
}

/// A `grpc-timeout`: what is written for it is never longer.
pub fn timeout(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(timeout) = parse_timeout(text.trim_end()) else { return };
    let again = parse_timeout(&encode_timeout(timeout));
    assert!(again.is_some_and(|again| again <= timeout), "{timeout:?} became {again:?}");
}

/// A `traceparent` with its `tracestate` on the next line: the same context each time.
pub fn traceparent(data: &[u8]) {
    let mut lines = data.splitn(2, |byte| *byte == b'\n');
    let mut headers = HeaderMap::new();
    for name in ["traceparent", "tracestate"] {
        let line = lines.next().unwrap_or_default();
        let Ok(value) = HeaderValue::from_bytes(line) else { return };
        headers.insert(name, value);
    }
    let read = || format!("{:?}", pathway_telemetry::extract(&headers));
    assert_eq!(read(), read());
}

/// A page's token: who reads a place from it would write the same token for that place.
pub fn page(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let pages = Pages::of("ListRecords", &["asha"]);
    match pages.place(text.trim_end()) {
        Ok(Some(place)) => assert_eq!(pages.token(&place), text.trim_end()),
        Ok(None) => assert!(text.trim_end().is_empty(), "no place in what is not empty"),
        Err(problem) => assert!(!problem.is_empty(), "refused for nothing"),
    }
}

/// A PEM file with certificates or keys.
pub fn pem(data: &[u8]) {
    if let Err(problem) = examine_pem(data) {
        assert!(!problem.is_empty(), "refused for nothing");
    }
}
