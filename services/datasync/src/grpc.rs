//! The gRPC API: the only part that knows the generated types.

mod convert;
mod links;

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _};
use pathway_kernel::{Check, Fault};
use pathway_proto::pathway::datasync::v1 as pb;
use pathway_proto::pathway::types::v1 as types;
use pathway_rpc::{Identity, MAX_MESSAGE_BYTES, Position, Routes, expiring, own, status, to_item_status};
use pb::datasync_service_server::{DatasyncService, DatasyncServiceServer};
use pb::write_record_result::Result as ItemResult;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::error::DatasyncError;
use crate::records::Write;
use crate::service::{Records, Summary};
use crate::store::FeedPage;

/// The most writes in one call.
const MOST_WRITES: usize = 4096;

/// The API over the records.
#[derive(Debug)]
struct Api(Records);

/// The service as routes.
pub(crate) fn routes(records: Records) -> Routes {
    let service = DatasyncServiceServer::new(Api(records))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    Routes::default().add(service)
}

// === impl Api ===

#[tonic::async_trait]
impl DatasyncService for Api {
    type WatchChangesStream = Pin<Box<dyn Stream<Item = Result<pb::WatchChangesResponse, Status>> + Send>>;

    async fn write_records(
        &self,
        request: Request<pb::WriteRecordsRequest>,
    ) -> Result<Response<pb::WriteRecordsResponse>, Status> {
        let results = self.write(request.into_inner().writes).await.map_err(status)?;
        Ok(Response::new(pb::WriteRecordsResponse { results }))
    }

    async fn list_records(
        &self,
        request: Request<pb::ListRecordsRequest>,
    ) -> Result<Response<pb::ListRecordsResponse>, Status> {
        let request = own(request, |message| &mut message.user_id)?;
        let (listing, token, mask) = convert::listing(request).map_err(status)?;
        let mut records = self.0.list(&listing).await.map_err(status)?;
        // One more than the page was asked for, to know whether there is another page.
        let size = usize::try_from(listing.limit - 1).unwrap_or(usize::MAX);
        let has_more = records.len() > size;
        records.truncate(size);
        let last = records.last().filter(|_| has_more);
        let next_page_token = last.map_or_else(String::new, |record| token.after(record));
        let records = records.iter().map(|record| mask.apply(convert::record(record))).collect();
        Ok(Response::new(pb::ListRecordsResponse { records, next_page_token }))
    }

    async fn list_record_versions(
        &self,
        request: Request<pb::ListRecordVersionsRequest>,
    ) -> Result<Response<pb::ListRecordVersionsResponse>, Status> {
        let request = own(request, |message| &mut message.user_id)?;
        let page = convert::VersionPage::of(&request).map_err(status)?;
        // What is no id names no record.
        let id = Uuid::parse_str(&request.record_id).map_err(|_| status(DatasyncError::UnknownRecord))?;
        // One more than the page was asked for, to know whether there is another page.
        let found = self.0.versions(&request.user_id, id, page.after, page.limit + 1).await;
        let mut changes = found.map_err(status)?;
        let size = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let has_more = changes.len() > size;
        changes.truncate(size);
        let last = changes.last().filter(|_| has_more);
        let next_page_token = last.map_or_else(String::new, |change| page.token(change));
        let changes = changes.iter().map(convert::change).collect();
        Ok(Response::new(pb::ListRecordVersionsResponse { changes, next_page_token }))
    }

    async fn list_changes(
        &self,
        request: Request<pb::ListChangesRequest>,
    ) -> Result<Response<pb::ListChangesResponse>, Status> {
        let request = request.into_inner();
        let after = request.after_sequence;
        let (origin, limit) = convert::feed(after, request.origin, request.page_size).map_err(status)?;
        let page = self.0.changes(after, limit, origin).await.map_err(status)?;
        let (changes, next_sequence) = feed_page(&page);
        Ok(Response::new(pb::ListChangesResponse { changes, next_sequence }))
    }

    async fn watch_changes(
        &self,
        request: Request<pb::WatchChangesRequest>,
    ) -> Result<Response<Self::WatchChangesStream>, Status> {
        let caller = Identity::of(&request);
        let request = request.into_inner();
        let after = request.after_sequence;
        let (origin, _) = convert::feed(after, request.origin, 0).map_err(status)?;
        let pages = self.0.follow(after, origin).map(|page| {
            let (changes, next_sequence) = feed_page(&page.map_err(status)?);
            Ok(pb::WatchChangesResponse { changes, next_sequence })
        });
        let pages = expiring(caller, pages, position(after), |page: &pb::WatchChangesResponse, place| {
            *place = position(page.next_sequence);
        });
        Ok(Response::new(Box::pin(pages)))
    }

