//! Making figures anew from the records.
//!
//! A rebuild is a row in the store (`store/rebuild.rs`), and this task does what that says: reads datasync's feed to its end, then puts each user's figures in
//! place. Each step is a transaction, so whoever comes after a crash goes on where it was; two processes over one database do no step twice.

use std::convert::Infallible;
use std::time::Duration;

use pathway_kernel::{Backoff, Code, Fault, Rng};
use pathway_proto::pathway::datasync::v1::ListChangesRequest;
use pathway_proto::pathway::datasync::v1::datasync_service_client::DatasyncServiceClient;
use pathway_proto::pathway::types::v1::RecordChange;
use pathway_rpc::{Channel, MAX_MESSAGE_BYTES, from_status};

use crate::grpc;
use crate::service::Figures;
use crate::store::{Read, Rebuild, RebuildState};

/// Does what rebuilds say.
#[derive(Debug)]
pub(crate) struct Rebuilder {
    datasync: DatasyncServiceClient<Channel>,
    figures: Figures,
    rng: Rng,
}

/// How often to look without having been told: another process may have died during a rebuild.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Changes of one page of the feed.
const PAGE: i32 = 4096;
/// How often a user whose figures change all the time is tried before the others wait no more.
const MOST_TRIES: usize = 64;

// === impl Rebuilder ===

impl Rebuilder {
    pub(crate) fn new(channel: Channel, figures: Figures, rng: Rng) -> Self {
        let datasync = DatasyncServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        Self { datasync, figures, rng }
    }

    /// Looks for ever, and goes on where it was after each failure.
    pub(crate) async fn run(self) -> Infallible {
        let backoff = Backoff::try_new(Duration::from_millis(200), Duration::from_secs(30), 0.5);
        let backoff = backoff.unwrap_or_default();
        let mut failures = 0;
        loop {
            match self.work().await {
                Ok(()) => {
                    failures = 0;
                    // A wait that ends without news looks again.
                    let _ = tokio::time::timeout(LOOK_AGAIN, self.figures.rebuilds.notified()).await;
                }
                Err(fault) => {
                    let wait = fault.retry_after().unwrap_or_else(|| backoff.delay(failures, &self.rng));
                    failures = failures.saturating_add(1);
                    let (code, reason, wait_ms) = (fault.code().name(), fault.reason(), wait.as_millis());
                    tracing::warn!(code, reason, wait_ms, failures, "a rebuild cannot go on yet");
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    /// Does the rebuild that is under way, if there is one.
    async fn work(&self) -> Result<(), Fault> {
        let store = &self.figures.store;
        let Some(rebuild) = store.running_rebuild().await? else { return Ok(()) };
        if rebuild.state == RebuildState::Reading {
            let rebuild = self.read(rebuild).await?;
            store.begin_swap(rebuild).await?;
        }
        let mut tries = 0;
        // Whoever is next was looked at before the end of the feed is.
        while let Some((user_id, sequence)) = store.next_rebuilt().await? {
            let Some(rebuild) = store.running_rebuild().await? else { return Ok(()) };
            let rebuild = self.read(rebuild).await?;
            let now_us = self.figures.now_us();
            tries = if store.swap(rebuild.number, user_id.clone(), sequence, now_us).await? {
                0
            } else {
                tries + 1
            };
            if tries > MOST_TRIES {
                return Err(Fault::new(Code::Aborted, "USER_BUSY", "a user's figures change all the time"));
            }
            self.figures.wake([user_id]);
        }
        if let Some(rebuild) = store.running_rebuild().await? {
            store.end_rebuild(rebuild.number, self.figures.now_us()).await?;
            let (number, users, changes) = (rebuild.number, rebuild.users_total, rebuild.changes_read);
            tracing::info!(number, users, changes, "figures were made anew");
        }
        Ok(())
    }

    /// Reads the feed to its end.
    async fn read(&self, mut rebuild: Rebuild) -> Result<Rebuild, Fault> {
        loop {
            let request =
                ListChangesRequest { after_sequence: rebuild.sequence, page_size: PAGE, origin: None };
            let page = self.datasync.clone().list_changes(request).await.map_err(from_status)?.into_inner();
            if page.next_sequence <= rebuild.sequence {
                return Ok(rebuild);
            }
            let changes = page.changes.into_iter().filter_map(read).collect();
            self.figures.store.keep_read(rebuild.clone(), changes, page.next_sequence).await?;
            let Some(now) = self.figures.store.running_rebuild().await? else { return Ok(rebuild) };
            rebuild = now;
        }
    }
}

/// A change of the feed; none for one that was refused when it came.
fn read(change: RecordChange) -> Option<Read> {
    let (sequence, changed_at_us) = (change.sequence, change.changed_at_us);
    match grpc::change(change) {
        Ok(change) => Some(Read { change, changed_at_us }),
        Err(violations) => {
            let fault = Fault::invalid(violations);
            let (code, reason) = (fault.code().name(), fault.reason());
            tracing::error!(sequence, code, reason, "a change cannot be counted and was passed over");
            None
        }
    }
}
