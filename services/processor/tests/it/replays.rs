//! Running events once more.

use pathway_kernel::{Code, Fault};
use pathway_proto::pathway::processor::v1 as api;
use pathway_rpc::from_status;

use crate::peers::Script;
use crate::service::{Client, Service, executions, processed, publish, purchase};

async fn start(client: &Client, from_time_us: i64, rate: i32) -> Result<api::Replay, Fault> {
    let pathway = "transactions".to_owned();
    let request =
        api::ReplayTopicRequest { pathway, version: String::new(), from_time_us, rate, ..Default::default() };
    let answer = client.clone().replay_topic(request).await.map_err(from_status)?;
    Ok(answer.into_inner().replay.unwrap())
}

async fn newest(client: &Client) -> api::Replay {
    let answer = client.clone().list_replays(api::ListReplaysRequest::default()).await.unwrap();
    answer.into_inner().replays.remove(0)
}

async fn ended(client: &Client) -> api::Replay {
    loop {
        let replay = newest(client).await;
        if replay.state() != api::ReplayState::Running {
            return replay;
        }
        tokio::task::yield_now().await;
    }
}

async fn cancel(client: &Client, id: &str) -> Result<api::Replay, Fault> {
    let request = api::CancelReplayRequest { id: id.to_owned() };
    let answer = client.clone().cancel_replay(request).await.map_err(from_status)?;
    Ok(answer.into_inner().replay.unwrap())
}

#[tokio::test]
async fn events_run_once_more_at_the_positions_that_they_have() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let service = Service::start(&directory, script.serve()).await;
    let results =
        publish(&service.client, (0..20).map(|n| purchase(&format!("u{}", n % 4), &n.to_string())).collect())
            .await;
    processed(&service.client, &results).await;
    let places = |script: &Script| {
        let mut places: Vec<_> = script
            .state()
            .writes
            .iter()
            .flatten()
            .map(|write| {
                let position = write.position.clone().unwrap();
                (position.partition, position.offset)
            })
            .collect();
        places.sort_unstable();
        places
    };
    let before = places(&script);
    script.state().writes.clear();
    let begun = start(&service.client, 0, 0).await.unwrap();
    assert_eq!((begun.total_events, begun.topic.as_str()), (20, "transactions"));
    let replay = ended(&service.client).await;
    assert_eq!(replay.state(), api::ReplayState::Done);
    assert_eq!((replay.done_events, replay.failed_events), (20, 0));
    assert_eq!(places(&script), before);
    assert_eq!(executions(&service.client).await.len(), 40, "each run has its own history");
    // Nothing is as young as that.
    let begun = start(&service.client, i64::MAX, 0).await.unwrap();
    assert_eq!(begun.total_events, 0);
    assert_eq!(ended(&service.client).await.state(), api::ReplayState::Done);
    service.stop().await;
}

#[tokio::test]
async fn a_replay_goes_on_after_a_restart() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let service = Service::start(&directory, script.serve()).await;
    let results = publish(&service.client, (0..6).map(|n| purchase("u", &n.to_string())).collect()).await;
    processed(&service.client, &results).await;
    script.state().away = Some(("notifications", u32::MAX));
    start(&service.client, 0, 0).await.unwrap();
    service.stop().await;
    script.state().away = None;
    let service = Service::start(&directory, script.serve()).await;
    let replay = ended(&service.client).await;
    assert_eq!((replay.state(), replay.done_events), (api::ReplayState::Done, 6));
    // What is published meanwhile and after it is run as ever.
    let results = publish(&service.client, vec![purchase("u", "6")]).await;
    processed(&service.client, &results).await;
    service.stop().await;
}

#[tokio::test]
async fn a_cancelled_replay_stops_and_stays_cancelled() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let service = Service::start(&directory, script.serve()).await;
    let results = publish(&service.client, (0..4).map(|n| purchase("u", &n.to_string())).collect()).await;
    processed(&service.client, &results).await;
    script.state().away = Some(("datasync", u32::MAX));
    let begun = start(&service.client, 0, 1).await.unwrap();
    let cancelled = cancel(&service.client, &begun.id).await.unwrap();
    assert_eq!((cancelled.state(), cancelled.done_events), (api::ReplayState::Cancelled, 0));
    assert!(cancelled.ended_at_us >= cancelled.started_at_us);
    script.state().away = None;
    let again = cancel(&service.client, &begun.id).await.unwrap_err();
    assert_eq!((again.code(), again.reason()), (Code::FailedPrecondition, "REPLAY_ENDED"));
    let unknown = cancel(&service.client, "nothing").await.unwrap_err();
    assert_eq!((unknown.code(), unknown.reason()), (Code::NotFound, "UNKNOWN_REPLAY"));
    let request = api::ReplayTopicRequest { pathway: "nothing".to_owned(), ..Default::default() };
    let unknown = from_status(service.client.clone().replay_topic(request).await.unwrap_err());
    assert_eq!((unknown.code(), unknown.reason()), (Code::NotFound, "UNKNOWN_PATHWAY"));
    service.stop().await;
    let service = Service::start(&directory, script.serve()).await;
    assert_eq!(newest(&service.client).await.state(), api::ReplayState::Cancelled);
    service.stop().await;
}
