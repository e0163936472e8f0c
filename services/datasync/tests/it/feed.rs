//! Following the change feed.

use pathway_kernel::Code;
use pathway_proto::pathway::datasync::v1 as pb;
use pathway_proto::pathway::types::v1 as types;
use pathway_rpc::from_status;

use crate::service::{Service, event, import, write};

fn watch(after_sequence: i64, origin: Option<types::Origin>) -> pb::WatchChangesRequest {
    pb::WatchChangesRequest { after_sequence, origin: origin.map(i32::from) }
}

#[tokio::test]
async fn a_follower_gets_what_is_there_and_then_what_comes_without_gap_or_repeat() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start(&directory, |config| config.feed.heartbeat_ms = 3_600_000).await;
    write(&service.client, vec![event("a", Some(1), 1), event("b", Some(2), 2)]).await;
    let mut stream = service.client.clone().watch_changes(watch(1, None)).await.unwrap().into_inner();
    let writer = {
        let client = service.client.clone();
        tokio::spawn(async move {
            for offset in 3..40 {
                write(&client, vec![event("a", Some(offset), offset), event("a", Some(offset), offset)])
                    .await;
            }
        })
    };
    let mut seen = Vec::new();
    while seen.last() != Some(&39) {
        let page = stream.message().await.unwrap().unwrap();
        assert_eq!(page.next_sequence, page.changes.last().unwrap().sequence);
        seen.extend(page.changes.iter().map(|change| change.sequence));
    }
    assert_eq!(seen, (2..=39).collect::<Vec<_>>());
    writer.await.unwrap();
    service.stop().await;
    assert!(stream.message().await.unwrap().is_none(), "a stream ends with its service");
}

#[tokio::test]
async fn a_follower_of_history_hears_imports_and_heartbeats_only() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start(&directory, |config| config.feed.heartbeat_ms = 1).await;
    write(&service.client, vec![event("a", Some(1), 1)]).await;
    let history = Some(types::Origin::History);
    let mut stream = service.client.clone().watch_changes(watch(0, history)).await.unwrap().into_inner();
    let heartbeat = stream.message().await.unwrap().unwrap();
    assert_eq!((heartbeat.changes.len(), heartbeat.next_sequence), (0, 1));
    let header = "Date,Description,Amount,Transaction Type,Category,Account Name\n";
    let done = import(&service.client, format!("{header}01-02-2018,A,1.00,debit,B,C\n")).await.unwrap();
    assert_eq!(done.sequence, 2);
    loop {
        let page = stream.message().await.unwrap().unwrap();
        if let [change] = &*page.changes {
            assert_eq!((change.sequence, change.origin()), (2, types::Origin::History));
            break;
        }
        assert!(page.changes.is_empty());
    }
    service.stop().await;
}

#[tokio::test]
async fn a_cursor_beyond_the_feed_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start(&directory, |_| {}).await;
    let mut stream = service.client.clone().watch_changes(watch(5, None)).await.unwrap().into_inner();
    assert_eq!(from_status(stream.message().await.unwrap_err()).reason(), "CURSOR_BEYOND_FEED");
    let list = pb::ListChangesRequest { after_sequence: -1, ..pb::ListChangesRequest::default() };
    let refused = service.client.clone().list_changes(list).await.unwrap_err();
    assert_eq!(from_status(refused).code(), Code::InvalidArgument);
    service.stop().await;
}
