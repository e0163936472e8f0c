//! Writing and listing records.

use pathway_kernel::Code;
use pathway_proto::pathway::datasync::v1 as pb;
use pathway_rpc::{from_item_status, from_status};
use pb::write_record_result::Result as Item;

use crate::service::{Service, event, records, write};

fn outcome(item: &Item) -> &pb::WriteOutcome {
    match item {
        Item::Outcome(outcome) => outcome,
        Item::Error(error) => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn a_poison_item_fails_alone_with_every_violation() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start(&directory, |_| {}).await;
    let mut poison = event("bad\0", Some(100), 2);
    let record = poison.record.as_mut().unwrap();
    record.amount.as_mut().unwrap().currency_code = "ZZZ".to_owned();
    record.date = None;
    let results = write(
        &service.client,
        vec![event("a", Some(100), 1), poison, pb::RecordWrite::default(), event("b", Some(5), 3)],
    )
    .await;
    let faults: Vec<_> = results
        .iter()
        .filter_map(|item| match item {
            Item::Error(status) => Some(from_item_status(status.clone())),
            Item::Outcome(_) => None,
        })
        .collect();
    let fields: Vec<&str> = faults[0].violations().iter().map(|violation| &*violation.field).collect();
    assert_eq!(fields, ["record.identity.key", "record.amount", "record.date"]);
    assert_eq!((faults.len(), faults[1].code()), (2, Code::InvalidArgument));
    let stored = [&results[0], &results[3]].map(|item| outcome(item).change.as_ref().unwrap().sequence);
    assert_eq!(stored, [1, 2]);
    assert_eq!(outcome(&results[0]).record.as_ref().unwrap().category, "dining");
    service.stop().await;
}

#[tokio::test]
async fn a_redelivered_batch_is_answered_as_it_was_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start(&directory, |_| {}).await;
    let batch = || {
        vec![
            event("never", None, 1),
            event("a", Some(7999), 2),
            event("a", Some(8000), 3),
            event("a", Some(8000), 4),
            event("a", None, 5),
        ]
    };
    let first = write(&service.client, batch()).await;
    assert_eq!(outcome(&first[0]), &pb::WriteOutcome::default());
    assert!(outcome(&first[3]).change.is_none() && outcome(&first[3]).record.is_some());
    let gone = outcome(&first[4]).change.as_ref().unwrap();
    assert!(gone.after.as_ref().unwrap().deleted && gone.after.as_ref().unwrap().amount.is_some());
    service.stop().await;

    let service = Service::start(&directory, |_| {}).await;
    let again = write(&service.client, batch()).await;
    for index in [0, 1, 2, 4] {
        assert_eq!(again[index], first[index], "{index}");
    }
    assert!(outcome(&again[3]).change.is_none());
    assert!(records(&service.client).await.is_empty());
    let record_id = gone.after.as_ref().unwrap().record_id.clone();
    let versions = pb::ListRecordVersionsRequest { user_id: "u".to_owned(), record_id, ..Default::default() };
    let changes =
        service.client.clone().list_record_versions(versions.clone()).await.unwrap().into_inner().changes;
    assert_eq!(
        changes.iter().map(|change| change.after.as_ref().unwrap().version).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    let page = pb::ListRecordVersionsRequest { page_size: 2, ..versions.clone() };
    let first = service.client.clone().list_record_versions(page.clone()).await.unwrap().into_inner();
    assert_eq!(first.changes, changes[..2]);
    let next = pb::ListRecordVersionsRequest { page_token: first.next_page_token, ..page };
    let second = service.client.clone().list_record_versions(next.clone()).await.unwrap().into_inner();
    assert_eq!((second.changes.as_slice(), second.next_page_token.as_str()), (&changes[2..], ""));
    let elsewhere = pb::ListRecordVersionsRequest { record_id: "x".to_owned(), ..next };
    let refused = from_status(service.client.clone().list_record_versions(elsewhere).await.unwrap_err());
    assert_eq!(refused.violations()[0].field, "page_token");
    let stranger = pb::ListRecordVersionsRequest { user_id: "other".to_owned(), ..versions };
    let refused = service.client.clone().list_record_versions(stranger).await.unwrap_err();
    assert_eq!(from_status(refused).code(), Code::NotFound);
    service.stop().await;
}

#[tokio::test]
async fn a_page_token_belongs_to_its_listing() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start(&directory, |_| {}).await;
    let batch = (0..20).map(|n| event(&format!("k{n}"), Some(100 + n), n)).collect();
    write(&service.client, batch).await;
    assert_eq!(records(&service.client).await.len(), 20);
    let page =
        pb::ListRecordsRequest { user_id: "u".to_owned(), page_size: 1, ..pb::ListRecordsRequest::default() };
    let token = service.client.clone().list_records(page.clone()).await.unwrap().into_inner().next_page_token;
    for foreign in [
        pb::ListRecordsRequest { user_id: "other".to_owned(), page_token: token.clone(), ..page.clone() },
        pb::ListRecordsRequest { show_deleted: true, page_token: token.clone(), ..page.clone() },
        pb::ListRecordsRequest { page_token: "x".to_owned(), ..page.clone() },
        pb::ListRecordsRequest { page_size: -1, ..page.clone() },
        pb::ListRecordsRequest { user_id: String::new(), ..page.clone() },
    ] {
        let refused = from_status(service.client.clone().list_records(foreign).await.unwrap_err());
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    service.stop().await;
}
