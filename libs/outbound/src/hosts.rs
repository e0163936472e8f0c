//! The hosts that are called, each with a breaker.
//!
//! # Why by host
//! What is down is a host, or the port of one: neither the URL, of which there are as many as there are users, nor all of the internet. So whoever calls the same host shares what is known of it.
//!
//! # Why bounded
//! Users name hosts. A breaker for each that anybody has ever named would be memory, and lines of an operator's list and of the metrics, that only grow. So the latest are kept. Of those, one that is
//! closed goes first: what it has forgotten, the next failures say again, whereas an open one, or one that an operator has tripped, would be asked again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pathway_resilience::{Admission, Breaker, BreakerConfig, BreakerState, Breakers};

use crate::{OutboundError, Response};

/// How hosts are called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostsConfig {
    /// Those that have nothing of their own.
    pub usual: HostConfig,
    /// Those that have, by `HOST` or `HOST:PORT`.
    pub own: BTreeMap<String, HostConfig>,
}

/// How a host is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostConfig {
    /// How long a call may take whose request names no end.
    pub timeout: Duration,
    /// When it is no longer asked.
    pub breaker: BreakerConfig,
}

/// The hosts that are called; cheap to clone.
#[derive(Debug, Clone)]
pub struct Hosts {
    breakers: Breakers,
    config: Arc<HostsConfig>,
    /// The latest at the end.
    recent: Arc<Mutex<Vec<Known>>>,
}

/// A host by its name.
type Known = (Arc<str>, Breaker);

/// A call that the host's breaker has admitted, and how long it may take.
#[derive(Debug)]
pub(crate) struct Admitted {
    admission: Admission,
    pub(crate) timeout: Duration,
}

/// How many hosts are known at once.
const MOST: usize = 256;

// === impl HostConfig ===

impl Default for HostConfig {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(30), breaker: BreakerConfig::default() }
    }
}

// === impl Hosts ===

impl Hosts {
    /// Hosts whose breakers an operator sees as `kind/HOST:PORT`.
    #[must_use]
    pub fn new(breakers: &Breakers, kind: &str, config: HostsConfig) -> Self {
        Self { breakers: breakers.of(kind), config: Arc::new(config), recent: Arc::default() }
    }

    /// A host's breaker, and how long a call of it may take, for what is called in another way than over HTTP.
    #[must_use]
    pub fn host(&self, host: &str, port: u16) -> (Breaker, Duration) {
        let name = format!("{host}:{port}");
        let own = self.config.own.get(&name).or_else(|| self.config.own.get(host));
        let HostConfig { timeout, breaker } = own.copied().unwrap_or(self.config.usual);
        (self.breaker(name.into(), breaker), timeout)
    }

    /// Asks a host's breaker for a call.
    ///
    /// # Errors
    /// Where the host is not to be asked now.
    pub(crate) fn admit(&self, host: &str, port: u16) -> Result<Admitted, OutboundError> {
        let (breaker, timeout) = self.host(host, port);
        match breaker.admit() {
            Ok(admission) => Ok(Admitted { admission, timeout }),
            Err(after) => Err(OutboundError::NotAsked(after)),
        }
    }

    fn breaker(&self, name: Arc<str>, config: BreakerConfig) -> Breaker {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match recent.iter().position(|(known, _)| *known == name) {
            Some(at) => recent.remove(at),
            None => {
                if recent.len() >= MOST {
                    let is_closed = |(_, breaker): &Known| breaker.state() == BreakerState::Closed;
                    let oldest = recent.iter().position(is_closed).unwrap_or_default();
                    recent.remove(oldest);
                }
                let breaker = self.breakers.breaker(&name, config);
                (name, breaker)
            }
        };
        let breaker = known.1.clone();
        recent.push(known);
        breaker
    }
}

// === impl Admitted ===

impl Admitted {
    /// Says what came of the call. What says nothing about the host, such as an address that may not be called, is as if it had been given up.
    pub(crate) fn settle(self, result: &Result<Response, OutboundError>) {
        match result {
            // 501 is an answer: the host cannot do that, and will not learn it.
            Ok(response) => self.admission.settle(!matches!(response.status, 500 | 502..=599)),
            Err(OutboundError::TooLarge(_)) => self.admission.settle(true),
            Err(OutboundError::NotSent(_) | OutboundError::TimedOut | OutboundError::Broken(_)) => {
                self.admission.settle(false);
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;
    use pathway_kernel::Clock;
    use pathway_resilience::BreakerAction;

    use super::*;

    fn answer(status: u16) -> Result<Response, OutboundError> {
        Ok(Response { status, headers: HeaderMap::new(), body: Bytes::new() })
    }

    fn hosts(all: &Breakers) -> Hosts {
        let breaker = BreakerConfig::consecutive(1, Duration::from_secs(30), 1);
        let own = HostConfig { timeout: Duration::from_secs(3), breaker };
        let config =
            HostsConfig { own: BTreeMap::from([("fragile".to_owned(), own)]), ..HostsConfig::default() };
        Hosts::new(all, "http", config)
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_fails_is_left_alone_and_no_other() {
        let all = Breakers::new(Clock::system());
        let hosts = hosts(&all);
        let admitted = hosts.admit("fragile", 443).unwrap();
        assert_eq!(admitted.timeout, Duration::from_secs(3));
        admitted.settle(&answer(503));
        let refused = hosts.admit("fragile", 443).unwrap_err();
        assert!(matches!(refused, OutboundError::NotAsked(after) if after == Duration::from_secs(30)));
        assert!(hosts.admit("fragile", 8443).is_ok() && hosts.admit("other", 443).is_ok());
        let targets: Vec<_> = all.snapshot().into_iter().map(|status| status.target.to_string()).collect();
        assert_eq!(targets, ["http/fragile:443", "http/fragile:8443", "http/other:443"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_the_callers_affair_opens_nothing() {
        let hosts = hosts(&Breakers::new(Clock::system()));
        for result in [
            answer(200),
            answer(404),
            answer(429),
            answer(501),
            Err(OutboundError::Forbidden),
            Err(OutboundError::TooLarge(1)),
        ] {
            hosts.admit("fragile", 443).unwrap().settle(&result);
        }
        assert!(hosts.admit("fragile", 443).is_ok());
        for result in [Err(OutboundError::TimedOut), answer(500)] {
            let hosts = self::hosts(&Breakers::new(Clock::system()));
            hosts.admit("fragile", 443).unwrap().settle(&result);
            assert!(hosts.admit("fragile", 443).is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_latest_are_known_and_those_that_are_not_asked_stay() {
        let all = Breakers::new(Clock::system());
        let hosts = hosts(&all);
        drop(hosts.admit("tripped", 443));
        assert_eq!(all.act("http/tripped:443", BreakerAction::Trip).len(), 1);
        for host in 0..MOST + 10 {
            drop(hosts.admit(&format!("host-{host}"), 443));
        }
        let known = all.snapshot();
        assert_eq!(known.len(), MOST);
        let is_known = |name: &str| known.iter().any(|status| *status.target == *name);
        assert!(
            is_known("http/tripped:443") && !is_known("http/host-0:443") && is_known("http/host-265:443")
        );
    }
}
