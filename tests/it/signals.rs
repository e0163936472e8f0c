//! How a process ends that is in the middle of a call.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use pathway_proto::pathway::datasync::v1::ListRecordsRequest;
use pathway_testkit::eventually;
use prost::Message as _;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::raw::Raw;

/// A process with a call that waits for the rest of its request.
struct Busy {
    child: Child,
    /// Sends the rest.
    finish: oneshot::Sender<()>,
    call: JoinHandle<Result<(), Status>>,
    health: HealthClient<tonic::transport::Channel>,
    directory: TempDir,
}

// === impl Busy ===

impl Busy {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let here = std::env::current_exe().unwrap();
        let binary = here.parent().and_then(Path::parent).unwrap().join("pathway-datasync");
        let log = directory.path().join("log");
        let child = Command::new(binary)
            .arg("--data-dir")
            .arg(directory.path())
            .args(["--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let address = said(&directory, "\"ready\"")
            .split("\"address\":\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .to_owned();
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
        Self { child, finish, call, health, directory }
    }

    fn signal(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

/// The first line of the log that has this.
fn said(directory: &TempDir, text: &str) -> String {
    eventually(text, || {
        let log = std::fs::read_to_string(directory.path().join("log")).ok()?;
        log.lines().find(|line| line.contains(text)).map(str::to_owned)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_under_way_is_answered_while_new_ones_are_turned_away() {
    let mut busy = Busy::start().await;
    let watch = busy.health.watch(HealthCheckRequest::default()).await.unwrap();
    let mut watched = watch.into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().status, 1, "SERVING");
    busy.signal();
    assert_eq!(watched.message().await.unwrap().unwrap().status, 2, "NOT_SERVING comes first");
    drop(watched);
    said(&busy.directory, "\"draining\"");
    busy.finish.send(()).unwrap();
    busy.call.await.unwrap().unwrap();
    assert_eq!(busy.child.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_does_not_end_is_given_up_after_the_drain() {
    let mut busy = Busy::start().await;
    busy.signal();
    assert_eq!(busy.child.wait().unwrap().code(), Some(0));
    let cut = busy.call.await.unwrap().unwrap_err();
    assert!(matches!(cut.code(), Code::Unavailable | Code::Unknown | Code::Cancelled), "{cut}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_a_process_at_once() {
    let mut busy = Busy::start().await;
    busy.signal();
    said(&busy.directory, "\"draining\"");
    busy.signal();
    assert_eq!(busy.child.wait().unwrap().code(), Some(130), "not 0, as after a drain");
}
