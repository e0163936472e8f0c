//! What callers see.

use api::send_notice_result::Result as Item;
use pathway_kernel::Code;
use pathway_proto::pathway::notifications::v1 as api;
use pathway_proto::pathway::types::v1::Notice;
use pathway_rpc::{from_item_status, from_status};

use crate::service::{Service, list, reminder, send};

#[tokio::test]
async fn two_copies_in_one_process_know_nothing_of_each_other() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let one = Service::start(&directories[0], |_| ()).await;
    let two = Service::start(&directories[1], |_| ()).await;
    send(&one.client, vec![reminder("u", "a")]).await;
    assert_eq!(list(&one.client, "u").await.unread, 1);
    assert_eq!(list(&two.client, "u").await.unread, 0);
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_bad_notice_is_refused_alone_with_every_violation() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start(&directory, |_| ()).await;
    let bad = Notice { r#type: "Budget Warning".to_owned(), title: "\0".to_owned(), ..Notice::default() };
    let results = send(&service.client, vec![bad, reminder("u", "a")]).await;
    let [Item::Error(bad), Item::Outcome(good)] = <[Item; 2]>::try_from(results).unwrap() else {
        panic!("the bad one is refused, the good one is stored")
    };
    let fault = from_item_status(bad);
    let fields: Vec<&str> = fault.violations().iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["user_id", "dedup_key", "type", "title"]);
    assert_eq!((good.sequence, good.duplicate), (1, false));
    let stored = list(&service.client, "u").await.notices.remove(0);
    assert_eq!(stored.notice.unwrap().title, "Reminder", "the type's title");
    assert_eq!(stored.created_at_us, 1_790_000_000_000_000);
    service.stop().await;
}

#[tokio::test]
async fn a_feed_comes_in_pages() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start(&directory, |_| ()).await;
    send(&service.client, (0..5).map(|n| reminder("u", &n.to_string())).collect()).await;
    let mut request = api::ListNoticesRequest {
        user_id: "u".to_owned(),
        page_size: 2,
        ..api::ListNoticesRequest::default()
    };
    let mut pages = Vec::new();
    loop {
        let page = service.client.clone().list_notices(request.clone()).await.unwrap().into_inner();
        assert_eq!(page.unread, 5, "of all, not of the page");
        pages.push(page.notices.iter().map(|notice| notice.sequence).collect::<Vec<_>>());
        if page.next_after_sequence == 0 {
            break;
        }
        request.after_sequence = page.next_after_sequence;
    }
    assert_eq!(pages, [vec![1, 2], vec![3, 4], vec![5]]);
    request.page_size = -1;
    request.user_id.clear();
    let fault = from_status(service.client.clone().list_notices(request).await.unwrap_err());
    let fields: Vec<&str> = fault.violations().iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["user_id", "page_size"]);
    service.stop().await;
}

#[tokio::test]
async fn nobody_reads_or_marks_what_is_anothers() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start(&directory, |_| ()).await;
    send(&service.client, vec![reminder("u", "a")]).await;
    let id = list(&service.client, "u").await.notices[0].id.clone();
    assert!(list(&service.client, "thief").await.notices.is_empty());
    let request = api::MarkNoticesRequest {
        user_id: "thief".to_owned(),
        ids: vec![id, "no id".to_owned()],
        read: true,
    };
    let marked = service.client.clone().mark_notices(request).await.unwrap().into_inner();
    for status in marked.results {
        assert_eq!(from_item_status(status).code(), Code::NotFound);
    }
    assert_eq!(list(&service.client, "u").await.unread, 1);
    service.stop().await;
}
