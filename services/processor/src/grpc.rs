//! The API: the only part that knows this service's generated types.

mod checks;
mod convert;
mod dead_letters;
mod executions;
mod pathways;
mod replays;
mod topics;

use std::pin::Pin;
use std::time::Duration;

use futures_util::Stream;
use pathway_kernel::Check;
use pathway_proto::pathway::processor::v1 as api;
use pathway_proto::pathway::processor::v1::processor_service_server::{
    ProcessorService, ProcessorServiceServer,
};
use pathway_rpc::{Identity, MAX_MESSAGE_BYTES, Position as Resume, Routes, expiring, status};
use pathway_topics::Position;
use tonic::{Request, Response, Status as GrpcStatus};
use uuid::Uuid;

use crate::events::Envelope;
use crate::processing::Processing;
use crate::store::Start;
use checks::{NamedPage, Page, at_most, named, once, refuse, required_id};
use convert::{from_event, to_result, unsealed};

/// The most items of one call.
const MOST_ITEMS: usize = 4096;
/// The longest reason of a discard, in bytes.
const LONGEST_REASON: usize = 1024;
/// The longest name of a pathway or a version, in bytes.
const LONGEST_NAME: usize = 256;
/// A stream that has been silent for this long gets an empty message, so that proxies keep it open.
const HEARTBEAT: Duration = Duration::from_secs(20);

pub(crate) fn routes(processing: Processing) -> Routes {
    Routes::default()
        .add(ProcessorServiceServer::new(processing).max_decoding_message_size(MAX_MESSAGE_BYTES))
}

#[tonic::async_trait]
impl ProcessorService for Processing {
    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<api::SubscribeResponse, GrpcStatus>> + Send>>;
    type WatchExecutionsStream =
        Pin<Box<dyn Stream<Item = Result<api::WatchExecutionsResponse, GrpcStatus>> + Send>>;

    async fn publish(
        &self,
        request: Request<api::PublishRequest>,
    ) -> Result<Response<api::PublishResponse>, GrpcStatus> {
        let mut request = request.into_inner();
        let mut check = Check::default();
        check.required("topic", &request.topic, LONGEST_NAME);
        check.at_most("events", request.events.len(), MOST_ITEMS);
        check.request_id("request_id", &request.request_id);
        refuse(check)?;
        let id = std::mem::take(&mut request.request_id);
        let once = once("Publish", &id, &request, self.clock.now_us());
        let events = request.events.into_iter().map(from_event).collect();
        if let Some(once) = once {
            let answer = self.publish_once(&request.topic, events, once, convert::seal).await;
            return unsealed(&answer.map_err(status)?);
        }
        let results = self.publish(&request.topic, events).await.map_err(status)?;
        let results = results.into_iter().map(to_result).collect();
        Ok(Response::new(api::PublishResponse { results }))
    }

    async fn await_processed(
        &self,
        request: Request<api::AwaitProcessedRequest>,
    ) -> Result<Response<api::AwaitProcessedResponse>, GrpcStatus> {
        let request = request.into_inner();
        let mut check = Check::default();
        check.required("topic", &request.topic, LONGEST_NAME);
        checks::positions("positions", &request.positions, self.topics.partitions(), &mut check);
        refuse(check)?;
        let positions = request.positions.iter();
        let positions = positions.map(|p| Position { partition: p.partition, offset: p.offset }).collect();
        self.await_processed(&request.topic, positions).await.map_err(status)?;
        Ok(Response::new(api::AwaitProcessedResponse {}))
    }

