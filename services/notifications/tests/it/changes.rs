//! The feed of changes: many devices, one truth.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use pathway_kernel::Code;
use pathway_proto::pathway::notifications::v1 as api;
use pathway_proto::pathway::types::v1::{Notice, NoticeAction};
use pathway_rpc::from_status;
use tonic::Streaming;

use crate::service::{Client, Service, eventually, list, reminder, send};

/// A device: what it knows of a user's feed, from changes alone.
struct Device {
    stream: Streaming<api::WatchNotificationsResponse>,
    notices: BTreeMap<String, api::StoredNotice>,
    change: i64,
    unread: i64,
}

// === impl Device ===

impl Device {
    async fn join(client: &Client, after_change: i64) -> Self {
        let request = api::WatchNotificationsRequest { user_id: "u".to_owned(), after_change };
        let stream = client.clone().watch_notifications(request).await.unwrap().into_inner();
        Self { stream, notices: BTreeMap::new(), change: after_change, unread: 0 }
    }

    async fn next(&mut self) {
        let update = self.stream.next().await.unwrap().unwrap();
        assert!(update.change >= self.change, "the sequence only grows");
        (self.change, self.unread) = (update.change, update.unread);
        for change in update.changes {
            let notice = change.notice.unwrap();
            self.notices.insert(notice.id.clone(), notice);
        }
    }

    /// Takes changes until it has come to one.
    async fn reach(&mut self, change: i64) {
        while self.change < change {
            self.next().await;
        }
    }
}

fn about(key: &str) -> Notice {
    Notice { about: "budget".to_owned(), ..reminder("u", key) }
}

async fn mark(client: &Client, id: &str, read: bool) {
    let request = api::MarkNoticesRequest { user_id: "u".to_owned(), ids: vec![id.to_owned()], read };
    client.clone().mark_notices(request).await.unwrap();
}

#[tokio::test]
async fn devices_that_come_and_go_agree_with_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start(&directory, |_| ()).await;
    let client = &service.client;
    let mut always = Device::join(client, 0).await;
    // More than a stream reads at once.
    send(client, (0..300).map(|n| reminder("u", &n.to_string())).collect()).await;
    let mut leaves = Device::join(client, 0).await;
    leaves.reach(300).await;
    let (change, notices) = (leaves.change, leaves.notices);
    drop(leaves.stream);

    let ids: Vec<String> = list(client, "u").await.notices.into_iter().map(|notice| notice.id).collect();
    mark(client, &ids[0], true).await;
    mark(client, &ids[0], false).await;
    mark(client, &ids[1], true).await;
    let archive =
        api::ArchiveNoticesRequest { user_id: "u".to_owned(), ids: vec![ids[2].clone()], archived: true };
    assert_eq!(client.clone().archive_notices(archive).await.unwrap().into_inner().unread, 298);
    send(client, vec![about("a")]).await;
    send(client, vec![about("b")]).await;
    let resolve = Notice { action: NoticeAction::Resolve.into(), ..about("over") };
    send(client, vec![resolve]).await;
    let all = api::MarkAllReadRequest { user_id: "u".to_owned(), up_to_sequence: 10, ..Default::default() };
    client.clone().mark_all_read(all).await.unwrap();

    let listing = api::ListNoticesRequest {
        user_id: "u".to_owned(),
        page_size: 1000,
        include_all: true,
        ..Default::default()
    };
    let truth = client.clone().list_notices(listing).await.unwrap().into_inner();
    let mut returns = Device { notices, ..Device::join(client, change).await };
    let mut late = Device::join(client, 0).await;
    for device in [&mut always, &mut returns, &mut late] {
        device.reach(truth.change).await;
        assert_eq!(device.unread, truth.unread);
        let mut known: Vec<_> = device.notices.values().cloned().collect();
        known.sort_by_key(|notice| notice.sequence);
        assert_eq!(known, truth.notices);
    }
    service.stop().await;
    assert!(always.stream.next().await.is_none(), "a drain ends the stream");
}

#[tokio::test]
async fn a_change_that_never_was_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start(&directory, |_| ()).await;
    send(&service.client, vec![reminder("u", "a")]).await;
    let request = api::WatchNotificationsRequest { user_id: "u".to_owned(), after_change: 2 };
    let refused = service.client.clone().watch_notifications(request).await.unwrap_err();
    assert_eq!(from_status(refused).code(), Code::OutOfRange);
    service.stop().await;
}

#[tokio::test]
async fn a_silent_feed_gets_heartbeats_with_the_unread_count() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start(&directory, |config| config.watch.heartbeat_seconds = 1).await;
    send(&service.client, vec![reminder("u", "a")]).await;
    let mut device = Device::join(&service.client, 1).await;
    device.next().await;
    assert_eq!((device.change, device.unread, device.notices.len()), (1, 1, 0));
    service.stop().await;
}

#[tokio::test]
async fn who_resumes_before_what_is_kept_is_told_to_list_anew() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start(&directory, |_| ()).await;
    send(&service.client, (0..10).map(|n| reminder("u", &n.to_string())).collect()).await;
    let all = api::MarkAllReadRequest { user_id: "u".to_owned(), ..Default::default() };
    service.client.clone().mark_all_read(all).await.unwrap();
    service.stop().await;

    // What is kept no longer goes at the start.
    let service = Service::start(&directory, |config| config.retention.keep_per_user = 3).await;
    let kept = eventually(async || {
        let page = list(&service.client, "u").await;
        (page.notices.len() == 3).then_some(page)
    })
    .await;
    let mut client = service.client.clone();
    let request = api::WatchNotificationsRequest { user_id: "u".to_owned(), after_change: 12 };
    let refused = from_status(client.watch_notifications(request).await.unwrap_err());
    assert_eq!((refused.code(), refused.reason()), (Code::OutOfRange, "CHANGE_GONE"));
    let request = api::WatchNoticesRequest { user_id: "u".to_owned(), after_sequence: 2 };
    let mut notices = client.watch_notices(request).await.unwrap().into_inner();
    assert_eq!(from_status(notices.next().await.unwrap().unwrap_err()).reason(), "CHANGE_GONE");
    send(&service.client, vec![reminder("u", "new")]).await;
    for after_change in [0, kept.change] {
        let mut device = Device::join(&service.client, after_change).await;
        device.reach(kept.change + 1).await;
        assert_eq!(device.notices.len(), if after_change == 0 { 4 } else { 1 });
    }
    service.stop().await;
}
