//! Replays as the API's messages.

use pathway_kernel::Check;
use pathway_proto::pathway::processor::v1 as api;
use pathway_rpc::status;
use prost::Message as _;
use tonic::{Response, Status as GrpcStatus};

use super::LONGEST_NAME;
use super::checks::{once, refuse};
use super::convert::unsealed;
use crate::processing::Processing;
use crate::store::{Replay, ReplayState};

/// Begins one.
pub(super) async fn start(
    processing: &Processing,
    mut request: api::ReplayTopicRequest,
) -> Result<Response<api::ReplayTopicResponse>, GrpcStatus> {
    let mut check = Check::default();
    check.request_id("request_id", &request.request_id);
    check.required("pathway", &request.pathway, LONGEST_NAME);
    check.text("version", &request.version, LONGEST_NAME);
    check.note("from_time_us", (request.from_time_us < 0).then_some("must not be negative"));
    check.note("rate", (request.rate < 0).then_some("must not be negative"));
    refuse(check)?;
    let id = std::mem::take(&mut request.request_id);
    let once = once("ReplayTopic", &id, &request, processing.clock.now_us());
    let (from_us, rate) = (request.from_time_us, request.rate.into());
    let answer = processing.start_replay(&request.pathway, &request.version, from_us, rate, once, seal).await;
    unsealed(&answer.map_err(status)?)
}

/// The encoded answer of a call that begins one, to be kept and sent.
pub(super) fn seal(replay: &Replay) -> Vec<u8> {
    api::ReplayTopicResponse { replay: Some(to_replay(replay)) }.encode_to_vec()
}

pub(super) fn to_replay(replay: &Replay) -> api::Replay {
    let state = match replay.state {
        ReplayState::Running => api::ReplayState::Running,
        ReplayState::Done => api::ReplayState::Done,
        ReplayState::Cancelled => api::ReplayState::Cancelled,
    };
    api::Replay {
        id: replay.id.to_string(),
        pathway: replay.pathway.clone(),
        pathway_version: replay.version.clone(),
        topic: replay.topic.clone(),
        from_time_us: replay.from_us,
        rate: i32::try_from(replay.rate).unwrap_or(i32::MAX),
        state: state.into(),
        total_events: replay.total,
        done_events: replay.done,
        failed_events: replay.failed,
        started_at_us: replay.started_at_us,
        ended_at_us: replay.ended_at_us,
    }
}
