//! The addresses of one peer, and which of them is called.
//!
//! # Why power of two choices
//! Of two addresses taken by chance, the one with fewer calls under way. Round robin goes on sending to an instance that has stopped answering; the least loaded of all is found by every
//! client at once, and is the most loaded a moment later. Two choices need no agreement and come close to the best. What is counted is calls and not latencies: an instance that is
//! slow has more of them under way, which is the same with less to remember.
//!
//! # Why ejection
//! An instance that fails quickly has nothing under way, and so attracts every call. After some failures in a row it is left out for a while, longer each time; one
//! that cannot be connected to, at once. Never are all left out: where nothing is left, the peer as a whole is the breaker's to judge.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pathway_kernel::Rng;
use tokio::time::Instant;

/// How calls are spread over a peer's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BalanceConfig {
    /// How often a name is looked up again.
    pub resolve_every: Duration,
    /// Consecutive failures after which an address is left out; 0 for never.
    pub eject_after: u32,
    /// For how long; longer each time, up to ten times.
    pub eject_for: Duration,
}

/// The addresses, each with the way to it.
#[derive(Debug)]
pub(crate) struct Endpoints<T> {
    config: BalanceConfig,
    rng: Rng,
    all: Mutex<Vec<Endpoint<T>>>,
}

#[derive(Debug)]
struct Endpoint<T> {
    address: SocketAddr,
    way: T,
    /// Calls under way.
    load: Arc<AtomicUsize>,
    /// Failures since the last success.
    failures: u32,
    /// How often it has been left out since the last success.
    ejections: u32,
    out_until: Option<Instant>,
}

/// The address that is called, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Picked<T> {
    pub(crate) address: SocketAddr,
    pub(crate) way: T,
    pub(crate) load: Load,
}

/// A call that is under way.
#[derive(Debug)]
pub(crate) struct Load(Arc<AtomicUsize>);

/// How a call to an address ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Well,
    Failed,
    /// It refused what it had not begun with, because the connection ends: it is well, or about to be unreachable.
    Away,
    /// There is nobody.
    Unreachable,
}

/// The most by which being left out grows.
const LONGEST: u32 = 10;

// === impl BalanceConfig ===

impl Default for BalanceConfig {
    /// Looked up every 5 s; 5 failures, 10 s.
    fn default() -> Self {
        Self { resolve_every: Duration::from_secs(5), eject_after: 5, eject_for: Duration::from_secs(10) }
    }
}

// === impl Endpoints ===

impl<T: Clone> Endpoints<T> {
    pub(crate) const fn new(config: BalanceConfig, rng: Rng) -> Self {
        Self { config, rng, all: Mutex::new(Vec::new()) }
    }

    /// Takes what a lookup has found: what is known stays as it is, what is gone is called no more.
    pub(crate) fn update(&self, addresses: &[SocketAddr], make: impl Fn(SocketAddr) -> T) {
        let mut all = self.all();
        all.retain(|endpoint| addresses.contains(&endpoint.address));
        for &address in addresses {
            if all.iter().all(|endpoint| endpoint.address != address) {
                let (way, load) = (make(address), Arc::default());
                all.push(Endpoint { address, way, load, failures: 0, ejections: 0, out_until: None });
            }
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.all().len()
    }

    /// One to call, none of `tried` where there is another; none where there is nobody.
    pub(crate) fn pick(&self, tried: &[SocketAddr]) -> Option<Picked<T>> {
        let (one, other) = (self.rng.unit(), self.rng.unit());
        let now = Instant::now();
        let all = self.all();
        let fresh = |endpoint: &&Endpoint<T>| !tried.contains(&endpoint.address);
        let is_in = |endpoint: &&Endpoint<T>| endpoint.out_until.is_none_or(|until| until <= now);
        let mut left: Vec<&Endpoint<T>> = all.iter().filter(fresh).filter(is_in).collect();
        if left.is_empty() {
            left = all.iter().filter(fresh).collect();
        }
        if left.is_empty() {
            left = all.iter().collect();
        }
        let first = *left.get(place(one, left.len()))?;
        left.retain(|endpoint| endpoint.address != first.address);
        let second = left.get(place(other, left.len())).copied().unwrap_or(first);
        let load = |endpoint: &Endpoint<T>| endpoint.load.load(Ordering::Relaxed);
        let chosen = if load(second) < load(first) { second } else { first };
        chosen.load.fetch_add(1, Ordering::Relaxed);
        let (address, way) = (chosen.address, chosen.way.clone());
        Some(Picked { address, way, load: Load(Arc::clone(&chosen.load)) })
    }

    /// Takes how a call ended; answers whether the address is left out from now on.
    pub(crate) fn report(&self, address: SocketAddr, ended: Ended) -> bool {
        let mut all = self.all();
        let Some(endpoint) = all.iter_mut().find(|endpoint| endpoint.address == address) else {
            return false;
        };
        match ended {
            Ended::Well => {
                (endpoint.failures, endpoint.ejections, endpoint.out_until) = (0, 0, None);
                return false;
            }
            Ended::Away => return false,
            Ended::Failed | Ended::Unreachable => {}
        }
        endpoint.failures = endpoint.failures.saturating_add(1);
        let after = self.config.eject_after;
        let is_out = after > 0 && (ended == Ended::Unreachable || endpoint.failures >= after);
        if is_out {
            endpoint.failures = 0;
            endpoint.ejections = (endpoint.ejections + 1).min(LONGEST);
            endpoint.out_until = Some(Instant::now() + self.config.eject_for * endpoint.ejections);
        }
        is_out
    }

    fn all(&self) -> MutexGuard<'_, Vec<Endpoint<T>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place below `count` for a number in `[0, 1)`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a peer has few addresses"
)]
fn place(unit: f64, count: usize) -> usize {
    (unit * count as f64) as usize
}

