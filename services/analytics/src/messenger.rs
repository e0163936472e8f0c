//! Bringing to notifications what no change of a record gave rise to.
//!
//! A change's insights travel in its answer, and its pathway brings them on. What the clock gives rise to has no pathway: it is put into an outbox in
//! the transaction that finds it, and taken out when notifications has it. A crash in between sends it again, under the same key, which has no
//! effect. See docs/adr/0030-an-outbox-for-what-the-clock-finds.md.

use std::sync::Arc;
use std::time::Duration;

use pathway_kernel::{Backoff, Fault, Rng};
use pathway_proto::pathway::notifications::v1::notifications_service_client::NotificationsServiceClient;
use pathway_proto::pathway::notifications::v1::{SendNoticesRequest, send_notice_result};
use pathway_rpc::{Channel, from_item_status, from_status};
use tokio::sync::Notify;

use crate::grpc;
use crate::insight::Insight;
use crate::store::Store;

/// Delivers the outbox.
#[derive(Debug)]
pub(crate) struct Messenger {
    notifications: NotificationsServiceClient<Channel>,
    store: Store,
    outgoing: Outgoing,
    rng: Rng,
}

/// Says that there is something to deliver; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outgoing(Arc<Notify>);

/// The most notices of one call.
const BATCH: i64 = 256;
/// How often the outbox is looked at without having been told: another process may have died before it delivered.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

// === impl Outgoing ===

impl Outgoing {
    /// There is something to deliver.
    pub(crate) fn wake(&self) {
        self.0.notify_one();
    }
}

// === impl Messenger ===

impl Messenger {
    pub(crate) fn new(channel: Channel, store: Store, outgoing: Outgoing, rng: Rng) -> Self {
        Self { notifications: NotificationsServiceClient::new(channel), store, outgoing, rng }
    }

    /// Delivers for ever, and begins again after each failure.
    pub(crate) async fn run(self) {
        let backoff = Backoff::try_new(Duration::from_millis(200), Duration::from_secs(30), 0.5);
        let backoff = backoff.unwrap_or_default();
        let mut failures = 0;
        loop {
            match self.deliver().await {
                Ok(true) => failures = 0,
                Ok(false) => {
                    failures = 0;
                    // A wait that ends without news looks again.
                    let _ = tokio::time::timeout(LOOK_AGAIN, self.outgoing.0.notified()).await;
                }
                Err(fault) => {
                    let wait = fault.retry_after().unwrap_or_else(|| backoff.delay(failures, &self.rng));
                    failures = failures.saturating_add(1);
                    let (code, reason, wait_ms) = (fault.code().name(), fault.reason(), wait.as_millis());
                    tracing::warn!(code, reason, wait_ms, failures, "cannot deliver notices");
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    /// Delivers what has waited longest; answers whether there was something.
    async fn deliver(&self) -> Result<bool, Fault> {
        let waiting: Vec<Insight> = self.store.outgoing(BATCH).await?;
        if waiting.is_empty() {
            return Ok(false);
        }
        let notices = waiting.iter().cloned().map(grpc::notice).collect();
        let answer = self.notifications.clone().send_notices(SendNoticesRequest { notices }).await;
        let results = answer.map_err(from_status)?.into_inner().results;
        let (mut done, mut failed) = (Vec::with_capacity(waiting.len()), None);
        for (insight, result) in waiting.into_iter().zip(results) {
            if let Some(send_notice_result::Result::Error(status)) = result.result {
                let fault = from_item_status(status);
                if fault.is_transient() {
                    failed = Some(fault);
                    continue;
                }
                let (code, reason) = (fault.code().name(), fault.reason());
                tracing::error!(code, reason, "a notice was refused and is given up");
            }
            done.push((insight.user_id, insight.dedup_key));
        }
        self.store.delivered(done).await?;
        failed.map_or(Ok(true), Err)
    }
}
