//! The courier: takes what is due from the outbox, hands it to its channel, and records what came of it.
//!
//! Claims and records are batches: however many messages are due, one transaction takes them and one writes down what became of those that ended together. A target
//! gets a few messages at a time, so that one that hangs holds up its own and nobody else's.
//!
//! # What is guaranteed
//! A message is sent at least once until it is delivered, refused or given up, under one id for all attempts. A process that dies between the other side's yes and our record
//! sends it again when its lease ends, or when it starts again where it is alone with its store. A receiver that remembers ids (a webhook's `webhook-id`, a push message's topic) sees it once; a mail server
//! may deliver such an e-mail twice, with the same `Message-ID`, which mail programs fold into one.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use pathway_kernel::{Clock, Rng};
use tokio::sync::Notify;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::delivery::{Attempt, Claim, DeliveryState, Outcome, wait_after};
use crate::error::NotificationsError;
use crate::feeds::Feeds;
use crate::preferences::Channel;
use crate::store::{Health, Settled, Store, Wanted};

/// A channel's way to the outside.
pub(crate) trait Sender: Debug + Send + Sync {
    /// Sends a message; answers what came of it.
    fn send<'a>(&'a self, claim: &'a Claim) -> Sending<'a>;
}

/// A way out for each channel that is configured.
pub(crate) type Senders = BTreeMap<Channel, Arc<dyn Sender>>;

/// An attempt under way.
pub(crate) type Sending<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// Takes messages out.
#[derive(Debug, Clone)]
pub(crate) struct Courier {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) rng: Rng,
    pub(crate) feeds: Feeds,
    pub(crate) senders: Senders,
    /// Says that there is something new.
    pub(crate) wake: Arc<Notify>,
}

/// How many messages are under way at once.
const MOST: usize = 256;
/// How many of them go to one target.
const MOST_PER_TARGET: usize = 4;
/// How long an attempt may take.
const ATTEMPT_WITHIN: Duration = Duration::from_secs(30);
/// How long a message that was claimed is left alone: longer than an attempt and its record may take.
const LEASE: Duration = Duration::from_secs(120);
/// How often it is looked for what another process has written.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long it rests at most where nobody else writes.
const REST: Duration = Duration::from_secs(3600);
/// How long what is under way may take once the service is told to end.
const DRAIN: Duration = Duration::from_secs(4);

// === impl Courier ===

impl Courier {
    /// Works until `closing`, then lets what is under way end.
    pub(crate) async fn run(self, closing: CancellationToken) {
        let mut under_way: JoinSet<Settled> = JoinSet::new();
        let mut targets: HashMap<Id, String> = HashMap::new();
        // Nobody else can have claimed what is claimed where nobody else writes.
        if !self.store.is_shared()
            && let Err(error) = self.store.release(us(LEASE), self.clock.now_us()).await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot take over what was under way");
        }
        loop {
            let rest = match self.claim(&targets).await {
                Ok(claims) => {
                    for claim in claims {
                        let target = claim.delivery.target.clone();
                        let task = under_way.spawn(self.clone().attempt(claim));
                        targets.insert(task.id(), target);
                    }
                    self.rest().await
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "cannot claim messages");
                    LOOK_EVERY
                }
            };
            tokio::select! {
                () = closing.cancelled() => break,
                Some(ended) = under_way.join_next_with_id() => {
                    let mut all = vec![ended];
                    while let Some(ended) = under_way.try_join_next_with_id() {
                        all.push(ended);
                    }
                    self.record(all, &mut targets).await;
                }
                () = self.wake.notified() => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
        let drain = async {
            while let Some(ended) = under_way.join_next_with_id().await {
                self.record(vec![ended], &mut targets).await;
            }
        };
        if tokio::time::timeout(DRAIN, drain).await.is_err() {
            tracing::info!("some messages were still under way; they are sent again when their lease ends");
        }
    }

    async fn claim(&self, targets: &HashMap<Id, String>) -> Result<Vec<Claim>, NotificationsError> {
        let most = MOST.saturating_sub(targets.len());
        if most == 0 {
            return Ok(Vec::new());
        }
        let mut busy: HashMap<String, usize> = HashMap::new();
        for target in targets.values() {
            *busy.entry(target.clone()).or_default() += 1;
        }
        let now_us = self.clock.now_us();
        let lease_until_us = now_us.saturating_add(us(LEASE));
        let wanted = Wanted { now_us, lease_until_us, most, most_per_target: MOST_PER_TARGET, busy };
        self.store.claim(wanted).await
    }

