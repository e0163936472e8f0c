//! A datasync that has nothing but a feed of imported history, and breaks it off when told to.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use futures_util::{Stream, StreamExt as _, stream};
use pathway_kernel::{Code, Fault};
use pathway_proto::pathway::datasync::v1 as pb;
use pathway_proto::pathway::types::v1::{Origin, RecordChange};
use pathway_rpc::{Routes, Server, ServerConfig, Target, memory, status};
use pb::datasync_service_server::{DatasyncService, DatasyncServiceServer};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

/// A feed, by sequence; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Feed(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    changes: Vec<RecordChange>,
    /// Where each stream began.
    begun: Vec<i64>,
}

// === impl Feed ===

impl Feed {
    /// Adds a change of history.
    pub(crate) fn push(&self, change: RecordChange) -> i64 {
        let changes = &mut self.0.lock().unwrap().changes;
        let sequence = i64::try_from(changes.len()).unwrap() + 1;
        changes.push(RecordChange { sequence, ..change });
        sequence
    }

    /// Where each stream so far began.
    pub(crate) fn begun(&self) -> Vec<i64> {
        self.0.lock().unwrap().begun.clone()
    }

    /// Serves it until the token is cancelled.
    pub(crate) fn serve(&self, shutdown: CancellationToken) -> Target {
        let (connector, listener) = memory();
        let routes = Routes::default().add(DatasyncServiceServer::new(self.clone()));
        let ended = async move { shutdown.cancelled().await };
        tokio::spawn(Server::new(ServerConfig::default(), routes).serve(listener, ended));
        Target::Memory(connector)
    }
}

fn absent<T>() -> Result<Response<T>, Status> {
    Err(status(Fault::new(Code::Unimplemented, "NOT_HERE", "this feed is for tests")))
}

#[tonic::async_trait]
impl DatasyncService for Feed {
    type WatchChangesStream = Pin<Box<dyn Stream<Item = Result<pb::WatchChangesResponse, Status>> + Send>>;

    /// Answers what is there of history, two changes at a time, and ends: the follower has to come again.
    async fn watch_changes(
        &self,
        request: Request<pb::WatchChangesRequest>,
    ) -> Result<Response<Self::WatchChangesStream>, Status> {
        let request = request.into_inner();
        assert_eq!(request.origin, Some(Origin::History.into()));
        let mut state = self.0.lock().unwrap();
        state.begun.push(request.after_sequence);
        let left: Vec<RecordChange> = state
            .changes
            .iter()
            .filter(|change| change.sequence > request.after_sequence && change.origin() == Origin::History)
            .cloned()
            .collect();
        let pages: Vec<pb::WatchChangesResponse> = left
            .chunks(2)
            .map(|changes| pb::WatchChangesResponse {
                changes: changes.to_vec(),
                next_sequence: changes.last().map_or(0, |change| change.sequence),
            })
            .collect();
        Ok(Response::new(Box::pin(stream::iter(pages).map(Ok))))
    }

    async fn write_records(
        &self,
        _: Request<pb::WriteRecordsRequest>,
    ) -> Result<Response<pb::WriteRecordsResponse>, Status> {
        absent()
    }

    async fn list_records(
        &self,
        _: Request<pb::ListRecordsRequest>,
    ) -> Result<Response<pb::ListRecordsResponse>, Status> {
        absent()
    }

    async fn list_record_versions(
        &self,
        _: Request<pb::ListRecordVersionsRequest>,
    ) -> Result<Response<pb::ListRecordVersionsResponse>, Status> {
        absent()
    }

    async fn list_changes(
        &self,
        request: Request<pb::ListChangesRequest>,
    ) -> Result<Response<pb::ListChangesResponse>, Status> {
        let after = request.into_inner().after_sequence;
        let state = self.0.lock().unwrap();
        let left = state.changes.iter().filter(|change| change.sequence > after);
        let changes: Vec<RecordChange> = left.take(2).cloned().collect();
        let next_sequence = changes.last().map_or(after, |change| change.sequence);
        Ok(Response::new(pb::ListChangesResponse { changes, next_sequence }))
    }

    async fn import_statement(
        &self,
        _: Request<pb::ImportStatementRequest>,
    ) -> Result<Response<pb::ImportStatementResponse>, Status> {
        absent()
    }

    async fn split_record(
        &self,
        _: Request<pb::SplitRecordRequest>,
    ) -> Result<Response<pb::SplitRecordResponse>, Status> {
        absent()
    }

    async fn pair_transfers(
        &self,
        _: Request<pb::PairTransfersRequest>,
    ) -> Result<Response<pb::PairTransfersResponse>, Status> {
        absent()
    }

    async fn pair_records(
        &self,
        _: Request<pb::PairRecordsRequest>,
    ) -> Result<Response<pb::PairRecordsResponse>, Status> {
        absent()
    }

    async fn unpair_record(
        &self,
        _: Request<pb::UnpairRecordRequest>,
    ) -> Result<Response<pb::UnpairRecordResponse>, Status> {
        absent()
    }
}