    async fn subscribe(
        &self,
        request: Request<api::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, GrpcStatus> {
        let caller = Identity::of(&request);
        let request = request.into_inner();
        let (from, wanted) = topics::from_subscription(&request, self.topics.partitions())?;
        let key = request.partition_key;
        let subscription = self.subscribe(&request.topic, from, wanted, key).await.map_err(status)?;
        let start = topics::places(&subscription);
        let stream = topics::stream(subscription, self.closing.clone());
        let stream = expiring(caller, stream, start, topics::note);
        Ok(Response::new(Box::pin(stream)))
    }

    async fn list_topics(
        &self,
        _: Request<api::ListTopicsRequest>,
    ) -> Result<Response<api::ListTopicsResponse>, GrpcStatus> {
        let now_us = self.clock.now_us();
        let figures = self.topics().await.map_err(status)?;
        let topics =
            figures.into_iter().map(|(name, figures)| topics::to_topic(name, &figures, now_us)).collect();
        Ok(Response::new(api::ListTopicsResponse { topics }))
    }

    async fn list_executions(
        &self,
        request: Request<api::ListExecutionsRequest>,
    ) -> Result<Response<api::ListExecutionsResponse>, GrpcStatus> {
        executions::list(self, request.into_inner()).await
    }

    async fn get_execution(
        &self,
        request: Request<api::GetExecutionRequest>,
    ) -> Result<Response<api::GetExecutionResponse>, GrpcStatus> {
        executions::get(self, request.into_inner()).await
    }

    async fn watch_executions(
        &self,
        request: Request<api::WatchExecutionsRequest>,
    ) -> Result<Response<Self::WatchExecutionsStream>, GrpcStatus> {
        let caller = Identity::of(&request);
        let pathway = request.into_inner().pathway;
        let mut check = Check::default();
        check.text("pathway", &pathway, LONGEST_NAME);
        refuse(check)?;
        let messages = executions::stream(&self.ends, self.closing.clone(), pathway);
        // What ends meanwhile is not kept for a watcher: there is no place to go on from.
        let messages = expiring(caller, messages, Resume::new(), |_, _| {});
        Ok(Response::new(Box::pin(messages)))
    }

    async fn list_dead_letters(
        &self,
        request: Request<api::ListDeadLettersRequest>,
    ) -> Result<Response<api::ListDeadLettersResponse>, GrpcStatus> {
        dead_letters::list(self, request.into_inner()).await
    }

    async fn list_dead_letter_groups(
        &self,
        request: Request<api::ListDeadLetterGroupsRequest>,
    ) -> Result<Response<api::ListDeadLetterGroupsResponse>, GrpcStatus> {
        dead_letters::groups(self, request.into_inner()).await
    }

    async fn get_dead_letter(
        &self,
        request: Request<api::GetDeadLetterRequest>,
    ) -> Result<Response<api::GetDeadLetterResponse>, GrpcStatus> {
        dead_letters::get(self, request.into_inner()).await
    }

    async fn dry_run(
        &self,
        request: Request<api::DryRunRequest>,
    ) -> Result<Response<api::DryRunResponse>, GrpcStatus> {
        let request = request.into_inner();
        named("pathway", &request.pathway, &request.version)?;
        let kept = self.pathway(&request.pathway, &request.version).await.map_err(status)?.chosen;
        let event = Envelope { data: request.data, ..Envelope::default() };
        Ok(Response::new(pathways::to_dry_run(&kept, &event)))
    }

    async fn redrive_dead_letters(
        &self,
        request: Request<api::RedriveDeadLettersRequest>,
    ) -> Result<Response<api::RedriveDeadLettersResponse>, GrpcStatus> {
        let items = request.into_inner().items;
        at_most("items", items.len())?;
        let items = items.into_iter().map(|item| (id(&item.id), item.data)).collect();
        let results = self.redrive(items).await.map_err(status)?;
        let results = results.into_iter().map(dead_letters::to_redrive_result).collect();
        Ok(Response::new(api::RedriveDeadLettersResponse { results }))
    }

    async fn discard_dead_letters(
        &self,
        request: Request<api::DiscardDeadLettersRequest>,
    ) -> Result<Response<api::DiscardDeadLettersResponse>, GrpcStatus> {
        let request = request.into_inner();
        let mut check = Check::default();
        check.at_most("ids", request.ids.len(), MOST_ITEMS);
        check.required("reason", &request.reason, LONGEST_REASON);
        refuse(check)?;
        let ids = request.ids.iter().map(|text| id(text)).collect();
        let results = self.discard(ids, request.reason).await.map_err(status)?;
        let results = results.into_iter().map(dead_letters::to_discard_status).collect();
        Ok(Response::new(api::DiscardDeadLettersResponse { results }))
    }

    async fn list_pathways(
        &self,
        request: Request<api::ListPathwaysRequest>,
    ) -> Result<Response<api::ListPathwaysResponse>, GrpcStatus> {
        pathways::list(self, request.into_inner()).await
    }

    async fn get_pathway(
        &self,
        request: Request<api::GetPathwayRequest>,
    ) -> Result<Response<api::GetPathwayResponse>, GrpcStatus> {
        let request = request.into_inner();
        let page = NamedPage::of_versions(&request)?;
        let history = self.pathway(&request.name, &request.version).await.map_err(status)?;
        Ok(Response::new(pathways::to_history(&history, &page)))
    }

    async fn register_pathway(
        &self,
        request: Request<api::RegisterPathwayRequest>,
    ) -> Result<Response<api::RegisterPathwayResponse>, GrpcStatus> {
        let request = request.into_inner();
        let (activate, validate_only) = (request.activate, request.validate_only);
        let source = pathways::from_registration(request)?;
        let kept = if validate_only { self.validate(source) } else { self.keep(source).await };
        let kept = kept.map_err(pathways::refusal)?;
        if activate && !validate_only {
            self.let_run(&kept, Start::Next).await.map_err(status)?;
        }
        let active = self.runs(&kept);
        let pathway = Some(pathways::to_pathway(&kept, active));
        Ok(Response::new(api::RegisterPathwayResponse { pathway, created: kept.created }))
    }

    async fn activate_pathway(
        &self,
        request: Request<api::ActivatePathwayRequest>,
    ) -> Result<Response<api::ActivatePathwayResponse>, GrpcStatus> {
        let request = request.into_inner();
        let mut check = Check::default();
        check.required("name", &request.name, LONGEST_NAME);
        check.required("version", &request.version, LONGEST_NAME);
        refuse(check)?;
        let (kept, previous) = self.activate(&request.name, &request.version).await.map_err(status)?;
        let pathway = Some(pathways::to_pathway(&kept, true));
        let previous_version = previous.unwrap_or_default();
        Ok(Response::new(api::ActivatePathwayResponse { pathway, previous_version }))
    }

    async fn deactivate_pathway(
        &self,
        request: Request<api::DeactivatePathwayRequest>,
    ) -> Result<Response<api::DeactivatePathwayResponse>, GrpcStatus> {
        let name = request.into_inner().name;
        named("name", &name, "")?;
        let previous_version = self.deactivate(&name).await.map_err(status)?;
        Ok(Response::new(api::DeactivatePathwayResponse { previous_version }))
    }

    async fn replay_topic(
        &self,
        request: Request<api::ReplayTopicRequest>,
    ) -> Result<Response<api::ReplayTopicResponse>, GrpcStatus> {
        replays::start(self, request.into_inner()).await
    }

    async fn list_replays(
        &self,
        request: Request<api::ListReplaysRequest>,
    ) -> Result<Response<api::ListReplaysResponse>, GrpcStatus> {
        let page = Page::of_replays(&request.into_inner())?;
        let replays = self.store.replays(page.before, page.limit).await.map_err(status)?;
        let next_page_token = page.token_behind(replays.last().map(|replay| replay.id), replays.len());
        let replays = replays.iter().map(replays::to_replay).collect();
        Ok(Response::new(api::ListReplaysResponse { replays, next_page_token }))
    }

    async fn cancel_replay(
        &self,
        request: Request<api::CancelReplayRequest>,
    ) -> Result<Response<api::CancelReplayResponse>, GrpcStatus> {
        let id = required_id(&request.into_inner().id)?;
        let replay = self.cancel_replay(id).await.map_err(status)?;
        Ok(Response::new(api::CancelReplayResponse { replay: Some(replays::to_replay(&replay)) }))
    }
}

/// An id that is no id is nobody's: the nil one stands for it and is never found.
fn id(id: &str) -> Uuid {
    Uuid::try_parse(id).unwrap_or_default()
}
