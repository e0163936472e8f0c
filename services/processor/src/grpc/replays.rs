//! Replays as the API's messages.

use pathway_proto::pathway::processor::v1 as api;
use prost::Message as _;

use crate::store::{Replay, ReplayState};

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
