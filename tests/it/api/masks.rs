//! Answers of which only a part is wanted.

use pathway_kernel::Code;
use pathway_proto::google::r#type::{Date, Money};
use pathway_proto::pathway::datasync::v1 as datasync;
use pathway_proto::pathway::types::v1::{Record, RecordIdentity};
use pathway_rpc::from_status;
use prost_reflect::prost::Message as _;
use prost_reflect::prost_types::FieldMask;

use super::services::Services;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mask_leaves_out_what_nobody_asked_for() {
    let services = Services::start().await;
    let identity = RecordIdentity { source: "csv".to_owned(), account: String::new(), key: "k".to_owned() };
    let record = Record {
        user_id: "u".to_owned(),
        identity: Some(identity),
        amount: Some(Money { currency_code: "USD".to_owned(), units: 5, nanos: 0 }),
        date: Some(Date { year: 2026, month: 11, day: 3 }),
        ..Record::default()
    };
    let write = datasync::RecordWrite { record: Some(record), ..Default::default() };
    let write = datasync::WriteRecordsRequest { writes: vec![write] };
    services.call("/pathway.datasync.v1.DatasyncService/WriteRecords", write.encode_to_vec()).await.unwrap();

    let list = |paths: &[&str]| {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        let message = datasync::ListRecordsRequest {
            user_id: "u".to_owned(),
            read_mask: Some(FieldMask { paths }),
            ..Default::default()
        };
        let services = &services;
        async move {
            services.call("/pathway.datasync.v1.DatasyncService/ListRecords", message.encode_to_vec()).await
        }
    };
    let answer = list(&["record_id", "identity.key"]).await.unwrap();
    let records = datasync::ListRecordsResponse::decode(&*answer).unwrap().records;
    let identity = records[0].identity.clone().unwrap();
    assert!(!records[0].record_id.is_empty());
    assert_eq!((identity.key.as_str(), identity.source.as_str()), ("k", ""));
    assert_eq!((records[0].user_id.as_str(), &records[0].amount), ("", &None));

    let refused = from_status(list(&["record_id", "colour"]).await.unwrap_err());
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.violations()[0].field, "read_mask.paths[1]");
    services.stop().await;
}
