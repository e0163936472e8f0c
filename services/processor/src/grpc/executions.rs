//! Executions as they end, for whoever watches.

use futures_util::Stream;
use futures_util::stream::unfold;
use pathway_proto::pathway::processor::v1 as api;
use pathway_rpc::status;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use tonic::{Response, Status as GrpcStatus};

use super::HEARTBEAT;
use super::checks::{Page, mask, required_id};
use super::convert::{chosen, from_execution_filter, to_dead_letter, to_execution};
use crate::error::ProcessorError;
use crate::processing::{EndedBatch, Ends, Processing};

/// Somebody who watches.
struct Watch {
    ended: Receiver<EndedBatch>,
    closing: CancellationToken,
    /// The one pathway that is wanted; empty for all.
    pathway: String,
    /// How many executions have been seen, or are known to be missed, since the processor was started.
    reached: u64,
}

// === impl Watch ===

impl Watch {
    /// What has ended and is wanted, or an empty message where nothing has for a while; none where the service ends.
    async fn next(&mut self) -> Option<api::WatchExecutionsResponse> {
        let heartbeat = tokio::time::sleep(HEARTBEAT);
        tokio::pin!(heartbeat);
        let mut missed = 0;
        loop {
            let batch = tokio::select! {
                () = self.closing.cancelled() => return None,
                () = &mut heartbeat => return Some(api::WatchExecutionsResponse { missed, ..Default::default() }),
                batch = self.ended.recv() => batch,
            };
            match batch {
                Ok(batch) => {
                    missed += self.missed_before(&batch);
                    let executions = chosen(&batch.executions, &self.pathway);
                    if !executions.is_empty() {
                        return Some(api::WatchExecutionsResponse { executions, missed });
                    }
                }
                // How many executions that were is known from the next batch.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// How many executions, of whatever pathway, lie between the last batch and this one.
    fn missed_before(&mut self, batch: &EndedBatch) -> i64 {
        let missed = batch.before.saturating_sub(self.reached);
        self.reached = batch.before + u64::try_from(batch.executions.len()).unwrap_or_default();
        i64::try_from(missed).unwrap_or(i64::MAX)
    }
}

pub(super) fn stream(
    ends: &Ends,
    closing: CancellationToken,
    pathway: String,
) -> impl Stream<Item = Result<api::WatchExecutionsResponse, GrpcStatus>> + Send + use<> {
    let (ended, reached) = ends.watch();
    let watch = Watch { ended, closing, pathway, reached };
    unfold(watch, |mut watch| async move { watch.next().await.map(|message| (Ok(message), watch)) })
}

/// A page of executions.
pub(super) async fn list(
    processing: &Processing,
    request: api::ListExecutionsRequest,
) -> Result<Response<api::ListExecutionsResponse>, GrpcStatus> {
    let page = Page::of_executions(&request)?;
    let mask = mask(request.read_mask.as_ref(), "pathway.processor.v1.Execution")?;
    let filter = from_execution_filter(request);
    let (executions, next) =
        processing.store.executions(page.before, filter, page.limit).await.map_err(status)?;
    let next_page_token = page.token(next);
    let executions = executions.iter().map(|execution| mask.apply(to_execution(execution))).collect();
    Ok(Response::new(api::ListExecutionsResponse { executions, next_page_token }))
}

/// One execution, with the dead letter that it left.
pub(super) async fn get(
    processing: &Processing,
    request: api::GetExecutionRequest,
) -> Result<Response<api::GetExecutionResponse>, GrpcStatus> {
    let id = required_id(&request.id)?;
    let found = processing.store.execution(id).await.map_err(status)?;
    let execution = found.ok_or_else(|| status(ProcessorError::UnknownExecution))?;
    let dead_letter = processing.store.dead_letter_of(id).await.map_err(status)?.map(to_dead_letter);
    Ok(Response::new(api::GetExecutionResponse { execution: Some(to_execution(&execution)), dead_letter }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::{Execution, Status};

    fn execution(pathway: &str) -> Execution {
        Execution {
            id: uuid::Uuid::nil(),
            pathway: pathway.to_owned(),
            version: String::new(),
            event_id: String::new(),
            topic: String::new(),
            partition: 0,
            offset: 0,
            status: Status::Succeeded,
            nodes: Vec::new(),
            started_at_us: 0,
            duration_us: 0,
            trace_id: String::new(),
            partition_key: String::new(),
            error_code: String::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_missed_is_told_in_executions() {
        let ends = Ends::of_few(1);
        let (ended, reached) = ends.watch();
        let closing = CancellationToken::new();
        let mut watch = Watch { ended, closing: closing.clone(), pathway: "a".to_owned(), reached };
        for batch in [&["a", "a", "b"][..], &["b", "b"], &["b", "a"]] {
            ends.tell(Arc::new(batch.iter().copied().map(execution).collect()));
        }
        let message = watch.next().await.unwrap();
        assert_eq!((message.executions.len(), message.missed), (1, 5), "two batches of five executions");
        ends.tell(Arc::new(vec![execution("b")]));
        let message = watch.next().await.unwrap();
        assert_eq!((message.executions.len(), message.missed), (0, 0), "a heartbeat");
        closing.cancel();
        assert!(watch.next().await.is_none());
    }
}
