//! What an operator can set about calls and about serving them.
//!
//! # Why all optional
//! A service's `[resilience]` holds for all its targets, and a peer may have any of the keys for itself. A value that is left out is the next one's: the peer's, then the
//! service's, then the mesh's own. So one type is both, and a peer that needs a longer timeout need not repeat the rest.

use std::collections::BTreeMap;
use std::time::Duration;

use pathway_kernel::{Backoff, Fault, Violation};
use pathway_outbound::{HostConfig, HostsConfig};
use pathway_resilience::{BreakerConfig, WindowConfig};
use serde::Deserialize;

use crate::channel::RetryConfig;
use crate::endpoints::BalanceConfig;
use crate::{ChannelConfig, ServerConfig};

/// How targets are called. Times are in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResilienceSettings {
    /// How long an answer may take where the caller set no deadline.
    pub timeout_ms: Option<u64>,
    /// How long one attempt may take, whatever the deadline; 0 for as long as that.
    pub attempt_timeout_ms: Option<u64>,
    /// How many calls may be under way, streams included.
    pub concurrency: Option<usize>,
    /// Attempts in all; at least 1.
    pub attempts: Option<u32>,
    /// The wait before the second attempt; doubled for each further one.
    pub backoff_first_ms: Option<u64>,
    /// The longest wait between attempts, a peer's wish included.
    pub backoff_longest_ms: Option<u64>,
    /// By how much chance may shorten a wait, in percent.
    pub backoff_jitter_percent: Option<u8>,
    /// How many of a hundred calls may be repeats.
    pub retry_percent: Option<u32>,
    /// How many repeats a second are allowed whatever the calls.
    pub retry_floor: Option<u32>,
    /// After how long a read is asked a second time; 0 for never.
    pub hedge_after_ms: Option<u64>,
    /// Consecutive failures that open the breaker; 0 where they alone do not.
    pub breaker_failures: Option<u32>,
    /// How long the breaker rests at first; doubled each time that a probe fails.
    pub breaker_open_first_ms: Option<u64>,
    /// How long it rests at most.
    pub breaker_open_longest_ms: Option<u64>,
    /// Good probes that close it.
    pub breaker_probes: Option<u32>,
    /// How far back its rates look.
    pub breaker_window_ms: Option<u64>,
    /// So many calls must lie in the window before a rate means anything.
    pub breaker_window_calls: Option<u32>,
    /// The share of failures that opens it; 0 where it does not.
    pub breaker_failure_percent: Option<u8>,
    /// The share of slow calls that opens it; 0 where it does not.
    pub breaker_slow_percent: Option<u8>,
    /// From which duration on a call is slow.
    pub breaker_slow_after_ms: Option<u64>,
    /// How often a name is looked up again.
    pub resolve_ms: Option<u64>,
    /// Consecutive failures after which one address is left out for a while; 0 for never.
    pub eject_failures: Option<u32>,
    /// For how long.
    pub eject_ms: Option<u64>,
}

/// How calls are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// How many unary calls are under way at most; more are refused.
    pub unary_calls: usize,
    /// How many streams are open at most; more are refused.
    pub streams: usize,
    /// After how many seconds a connection is ended, its calls excepted; 0 for never.
    pub connection_age_s: u64,
    /// For how many seconds those calls may go on; 0 for as long as they take.
    pub connection_grace_s: u64,
}

/// Gathers what makes no sense.
struct Wrong<'a> {
    field: &'a str,
    found: Vec<Violation>,
}

// === impl ResilienceSettings ===

