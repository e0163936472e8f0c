//! How a process ends that is in the middle of a call, or has not begun yet.

use std::net::TcpListener;

use bytes::Bytes;
use pathway_proto::pathway::datasync::v1::ListRecordsRequest;
use pathway_testkit::Raw;
use prost::Message as _;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::process::Process;

/// A process with a call that waits for the rest of its request.
struct Busy {
    process: Process,
    /// Sends the rest.
    finish: oneshot::Sender<()>,
    call: JoinHandle<Result<(), Status>>,
    health: HealthClient<tonic::transport::Channel>,
}

// === impl Busy ===

impl Busy {
    async fn start() -> Self {
        let process = Process::start(&[]);
        let address = process.ready("address");
        let channel = Endpoint::try_from(format!("http://{address}")).unwrap().connect().await.unwrap();
        let (finish, finished) = oneshot::channel::<()>();
        let (begun, is_begun) = oneshot::channel::<()>();
        let mut client = tonic::client::Grpc::new(channel.clone());
        let call = tokio::spawn(async move {
            client.ready().await.map_err(|error| Status::from_error(error.into()))?;
            let request = ListRecordsRequest { user_id: "asha".to_owned(), ..ListRecordsRequest::default() };
            let rest = async move {
                let _ = begun.send(());
                let _ = finished.await;
                Bytes::from(request.encode_to_vec())
            };
            let messages = futures_util::stream::once(rest);
            let path = "/pathway.datasync.v1.DatasyncService/ListRecords".parse().unwrap();
            client.client_streaming(Request::new(messages), path, Raw).await.map(drop)
        });
        is_begun.await.unwrap();
        let mut health = HealthClient::new(channel);
        // An answer on the same connection says that what was sent before it has arrived.
        health.check(HealthCheckRequest::default()).await.unwrap();
        Self { process, finish, call, health }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_under_way_is_answered_while_new_ones_are_turned_away() {
    let mut busy = Busy::start().await;
    let watch = busy.health.watch(HealthCheckRequest::default()).await.unwrap();
    let mut watched = watch.into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().status, 1, "SERVING");
    busy.process.signal();
    assert_eq!(watched.message().await.unwrap().unwrap().status, 2, "NOT_SERVING comes first");
    assert!(watched.message().await.unwrap().is_none(), "who watches keeps nothing from ending");
    // Whoever asks while it drains, on a connection from before, is told the same.
    let now = busy.health.check(HealthCheckRequest::default()).await;
    assert!(now.is_err() || now.unwrap().into_inner().status == 2);
    busy.process.said("\"draining\"");
    busy.finish.send(()).unwrap();
    busy.call.await.unwrap().unwrap();
    assert_eq!(busy.process.ended(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_does_not_end_is_given_up_after_the_drain() {
    let mut busy = Busy::start().await;
    busy.process.signal();
    assert_eq!(busy.process.ended(), Some(0));
    let cut = busy.call.await.unwrap().unwrap_err();
    assert!(matches!(cut.code(), Code::Unavailable | Code::Unknown | Code::Cancelled), "{cut}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_a_process_at_once() {
    let mut busy = Busy::start().await;
    busy.process.signal();
    busy.process.said("\"draining\"");
    busy.process.signal();
    assert_eq!(busy.process.ended(), Some(130), "not 0, as after a drain");
}

/// The store accepts the connection and says nothing: the process cannot be ready, and must end all the same.
#[test]
fn a_process_that_waits_for_its_store_ends_when_it_is_told_to() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://pathway@{}/pathway", silent.local_addr().unwrap());
    let environment =
        [("PATHWAY_DATASYNC__STORE__KIND", "postgres"), ("PATHWAY_DATASYNC__STORE__URL", url.as_str())];
    let mut process = Process::start(&environment);
    let (_connection, _) = silent.accept().unwrap();
    process.signal();
    assert_eq!(process.ended(), Some(0));
}
