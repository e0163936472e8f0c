//! Bringing imported history in.
//!
//! What is published reaches analytics through its pathway, which needs the answer. What is imported needs none (G24), so it is followed:
//! datasync's feed of history is read behind a cursor that moves in the transaction which applies what was read. A crash anywhere repeats at
//! most what was not committed, and every change is idempotent. A change that is refused for good is logged and never holds up those after it.

use std::convert::Infallible;
use std::time::Duration;

use pathway_kernel::{Backoff, Code, Fault, Rng};
use pathway_proto::pathway::datasync::v1::datasync_service_client::DatasyncServiceClient;
use pathway_proto::pathway::datasync::v1::{WatchChangesRequest, WatchChangesResponse};
use pathway_proto::pathway::types::v1::Origin;
use pathway_rpc::{Channel, MAX_MESSAGE_BYTES, from_status};

use crate::grpc;
use crate::service::Figures;

/// Follows datasync's feed of imported history.
#[derive(Debug)]
pub(crate) struct Follower {
    datasync: DatasyncServiceClient<Channel>,
    figures: Figures,
    rng: Rng,
}

// === impl Follower ===

impl Follower {
    pub(crate) fn new(channel: Channel, figures: Figures, rng: Rng) -> Self {
        let datasync = DatasyncServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        Self { datasync, figures, rng }
    }

    /// Follows for ever, and begins again where it was after each failure.
    pub(crate) async fn run(self) {
        // Most outages are a restart: soon at first.
        let backoff = Backoff::try_new(Duration::from_millis(200), Duration::from_secs(3), 0.5);
        let backoff = backoff.unwrap_or_default();
        let mut failures = 0;
        loop {
            let Err(fault) = self.follow(&mut failures).await;
            // Our own token was renewed long before that: it is time to show the new one.
            if fault.reason() == "TOKEN_EXPIRED" && failures == 0 {
                failures = 1;
                continue;
            }
            // The breaker before datasync knows better than we when it will be asked again.
            let wait = fault.retry_after().unwrap_or_else(|| backoff.delay(failures, &self.rng));
            failures = failures.saturating_add(1);
            let (code, reason, wait_ms) = (fault.code().name(), fault.reason(), wait.as_millis());
            tracing::warn!(code, reason, wait_ms, failures, "lost the feed of imported history");
            tokio::time::sleep(wait).await;
        }
    }

    async fn follow(&self, failures: &mut u32) -> Result<Infallible, Fault> {
        let after_sequence = self.figures.followed().await?;
        let request = WatchChangesRequest { after_sequence, origin: Some(Origin::History.into()) };
        let answer = self.datasync.clone().watch_changes(request).await.map_err(from_status)?;
        let mut pages = answer.into_inner();
        let mut followed = after_sequence;
        while let Some(page) = pages.message().await.map_err(from_status)? {
            *failures = 0;
            if page.next_sequence > followed {
                followed = page.next_sequence;
                self.take(page).await?;
            }
        }
        Err(Fault::new(Code::Unavailable, "FEED_ENDED", "datasync ended the feed"))
    }

    async fn take(&self, page: WatchChangesResponse) -> Result<(), Fault> {
        let mut changes = Vec::with_capacity(page.changes.len());
        let mut sequences = Vec::with_capacity(page.changes.len());
        for change in page.changes {
            let sequence = change.sequence;
            match grpc::change(change) {
                Ok(change) => {
                    changes.push(change);
                    sequences.push(sequence);
                }
                Err(violations) => passed_over(sequence, &Fault::invalid(violations)),
            }
        }
        let applied = self.figures.follow(changes, page.next_sequence).await?;
        for (sequence, applied) in sequences.into_iter().zip(applied) {
            if let Err(error) = applied {
                passed_over(sequence, &error.into());
            }
        }
        Ok(())
    }
}

fn passed_over(sequence: i64, fault: &Fault) {
    let (code, reason) = (fault.code().name(), fault.reason());
    tracing::error!(sequence, code, reason, "an imported change cannot be counted and was passed over");
}
