//! `pathway replays`: running events once more.

use std::process::ExitCode;

use pathway_kernel::Fault;
use pathway_proto::pathway::processor::v1 as api;
use serde_json::{Value, json};

use crate::cli::{ReplayAction, Replays};
use crate::client::{Mesh, answer, request, request_id};
use crate::output::{Output, instant, table};

/// How many are listed.
const NEWEST: i32 = 50;

pub(crate) async fn run(mesh: &Mesh, out: &Output, args: &Replays) -> Result<ExitCode, Fault> {
    let mut processor = mesh.processor.clone();
    let replay = match &args.action {
        None => return list(mesh, out).await,
        Some(ReplayAction::Start(args)) => {
            let message = api::ReplayTopicRequest {
                pathway: args.pathway.clone(),
                version: args.version.clone().unwrap_or_default(),
                from_time_us: args.from.unwrap_or_default(),
                rate: args.rate.unwrap_or_default(),
                request_id: request_id(),
            };
            answer(processor.replay_topic(request(message)).await)?.replay
        }
        Some(ReplayAction::Cancel { id }) => {
            let message = api::CancelReplayRequest { id: id.clone() };
            answer(processor.cancel_replay(request(message)).await)?.replay
        }
    };
    let replay = replay.unwrap_or_default();
    out.answer(&document(&replay), || {
        let (state, done, total) = (state(replay.state()), replay.done_events, replay.total_events);
        format!("{} {state}: {done} of {total} events of {}", replay.id, replay.pathway)
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn list(mesh: &Mesh, out: &Output) -> Result<ExitCode, Fault> {
    let message = api::ListReplaysRequest { page_size: NEWEST, page_token: String::new() };
    let replays = answer(mesh.processor.clone().list_replays(request(message)).await)?.replays;
    let documents: Vec<Value> = replays.iter().map(document).collect();
    out.answer(&json!({"replays": documents}), || {
        let rows = replays.iter().map(|replay| {
            vec![
                replay.id.clone(),
                replay.pathway.clone(),
                replay.pathway_version.chars().take(12).collect(),
                state(replay.state()).to_owned(),
                replay.done_events.to_string(),
                replay.total_events.to_string(),
                replay.failed_events.to_string(),
                instant(replay.started_at_us),
            ]
        });
        let header = ["replay", "pathway", "version", "state", "done", "of", "failed", "started"];
        table(&header, &[4, 5, 6], rows)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn document(replay: &api::Replay) -> Value {
    json!({
        "id": replay.id,
        "pathway": replay.pathway,
        "version": replay.pathway_version,
        "topic": replay.topic,
        "state": state(replay.state()),
        "total": replay.total_events,
        "done": replay.done_events,
        "failed": replay.failed_events,
        "started_at": instant(replay.started_at_us),
        "ended_at": (replay.ended_at_us > 0).then(|| instant(replay.ended_at_us)),
    })
}

const fn state(state: api::ReplayState) -> &'static str {
    match state {
        api::ReplayState::Running => "running",
        api::ReplayState::Done => "done",
        api::ReplayState::Cancelled => "cancelled",
        api::ReplayState::Unspecified => "unknown",
    }
}
