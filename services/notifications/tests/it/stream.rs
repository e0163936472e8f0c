//! The live stream: no gap, no repeat.

use futures_util::StreamExt as _;
use pathway_proto::pathway::notifications::v1 as api;
use tonic::Streaming;

use crate::service::{Client, Service, reminder, send};

async fn watch(client: &Client, user: &str, after_sequence: i64) -> Streaming<api::WatchNoticesResponse> {
    let request = api::WatchNoticesRequest { user_id: user.to_owned(), after_sequence };
    client.clone().watch_notices(request).await.unwrap().into_inner()
}

/// The next `count` notices' sequences.
async fn take(stream: &mut Streaming<api::WatchNoticesResponse>, count: usize) -> Vec<i64> {
    let mut sequences = Vec::new();
    while sequences.len() < count {
        let message = stream.next().await.unwrap().unwrap();
        sequences.extend(message.notice.map(|notice| notice.sequence));
    }
    sequences
}

#[tokio::test]
async fn a_stream_gets_what_is_there_and_then_what_comes() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start(&directory, |_| ()).await;
    send(&service.client, vec![reminder("u", "a"), reminder("other", "a"), reminder("u", "b")]).await;
    let mut stream = watch(&service.client, "u", 0).await;
    assert_eq!(take(&mut stream, 2).await, [1, 2]);
    send(&service.client, vec![reminder("other", "b"), reminder("u", "b"), reminder("u", "c")]).await;
    assert_eq!(take(&mut stream, 1).await, [3], "not the duplicate, not another user's");
    service.stop().await;
    assert!(stream.next().await.is_none(), "a drain ends the stream");
}

#[tokio::test]
async fn a_cut_stream_resumes_without_gap_or_repeat_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start(&directory, |_| ()).await;
    // More than the stream reads at once.
    send(&service.client, (0..600).map(|n| reminder("u", &n.to_string())).collect()).await;
    let mut stream = watch(&service.client, "u", 0).await;
    let seen = take(&mut stream, 250).await;
    assert_eq!(seen, (1..=250).collect::<Vec<i64>>());
    drop(stream);
    service.stop().await;

    let service = Service::start(&directory, |_| ()).await;
    let mut stream = watch(&service.client, "u", 250).await;
    let sender = {
        let client = service.client.clone();
        tokio::spawn(async move {
            for n in 600..650 {
                send(&client, vec![reminder("u", &n.to_string())]).await;
            }
        })
    };
    assert_eq!(take(&mut stream, 400).await, (251..=650).collect::<Vec<i64>>());
    sender.await.unwrap();
    service.stop().await;
}

#[tokio::test]
async fn a_silent_stream_gets_heartbeats() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start(&directory, |config| config.watch.heartbeat_seconds = 1).await;
    let mut stream = watch(&service.client, "u", 0).await;
    assert_eq!(stream.next().await.unwrap().unwrap(), api::WatchNoticesResponse { notice: None });
    service.stop().await;
}