    /// How long there is nothing to do, as far as anyone knows.
    async fn rest(&self) -> Duration {
        let longest = if self.store.is_shared() { LOOK_EVERY } else { REST };
        let now_us = self.clock.now_us();
        match self.store.next_due(now_us).await {
            Ok(Some(due_us)) => {
                let left = u64::try_from(due_us - now_us).unwrap_or(0);
                Duration::from_micros(left).min(longest)
            }
            Ok(None) => longest,
            Err(_) => LOOK_EVERY,
        }
    }

    /// Sends one message and says what is to be recorded.
    async fn attempt(self, mut claim: Claim) -> Settled {
        let began_at_us = self.clock.now_us();
        let begun = Instant::now();
        let outcome = match claim.recheck() {
            Err(outcome) => outcome,
            Ok(()) => match self.senders.get(&claim.delivery.channel) {
                None => Outcome::Dropped { reason: "the channel is not configured" },
                Some(sender) => {
                    let sent = tokio::time::timeout(ATTEMPT_WITHIN, sender.send(&claim)).await;
                    let late =
                        |_| Outcome::Later { status: 0, reason: "no answer in time".to_owned(), after: None };
                    sent.unwrap_or_else(late)
                }
            },
        };
        let took_us = us(begun.elapsed());
        self.settled(&claim, &outcome, began_at_us, took_us)
    }

    fn settled(&self, claim: &Claim, outcome: &Outcome, began_at_us: i64, took_us: i64) -> Settled {
        let delivery = &claim.delivery;
        let now_us = self.clock.now_us();
        let endpoint = claim.endpoint.as_ref().map(|endpoint| endpoint.id);
        let (status, why, health) = match outcome {
            Outcome::Delivered { status } => (*status, String::new(), Some(Health::Works)),
            Outcome::Later { status, reason, .. } => (*status, reason.clone(), Some(Health::Fails)),
            Outcome::Refused { status, reason } => {
                (*status, reason.clone(), (*status != 0).then_some(Health::Fails))
            }
            Outcome::Gone { status } => (*status, "the endpoint is gone".to_owned(), Some(Health::Gone)),
            Outcome::Dropped { reason } => (0, (*reason).to_owned(), None),
        };
        let number = delivery.attempts;
        let attempt = Attempt { number, began_at_us, took_us, status, reason: why.clone() };
        let (state, reason, due_us) = match outcome {
            Outcome::Delivered { .. } => (DeliveryState::Delivered, why, 0),
            Outcome::Dropped { .. } => (DeliveryState::Dropped, why, 0),
            Outcome::Refused { .. } | Outcome::Gone { .. } => (DeliveryState::Failed, why, 0),
            Outcome::Later { after, .. } => {
                match wait_after(delivery.channel, number - delivery.tries_before, *after, &self.rng) {
                    Some(wait) => (DeliveryState::Waiting, why, now_us.saturating_add(us(wait))),
                    None => (DeliveryState::Failed, format!("given up: {why}"), 0),
                }
            }
        };
        Settled {
            id: delivery.id,
            attempt: (!matches!(outcome, Outcome::Dropped { .. })).then_some(attempt),
            number,
            state,
            reason,
            due_us,
            ended_at_us: if state == DeliveryState::Waiting { 0 } else { now_us },
            health: endpoint.zip(health),
        }
    }

    /// Records what has ended, in one transaction. What cannot be recorded is sent again when its lease ends.
    async fn record(&self, ended: Vec<Result<(Id, Settled), JoinError>>, targets: &mut HashMap<Id, String>) {
        let mut settled = Vec::with_capacity(ended.len());
        for ended in ended {
            match ended {
                Ok((id, one)) => {
                    targets.remove(&id);
                    settled.push(one);
                }
                Err(error) => {
                    targets.remove(&error.id());
                    tracing::error!(error = &error as &dyn std::error::Error, "an attempt ended in a defect");
                }
            }
        }
        match self.store.settle(settled, self.clock.now_us()).await {
            Ok(news) => self.feeds.publish(news),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot record what became of messages"
                );
            }
        }
    }
}

/// Whole microseconds.
fn us(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "courier_tests.rs"]
mod tests;
