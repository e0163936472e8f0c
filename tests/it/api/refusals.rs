//! What is refused before any handler is asked: it carries the same details.

use pathway_rpc::{MAX_MESSAGE_BYTES, from_status};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::services::Services;

const LIST: &str = "/pathway.datasync.v1.DatasyncService/ListRecords";
const SEND: &str = "/pathway.notifications.v1.NotificationsService/SendNotices";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_never_reaches_a_handler_has_its_details_too() {
    let services = Services::start().await;
    let refused = |path: &'static str, message: Vec<u8>| {
        let services = &services;
        async move {
            let status = services.call(path, message).await.unwrap_err();
            assert!(status.get_error_details().request_info().is_some(), "{status}");
            (status.code(), from_status(status))
        }
    };

    let (code, fault) = refused("/pathway.datasync.v1.DatasyncService/Nothing", Vec::new()).await;
    assert_eq!((code, fault.reason()), (Code::Unimplemented, "UNKNOWN_METHOD"));
    let (code, fault) = refused("/nobody.v1.NobodyService/Nothing", Vec::new()).await;
    assert_eq!((code, fault.reason()), (Code::Unimplemented, "UNKNOWN_METHOD"));

    let (code, fault) = refused(LIST, vec![0xff; 3]).await;
    assert_eq!((code, fault.reason()), (Code::InvalidArgument, "UNDECODABLE_REQUEST"));
    // Field 1 of item 1 is no UTF-8: `notices.user_id`.
    let (code, fault) = refused(SEND, vec![0x0a, 0x04, 0x0a, 0x02, 0xff, 0xff]).await;
    assert_eq!((code, fault.reason()), (Code::InvalidArgument, "UNDECODABLE_REQUEST"));
    assert_eq!(fault.violations()[0].field, "notices.user_id");

    let (code, fault) = refused(SEND, vec![0; MAX_MESSAGE_BYTES + 1]).await;
    assert_eq!((code, fault.reason()), (Code::ResourceExhausted, "REQUEST_TOO_LARGE"));
    assert!(fault.message().contains(&MAX_MESSAGE_BYTES.to_string()), "{fault}");
    services.stop().await;
}

#[test]
fn an_id_of_a_defect_is_in_its_status() {
    let status: Status = pathway_rpc::status(pathway_kernel::Fault::internal("secret"));
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "INTERNAL");
    assert_eq!(details.request_info().unwrap().request_id.len(), 32);
}