    async fn import_statement(
        &self,
        request: Request<pb::ImportStatementRequest>,
    ) -> Result<Response<pb::ImportStatementResponse>, Status> {
        let request = own(request, |message| &mut message.user_id)?;
        let file = convert::statement_file(request).map_err(status)?;
        let summary = self.0.import(file).await.map_err(status)?;
        Ok(Response::new(import_response(summary).map_err(status)?))
    }

    async fn split_record(
        &self,
        request: Request<pb::SplitRecordRequest>,
    ) -> Result<Response<pb::SplitRecordResponse>, Status> {
        let (user_id, id, parts) =
            links::split(own(request, |message| &mut message.user_id)?).map_err(status)?;
        let tied = self.0.split(user_id, id, parts).await.map_err(status)?;
        Ok(Response::new(links::as_split(&tied)))
    }

    async fn pair_transfers(
        &self,
        request: Request<pb::PairTransfersRequest>,
    ) -> Result<Response<pb::PairTransfersResponse>, Status> {
        let (user_id, period) = links::span(own(request, |message| &mut message.user_id)?).map_err(status)?;
        let paired = self.0.pair_all(user_id, period).await.map_err(status)?;
        Ok(Response::new(links::as_paired(&paired)))
    }

    async fn pair_records(
        &self,
        request: Request<pb::PairRecordsRequest>,
    ) -> Result<Response<pb::PairRecordsResponse>, Status> {
        let request = own(request, |message| &mut message.user_id)?;
        let pb::PairRecordsRequest { user_id, record_id, other_record_id } = request;
        let ids = links::ids(&user_id, [&record_id, &other_record_id]).map_err(status)?;
        let tied = self.0.pair(user_id, ids).await.map_err(status)?;
        let pair = links::pair(&tied.records);
        Ok(Response::new(pb::PairRecordsResponse { pair, sequence: tied.sequence }))
    }

    async fn unpair_record(
        &self,
        request: Request<pb::UnpairRecordRequest>,
    ) -> Result<Response<pb::UnpairRecordResponse>, Status> {
        let request = own(request, |message| &mut message.user_id)?;
        let pb::UnpairRecordRequest { user_id, record_id } = request;
        let [id] = links::ids(&user_id, [&record_id]).map_err(status)?;
        let tied = self.0.unpair(user_id, id).await.map_err(status)?;
        let records = tied.records.iter().map(|record| convert::record(record)).collect();
        Ok(Response::new(pb::UnpairRecordResponse { records, sequence: tied.sequence }))
    }
}

impl Api {
    /// Writes what is valid and answers one result for each item.
    async fn write(&self, items: Vec<pb::RecordWrite>) -> Result<Vec<pb::WriteRecordResult>, Fault> {
        let mut check = Check::default();
        check.at_most("writes", items.len(), MOST_WRITES);
        check.done().map_err(Fault::invalid)?;
        let mut refused: Vec<Option<Fault>> = Vec::with_capacity(items.len());
        let mut writes: Vec<Write> = Vec::with_capacity(items.len());
        for item in items {
            match convert::write(item) {
                Ok(write) => {
                    writes.push(write);
                    refused.push(None);
                }
                Err(violations) => refused.push(Some(Fault::invalid(violations))),
            }
        }
        let mut outcomes = self.0.write(writes).await?.into_iter();
        let result = |refused: Option<Fault>| {
            let result = match refused {
                Some(fault) => Some(ItemResult::Error(to_item_status(&fault))),
                None => outcomes.next().map(|outcome| ItemResult::Outcome(convert::outcome(&outcome))),
            };
            pb::WriteRecordResult { result }
        };
        Ok(refused.into_iter().map(result).collect())
    }
}

/// Where the feed goes on.
fn position(after_sequence: i64) -> Position {
    Position::from([("after_sequence".to_owned(), after_sequence.to_string())])
}

fn feed_page(page: &FeedPage) -> (Vec<types::RecordChange>, i64) {
    (page.changes.iter().map(convert::change).collect(), page.next)
}

fn import_response(summary: Summary) -> Result<pb::ImportStatementResponse, Fault> {
    let Summary { imported, rejected } = summary;
    let lost = i64::try_from(rejected.len()).map_err(Fault::internal)?;
    let rejected = rejected.into_iter().map(|rejected| {
        let line = i64::try_from(rejected.line).map_err(Fault::internal)?;
        Ok(pb::RejectedLine { line, reason: rejected.reason })
    });
    Ok(pb::ImportStatementResponse {
        read: imported.added + imported.unchanged + imported.quarantined + lost,
        added: imported.added,
        unchanged: imported.unchanged,
        quarantined: imported.quarantined,
        rejected: rejected.collect::<Result<_, Fault>>()?,
        sequence: imported.sequence,
    })
}
