//! The courier with a way out that does as it is told, on a clock that stands still.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;

use pathway_kernel::{ManualClock, new_id};
use pathway_store::testing::Scratch;
use uuid::Uuid;

use super::*;
use crate::delivery::Delivery;
use crate::endpoint::{Endpoint, Keys};
use crate::notice::Notice;
use crate::store::DeliveryListing;
use crate::templates::Templates;

/// Delivers at once, but for one target, where every attempt hangs.
#[derive(Debug, Default)]
struct Script {
    hangs: Mutex<String>,
    /// How many attempts are under way for each target, and the most there were.
    under_way: Mutex<HashMap<String, (usize, usize)>>,
}

/// An attempt under way; it may end by being dropped.
struct Counted<'a>(&'a Script, String);

// === impl Script ===

impl Script {
    fn count(&self, target: &str, by: isize) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, most) = under_way.entry(target.to_owned()).or_default();
        *now = now.saturating_add_signed(by);
        *most = (*most).max(*now);
    }
}

impl Sender for Script {
    fn send<'a>(&'a self, claim: &'a Claim) -> Sending<'a> {
        let target = claim.delivery.target.clone();
        Box::pin(async move {
            self.count(&target, 1);
            let counted = Counted(self, target);
            if *self.hangs.lock().unwrap() == counted.1 {
                std::future::pending::<()>().await;
            }
            Outcome::Delivered { status: 200 }
        })
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.count(&self.1, -1);
    }
}

async fn webhook(store: &Store) -> Uuid {
    let endpoint = Endpoint {
        id: new_id(1),
        user_id: "u".to_owned(),
        channel: Channel::Webhook,
        url: "https://example.com".to_owned(),
        keys: Keys::Webhook(Vec::new()),
        types: Vec::new(),
        description: String::new(),
        is_enabled: true,
        disabled_reason: String::new(),
        failing_since_us: None,
        created_at_us: 1,
    };
    store.add_endpoint(endpoint.clone(), false).await.unwrap();
    endpoint.id
}

async fn messages(store: &Store, target: Uuid) -> Vec<(Delivery, Vec<Attempt>)> {
    let listing = DeliveryListing {
        user_id: "u".to_owned(),
        before: Uuid::max(),
        channel: String::new(),
        state: "",
        target: target.to_string(),
        limit: 100,
    };
    store.deliveries(listing).await.unwrap()
}

/// Looks until all of a target's messages have been tried so often.
async fn tried(store: &Store, target: Uuid, attempts: usize) -> Vec<(Delivery, Vec<Attempt>)> {
    loop {
        let found = messages(store, target).await;
        if found.iter().all(|(_, tried)| tried.len() >= attempts) {
            return found;
        }
        // On a clock that stands still this lets what waits for a time come to it.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_hangs_holds_up_nobody_else_and_is_tried_again_when_it_is_due() {
    let scratch = Scratch::sqlite();
    let templates = Arc::new(Templates::load().unwrap());
    let store = Store::open(&scratch.config(), templates).await.unwrap();
    let (slow, fast) = (webhook(&store).await, webhook(&store).await);
    let script = Arc::new(Script::default());
    *script.hangs.lock().unwrap() = slow.to_string();
    let notices = (0..10).map(|n| Notice {
        user_id: "u".to_owned(),
        dedup_key: n.to_string(),
        kind: "reminder".to_owned(),
        ..Notice::default()
    });
    store.send(notices.collect(), 1).await.unwrap();
    let (manual, closing, wake) = (ManualClock::at(1), CancellationToken::new(), Arc::new(Notify::new()));
    let sender: Arc<dyn Sender> = Arc::clone(&script) as Arc<dyn Sender>;
    let courier = Courier {
        store: store.clone(),
        clock: Clock::manual(&manual),
        rng: Rng::seeded(1),
        feeds: Feeds::default(),
        senders: Senders::from([(Channel::Webhook, sender)]),
        wake: Arc::clone(&wake),
    };
    let running = tokio::spawn(courier.run(closing.clone()));
    let delivered = tried(&store, fast, 1).await;
    assert!(delivered.iter().all(|(delivery, _)| delivery.state == DeliveryState::Delivered));
    let late = tried(&store, slow, 1).await;
    for (delivery, attempts) in &late {
        assert_eq!(
            (delivery.state, attempts[0].reason.as_str()),
            (DeliveryState::Waiting, "no answer in time")
        );
        assert!((5_000_001..=6_000_001).contains(&delivery.due_us), "{}", delivery.due_us);
    }
    assert_eq!(script.under_way.lock().unwrap()[&slow.to_string()], (0, MOST_PER_TARGET));

    // It has come to itself.
    script.hangs.lock().unwrap().clear();
    manual.set(6_000_001);
    wake.notify_one();
    let delivered = tried(&store, slow, 2).await;
    assert!(delivered.iter().all(|(delivery, _)| delivery.state == DeliveryState::Delivered));
    closing.cancel();
    running.await.unwrap();
}
