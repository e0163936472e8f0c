//! Splitting and pairing over the API.

use pathway_kernel::Code;
use pathway_proto::google::r#type::{Date, Money};
use pathway_proto::pathway::datasync::v1 as pb;
use pathway_proto::pathway::types::v1 as types;
use pathway_rpc::from_status;

use crate::service::{Service, event, records, write};

fn usd(cents: i64) -> Option<Money> {
    let nanos = i32::try_from(cents % 100).unwrap() * 10_000_000;
    Some(Money { currency_code: "USD".to_owned(), units: cents / 100, nanos })
}

fn part(cents: i64, category: &str) -> pb::SplitPart {
    pb::SplitPart { amount: usd(cents), category: category.to_owned(), description: String::new() }
}

/// A line of an account, written as the event `key`.
fn line(key: &str, account: &str, kind: types::LineKind) -> pb::RecordWrite {
    let mut write = event(key, Some(50_000), 1);
    write.position = None;
    let record = write.record.as_mut().unwrap();
    (record.account, record.kind) = (account.to_owned(), kind.into());
    write
}

#[tokio::test]
async fn g10_a_line_is_split_into_parts_that_sum_to_it() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start(&directory, |_| {}).await;
    write(&service.client, vec![event("a", Some(10_000), 1)]).await;
    let record_id = records(&service.client).await[0].record_id.clone();
    let split =
        |parts| pb::SplitRecordRequest { user_id: "u".to_owned(), record_id: record_id.clone(), parts };
    let mut client = service.client.clone();
    let wrong = client.split_record(split(vec![part(6_000, "x"), part(3_999, "y")])).await.unwrap_err();
    assert_eq!(from_status(wrong).reason(), "PARTS_NOT_THE_SUM");
    let alone = client.split_record(split(vec![part(10_000, "x")])).await.unwrap_err();
    assert_eq!(from_status(alone).code(), Code::InvalidArgument);
    let answer = client.split_record(split(vec![part(6_000, "Eating Out"), part(4_000, "")])).await;
    let answer = answer.unwrap().into_inner();
    assert!(answer.record.unwrap().is_split);
    assert_eq!((answer.parts[0].category.as_str(), &answer.parts[0].split_of), ("eating_out", &record_id));
    assert_eq!((records(&service.client).await.len(), answer.sequence), (3, 4));

    let mut forged = event("x", Some(1), 2);
    forged.record.as_mut().unwrap().identity.as_mut().unwrap().source = "split".to_owned();
    let refused = write(&service.client, vec![forged]).await;
    assert!(matches!(refused[0], pb::write_record_result::Result::Error(_)), "only a split makes parts");
    service.stop().await;
}

#[tokio::test]
async fn g09_a_transfer_is_paired_and_taken_apart() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start(&directory, |_| {}).await;
    let (expense, income) = (types::LineKind::Expense, types::LineKind::Income);
    write(&service.client, vec![line("a", "checking", expense), line("b", "savings", income)]).await;
    let mut client = service.client.clone();
    let day = |day| Some(Date { year: 2026, month: 11, day });
    let request = pb::PairTransfersRequest { user_id: "u".to_owned(), start: day(1), end: day(30) };
    let answer = client.pair_transfers(request.clone()).await.unwrap().into_inner();
    let pair = answer.pairs[0].clone();
    let (from, to) = (pair.from.unwrap(), pair.to.unwrap());
    assert_eq!((from.account.as_str(), to.account.as_str(), answer.ties.len()), ("checking", "savings", 0));
    assert_eq!((&from.paired_with, &to.paired_with), (&to.record_id, &from.record_id));
    let unpair = pb::UnpairRecordRequest { user_id: "u".to_owned(), record_id: from.record_id.clone() };
    let apart = client.unpair_record(unpair.clone()).await.unwrap().into_inner();
    assert!(apart.records.iter().all(|record| record.paired_with.is_empty()));
    let twice = client.unpair_record(unpair).await.unwrap_err();
    assert_eq!(from_status(twice).reason(), "RECORD_NOT_PAIRED");
    let pair = pb::PairRecordsRequest {
        user_id: "u".to_owned(),
        record_id: to.record_id,
        other_record_id: from.record_id,
    };
    let paired = client.pair_records(pair).await.unwrap().into_inner().pair.unwrap();
    assert_eq!(paired.from.unwrap().account, "checking");
    let long = pb::PairTransfersRequest { end: Some(Date { year: 2028, month: 1, day: 1 }), ..request };
    assert_eq!(from_status(client.pair_transfers(long).await.unwrap_err()).code(), Code::InvalidArgument);
    service.stop().await;
}