// === impl Load ===

impl Drop for Load {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    /// Endpoints whose ways are their ports.
    fn endpoints(ports: &[u16]) -> Endpoints<u16> {
        let endpoints = Endpoints::new(BalanceConfig::default(), Rng::seeded(1));
        let addresses: Vec<SocketAddr> = ports.iter().map(|port| address(*port)).collect();
        endpoints.update(&addresses, |address| address.port());
        endpoints
    }

    fn picked(endpoints: &Endpoints<u16>, count: usize) -> Vec<u16> {
        let mut ports: Vec<u16> = (0..count).map(|_| endpoints.pick(&[]).unwrap().way).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    #[tokio::test(start_paused = true)]
    async fn calls_go_where_fewer_are_under_way() {
        let endpoints = endpoints(&[1, 2, 3]);
        let held: Vec<Picked<u16>> = (0..300).map(|_| endpoints.pick(&[]).unwrap()).collect();
        for port in 1..=3 {
            let count = held.iter().filter(|picked| picked.way == port).count();
            assert!((90..=110).contains(&count), "{port}: {count}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_fails_is_left_out_for_a_while_and_longer_each_time() {
        let endpoints = endpoints(&[1, 2]);
        for seconds in [10, 20] {
            for failure in 1..=5 {
                assert_eq!(endpoints.report(address(1), Ended::Failed), failure == 5);
            }
            assert_eq!(picked(&endpoints, 50), [2]);
            tokio::time::advance(Duration::from_secs(seconds)).await;
            assert_eq!(picked(&endpoints, 50), [1, 2]);
        }
        endpoints.report(address(1), Ended::Well);
        assert!(endpoints.report(address(1), Ended::Unreachable), "where nobody is, one attempt is enough");
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(picked(&endpoints, 50), [1, 2], "after a success it is short again");
    }

    #[tokio::test(start_paused = true)]
    async fn never_are_all_left_out_and_what_was_tried_is_the_last_choice() {
        let endpoints = endpoints(&[1, 2]);
        for port in [1, 2] {
            endpoints.report(address(port), Ended::Unreachable);
        }
        assert_eq!(picked(&endpoints, 50), [1, 2]);
        assert_eq!(endpoints.pick(&[address(1)]).unwrap().way, 2);
        assert!(endpoints.pick(&[address(1), address(2)]).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_lookup_keeps_what_is_known_of_an_address() {
        let endpoints = endpoints(&[1, 2]);
        endpoints.report(address(1), Ended::Unreachable);
        endpoints.update(&[address(1), address(3)], |address| address.port());
        assert_eq!(picked(&endpoints, 50), [3]);
        endpoints.update(&[], |address| address.port());
        assert!(endpoints.pick(&[]).is_none());
    }
}