impl ResilienceSettings {
    /// How a peer is called: what it has for itself, then what is set here, then the mesh's own.
    ///
    /// # Errors
    /// Every value that makes no sense, by its key under `field`.
    pub fn of(&self, peer: &Self, field: &str) -> Result<ChannelConfig, Fault> {
        let usual = ChannelConfig::default();
        let mut wrong = Wrong { field, found: Vec::new() };
        wrong.zero("attempts", peer.attempts.or(self.attempts).map(u64::from));
        wrong.zero("concurrency", peer.concurrency.or(self.concurrency).map(|count| count as u64));
        wrong.zero("timeout_ms", peer.timeout_ms.or(self.timeout_ms));
        wrong.zero("resolve_ms", peer.resolve_ms.or(self.resolve_ms));
        let config = ChannelConfig {
            timeout: millis(peer.timeout_ms.or(self.timeout_ms), usual.timeout),
            attempt_timeout: optional(
                peer.attempt_timeout_ms.or(self.attempt_timeout_ms),
                usual.attempt_timeout,
            ),
            concurrency: peer.concurrency.or(self.concurrency).unwrap_or(usual.concurrency),
            retry: self.retry(peer, &usual.retry, &mut wrong),
            breaker: self.breaker(peer, &usual.breaker, &mut wrong),
            balance: BalanceConfig {
                resolve_every: millis(peer.resolve_ms.or(self.resolve_ms), usual.balance.resolve_every),
                eject_after: peer.eject_failures.or(self.eject_failures).unwrap_or(usual.balance.eject_after),
                eject_for: millis(peer.eject_ms.or(self.eject_ms), usual.balance.eject_for),
            },
            ..usual
        };
        if wrong.found.is_empty() { Ok(config) } else { Err(Fault::invalid(wrong.found)) }
    }

    /// How hosts of the internet are called: each as it has for itself, then as is set here.
    ///
    /// # Errors
    /// Every value that makes no sense, by its key under `field`.
    pub fn hosts(&self, own: &BTreeMap<String, Self>, field: &str) -> Result<HostsConfig, Fault> {
        let host = |peer: &Self, field: &str| {
            let ChannelConfig { timeout, breaker, .. } = self.of(peer, field)?;
            Ok::<_, Fault>(HostConfig { timeout, breaker })
        };
        let usual = host(&Self::default(), "resilience")?;
        let own = own.iter().map(|(name, own)| Ok((name.clone(), host(own, &format!("{field}.{name}"))?)));
        Ok(HostsConfig { usual, own: own.collect::<Result<_, Fault>>()? })
    }

    fn retry(&self, peer: &Self, usual: &RetryConfig, wrong: &mut Wrong<'_>) -> RetryConfig {
        let jitter = peer.backoff_jitter_percent.or(self.backoff_jitter_percent).unwrap_or(50);
        let longest_wait = millis(peer.backoff_longest_ms.or(self.backoff_longest_ms), usual.longest_wait);
        let first = millis(peer.backoff_first_ms.or(self.backoff_first_ms), Duration::from_secs(1));
        let backoff = Backoff::try_new(first, longest_wait, f64::from(jitter) / 100.0);
        RetryConfig {
            attempts: peer.attempts.or(self.attempts).unwrap_or(usual.attempts),
            backoff: backoff.unwrap_or_else(|error| {
                wrong.note("backoff_first_ms", error.to_string());
                Backoff::default()
            }),
            longest_wait,
            percent: peer.retry_percent.or(self.retry_percent).unwrap_or(usual.percent),
            floor: peer.retry_floor.or(self.retry_floor).unwrap_or(usual.floor),
            hedge_after: optional(peer.hedge_after_ms.or(self.hedge_after_ms), usual.hedge_after),
        }
    }

    fn breaker(&self, peer: &Self, usual: &BreakerConfig, wrong: &mut Wrong<'_>) -> BreakerConfig {
        let window = &usual.window;
        let failure = peer.breaker_failure_percent.or(self.breaker_failure_percent);
        let slow = peer.breaker_slow_percent.or(self.breaker_slow_percent);
        for (key, percent) in [("breaker_failure_percent", failure), ("breaker_slow_percent", slow)] {
            if percent.is_some_and(|percent| percent > 100) {
                wrong.note(key, "must be at most 100".to_owned());
            }
        }
        BreakerConfig {
            failures: peer.breaker_failures.or(self.breaker_failures).unwrap_or(usual.failures),
            open_first: millis(peer.breaker_open_first_ms.or(self.breaker_open_first_ms), usual.open_first),
            open_for: millis(peer.breaker_open_longest_ms.or(self.breaker_open_longest_ms), usual.open_for),
            probes: peer.breaker_probes.or(self.breaker_probes).unwrap_or(usual.probes),
            window: WindowConfig {
                span: millis(peer.breaker_window_ms.or(self.breaker_window_ms), window.span),
                calls: peer.breaker_window_calls.or(self.breaker_window_calls).unwrap_or(window.calls),
                failure_percent: failure.unwrap_or(window.failure_percent),
                slow_percent: slow.unwrap_or(window.slow_percent),
                slow_after: millis(
                    peer.breaker_slow_after_ms.or(self.breaker_slow_after_ms),
                    window.slow_after,
                ),
            },
        }
    }
}

