//! Every breaker of a process: to be listed, watched, and told what to do.
//!
//! # Why no global
//! Two services, or one service twice, run in one process: in the all-in-one and in every test. A registry that everybody can reach would mix their breakers; so it
//! is handed down by constructors, and each service adds its name to those that it makes.
//!
//! # Why it does not keep them alive
//! A version of a pathway has breakers of its own, and is dropped when nothing runs it any more. What nobody asks has no state worth showing, so
//! the registry only points.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use pathway_kernel::Clock;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::breaker::Core;
use crate::{Breaker, BreakerAction, BreakerConfig, BreakerState, BreakerStatus, Transition};

/// The breakers of a process; cheap to clone.
#[derive(Debug, Clone)]
pub struct Breakers {
    shared: Arc<Shared>,
    /// What the names of the breakers that are made here begin with.
    prefix: Arc<str>,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    known: Mutex<Vec<Weak<Core>>>,
    transitions: broadcast::Sender<Transition>,
}

/// How many transitions whoever watches may fall behind.
const BEHIND: usize = 256;

// === impl Breakers ===

impl Breakers {
    /// None yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let transitions = broadcast::Sender::new(BEHIND);
        let shared = Shared { clock, known: Mutex::default(), transitions };
        Self { shared: Arc::new(shared), prefix: Arc::from("") }
    }

    /// The same breakers, for a part whose own will be called `name/...`.
    #[must_use]
    pub fn of(&self, name: &str) -> Self {
        Self { shared: Arc::clone(&self.shared), prefix: format!("{}{name}/", self.prefix).into() }
    }

    /// The clock that they tell the time by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// The breaker of a target: the one that is there, where it is of the same configuration, so that whoever asks the same target shares what is known of it.
    #[must_use]
    pub fn breaker(&self, target: &str, config: BreakerConfig) -> Breaker {
        let target = format!("{}{target}", self.prefix);
        let mut known = self.shared.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|breaker| breaker.strong_count() > 0);
        let is_it = |breaker: &Breaker| **breaker.target() == *target && *breaker.config() == config;
        let found = known.iter().filter_map(Weak::upgrade).map(Breaker).find(is_it);
        found.unwrap_or_else(|| {
            let Shared { clock, transitions, .. } = &*self.shared;
            let breaker = Breaker::told_to(target.into(), config, clock.clone(), transitions.clone());
            known.push(Arc::downgrade(&breaker.0));
            breaker
        })
    }

    /// How each stands, by target.
    #[must_use]
    pub fn snapshot(&self) -> Vec<BreakerStatus> {
        let mut all: Vec<BreakerStatus> = self.all().iter().map(Breaker::status).collect();
        all.sort_by(|one, other| one.target.cmp(&other.target));
        all
    }

    /// The transitions from now on. Subscribed before a [snapshot](Self::snapshot) is taken, none is missed between the two.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<Transition> {
        self.shared.transitions.subscribe()
    }

    /// Waits until one of the breakers that were made here, or by a part of this, closes: what it refused can be asked again.
    pub async fn one_closes(&self) {
        let mut transitions = self.watch();
        loop {
            match transitions.recv().await {
                Ok(told) if !told.status.target.starts_with(&*self.prefix) => {}
                Ok(told) if told.status.state == BreakerState::Closed => return,
                Ok(_) => {}
                // There were more than could be kept; one may have been among them.
                Err(RecvError::Lagged(_)) => return,
                // The sender lives in what we hold.
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// Does what an operator says with the breakers of a target; answers how they stand after that, none where there is no such target. There is more than one
    /// where two versions of a pathway run.
    #[must_use]
    pub fn act(&self, target: &str, action: BreakerAction) -> Vec<BreakerStatus> {
        let meant = self.all().into_iter().filter(|breaker| **breaker.target() == *target);
        meant.map(|breaker| breaker.act(action)).collect()
    }

    fn all(&self) -> Vec<Breaker> {
        let known = self.shared.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().filter_map(Weak::upgrade).map(Breaker).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cause;

    fn breakers() -> Breakers {
        Breakers::new(Clock::system())
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_the_same_target_shares_its_breaker() {
        let all = breakers();
        let processor = all.of("processor");
        let (one, again) = (
            processor.breaker("datasync", BreakerConfig::default()),
            processor.breaker("datasync", BreakerConfig::default()),
        );
        let _others = all.of("analytics").breaker("datasync", BreakerConfig::default());
        one.act(BreakerAction::Trip);
        assert_eq!(again.state(), BreakerState::Tripped);
        let states: Vec<(String, BreakerState)> =
            all.snapshot().into_iter().map(|status| (status.target.to_string(), status.state)).collect();
        let expected =
            [("analytics/datasync", BreakerState::Closed), ("processor/datasync", BreakerState::Tripped)];
        assert_eq!(states, expected.map(|(target, state)| (target.to_owned(), state)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_asks_is_not_listed() {
        let all = breakers();
        drop(all.breaker("gone", BreakerConfig::default()));
        assert_eq!(all.snapshot(), []);
        assert_eq!(all.act("gone", BreakerAction::Trip), []);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_hears_of_its_own_breakers_alone() {
        let all = breakers();
        let (processor, analytics) = (all.of("processor"), all.of("analytics"));
        let config = BreakerConfig { failures: 1, ..BreakerConfig::default() };
        let (own, other) = (processor.breaker("peer", config), analytics.breaker("peer", config));
        let mut waits = tokio_test::task::spawn(processor.one_closes());
        tokio_test::assert_pending!(waits.poll());
        for breaker in [&other, &own] {
            breaker.admit().unwrap().settle(false);
        }
        let _ = all.act("analytics/peer", BreakerAction::Reset);
        tokio_test::assert_pending!(waits.poll(), "it opened, and another one closed");
        let _ = all.act("processor/peer", BreakerAction::Reset);
        tokio_test::assert_ready!(waits.poll());
    }

    #[tokio::test(start_paused = true)]
    async fn transitions_are_told_in_order_with_their_cause() {
        let all = breakers();
        let mut told = all.watch();
        let breaker = all.breaker("peer", BreakerConfig { failures: 1, ..BreakerConfig::default() });
        breaker.admit().unwrap().settle(false);
        assert_eq!(all.act("peer", BreakerAction::Reset).len(), 1);
        let causes = [told.recv().await.unwrap(), told.recv().await.unwrap()]
            .map(|t| (t.from, t.status.state, t.status.cause));
        assert_eq!(
            causes,
            [
                (BreakerState::Closed, BreakerState::Open, Cause::ConsecutiveFailures),
                (BreakerState::Open, BreakerState::Closed, Cause::Operator),
            ]
        );
    }
}