// === impl ServerSettings ===

impl ServerSettings {
    /// A server's configuration with these.
    #[must_use]
    pub fn config(&self) -> ServerConfig {
        let seconds = |count: u64| (count > 0).then(|| Duration::from_secs(count));
        ServerConfig {
            unary_calls: self.unary_calls,
            streams: self.streams,
            connection_age: seconds(self.connection_age_s),
            connection_grace: seconds(self.connection_grace_s),
            ..ServerConfig::default()
        }
    }
}

// === impl Wrong ===

impl Wrong<'_> {
    fn note(&mut self, key: &str, problem: String) {
        self.found.push(Violation::new(format!("{}.{key}", self.field), problem));
    }

    fn zero(&mut self, key: &str, value: Option<u64>) {
        if value == Some(0) {
            self.note(key, "must be at least 1".to_owned());
        }
    }
}

fn millis(set: Option<u64>, usual: Duration) -> Duration {
    set.map_or(usual, Duration::from_millis)
}

/// A time that 0 switches off.
fn optional(set: Option<u64>, usual: Option<Duration>) -> Option<Duration> {
    match set {
        None => usual,
        Some(0) => None,
        Some(set) => Some(Duration::from_millis(set)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PeerSettings;

    #[derive(Deserialize)]
    struct Config {
        resilience: ResilienceSettings,
        peer: PeerSettings,
        plain: PeerSettings,
    }

    fn config(peer: &str) -> Result<Config, String> {
        let text = format!(
            "plain = 'http://b:1'\npeer = {peer}\n[resilience]\nattempts = 5\nbreaker_failures = 7\nhedge_after_ms = 20\n"
        );
        toml::from_str(&text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_peer_has_its_own_then_the_services_then_the_meshs() {
        let own = "{ url = 'http://a:1', resilience = { breaker_failures = 3, hedge_after_ms = 0 } }";
        let Config { resilience, peer, plain } = config(own).unwrap();
        let of = resilience.of(&peer.resilience, "peers.a.resilience").unwrap();
        assert_eq!((peer.url.as_str(), of.breaker.failures, of.retry.hedge_after), ("http://a:1", 3, None));
        assert_eq!((of.retry.attempts, of.timeout), (5, Duration::from_secs(30)));
        let of = resilience.of(&plain.resilience, "resilience").unwrap();
        assert_eq!((plain.url.as_str(), of.breaker.failures), ("http://b:1", 7));
        assert_eq!(of.retry.hedge_after, Some(Duration::from_millis(20)));
    }

    #[test]
    fn what_makes_no_sense_is_named_all_at_once() {
        let own = "{ url = 'http://a:1', resilience = { attempts = 0, backoff_first_ms = 0, breaker_slow_percent = 101 } }";
        let Config { resilience, peer, .. } = config(own).unwrap();
        let fault = resilience.of(&peer.resilience, "peers.a.resilience").unwrap_err();
        let fields: Vec<&str> = fault.violations().iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(
            fields,
            ["attempts", "backoff_first_ms", "breaker_slow_percent"]
                .map(|key| format!("peers.a.resilience.{key}"))
        );
        assert!(config("{ url = 'http://a:1', tries = 3 }").is_err(), "a key that does not exist");
        assert!(config("7").err().unwrap().contains("http://HOST:PORT"));
    }
}
