//! A client and a server of the mesh over the in-memory transport and over a socket.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pathway_kernel::{Code, Fault, Rng, Violation};
use pathway_proto::pathway::notifications::v1::notifications_service_client::NotificationsServiceClient;
use pathway_proto::pathway::notifications::v1::notifications_service_server::{
    NotificationsService, NotificationsServiceServer,
};
use pathway_proto::pathway::notifications::v1::{
    ArchiveNoticesRequest, ArchiveNoticesResponse, ListNoticesRequest, ListNoticesResponse,
    MarkAllReadRequest, MarkAllReadResponse, MarkNoticesRequest, MarkNoticesResponse, SendNoticesRequest,
    SendNoticesResponse, WatchNoticesRequest, WatchNoticesResponse, WatchNotificationsRequest,
    WatchNotificationsResponse,
};
use pathway_rpc::{
    Channel, ChannelConfig, Listener, Routes, Server, ServerConfig, Target, from_status, memory, status,
};
use pathway_telemetry::Telemetry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status};
use tower::Service as _;

/// Lists nothing after a moment, refuses to send, streams for ever.
#[derive(Debug, Clone)]
struct Peer;

#[tonic::async_trait]
impl NotificationsService for Peer {
    type WatchNotificationsStream =
        Pin<Box<dyn Stream<Item = Result<WatchNotificationsResponse, Status>> + Send>>;
    type WatchNoticesStream = Pin<Box<dyn Stream<Item = Result<WatchNoticesResponse, Status>> + Send>>;

    async fn send_notices(
        &self,
        _: Request<SendNoticesRequest>,
    ) -> Result<Response<SendNoticesResponse>, Status> {
        let violations = vec![Violation::new("a", "is missing"), Violation::new("b", "is odd")];
        Err(status(Fault::invalid(violations)))
    }

    async fn list_notices(
        &self,
        _: Request<ListNoticesRequest>,
    ) -> Result<Response<ListNoticesResponse>, Status> {
        Ok(Response::new(ListNoticesResponse { unread: 7, ..ListNoticesResponse::default() }))
    }

    async fn mark_notices(
        &self,
        _: Request<MarkNoticesRequest>,
    ) -> Result<Response<MarkNoticesResponse>, Status> {
        std::future::pending().await
    }

    async fn mark_all_read(
        &self,
        _: Request<MarkAllReadRequest>,
    ) -> Result<Response<MarkAllReadResponse>, Status> {
        Err(status(Fault::internal("secret")))
    }

    async fn watch_notices(
        &self,
        _: Request<WatchNoticesRequest>,
    ) -> Result<Response<Self::WatchNoticesStream>, Status> {
        let first = tokio_stream::once(Ok(WatchNoticesResponse::default()));
        Ok(Response::new(Box::pin(first.chain(tokio_stream::pending()))))
    }

    async fn archive_notices(
        &self,
        _: Request<ArchiveNoticesRequest>,
    ) -> Result<Response<ArchiveNoticesResponse>, Status> {
        Err(status(Fault::internal("secret")))
    }

    async fn watch_notifications(
        &self,
        _: Request<WatchNotificationsRequest>,
    ) -> Result<Response<Self::WatchNotificationsStream>, Status> {
        Err(status(Fault::internal("secret")))
    }
}

fn routes() -> Routes {
    Routes::default().add(NotificationsServiceServer::new(Peer))
}

fn serve(listener: Listener) -> (oneshot::Sender<()>, tokio::task::JoinHandle<Result<(), Fault>>) {
    let (stop, stopped) = oneshot::channel();
    let server = Server::new(ServerConfig::default(), routes());
    let shutdown = async {
        let _ = stopped.await;
    };
    (stop, tokio::spawn(server.serve(listener, shutdown)))
}

fn client(target: Target) -> NotificationsServiceClient<Channel> {
    NotificationsServiceClient::new(Channel::new("peer", target, ChannelConfig::default()))
}

#[tokio::test(start_paused = true)]
async fn calls_answers_refusals_and_streams_cross_the_pipe() {
    let (connector, listener) = memory();
    let (stop, server) = serve(listener);
    let mut client = client(Target::Memory(connector));

    assert_eq!(client.list_notices(ListNoticesRequest::default()).await.unwrap().into_inner().unread, 7);

    let refused = from_status(client.send_notices(SendNoticesRequest::default()).await.unwrap_err());
    assert_eq!((refused.code(), refused.violations().len()), (Code::InvalidArgument, 2));

    let defect = from_status(client.mark_all_read(MarkAllReadRequest::default()).await.unwrap_err());
    assert_eq!(defect.code(), Code::Internal);
    assert!(!defect.message().contains("secret"));

    let mut stream = client.watch_notices(WatchNoticesRequest::default()).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());

    // The stream stays open; the drain's time ends it.
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_answered_as_such() {
    let (connector, listener) = memory();
    let (_stop, _server) = serve(listener);
    let mut request = Request::new(MarkNoticesRequest::default());
    request.set_timeout(Duration::from_secs(2));
    let late = from_status(client(Target::Memory(connector)).mark_notices(request).await.unwrap_err());
    assert_eq!(late.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_peer_that_is_gone_is_unavailable_and_comes_back() {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = client(Target::parse(&format!("http://{address}")).unwrap());
    let (stop, server) = serve(listener);
    client.list_notices(ListNoticesRequest::default()).await.unwrap();
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();

    let gone = from_status(client.list_notices(ListNoticesRequest::default()).await.unwrap_err());
    assert_eq!(gone.code(), Code::Unavailable);

    let (_stop, _server) = serve(Listener::bind(address).await.unwrap());
    client.list_notices(ListNoticesRequest::default()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_is_replaced_and_its_streams_go_on_for_the_grace() {
    let ((connector, mut asked), (mut on, listener)) = (memory(), memory());
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    tokio::spawn(async move {
        while let Some(mut theirs) = asked.next_pipe().await {
            count.fetch_add(1, Ordering::SeqCst);
            let mut ours = on.call("http://memory".parse().unwrap()).await.unwrap().into_inner();
            tokio::spawn(async move { copy_bidirectional(&mut theirs, &mut ours).await });
        }
    });
    let (age, grace) = (Duration::from_secs(60), Duration::from_secs(300));
    let config = ServerConfig {
        connection_age: Some(age),
        connection_grace: Some(grace),
        rng: Rng::seeded(1),
        ..ServerConfig::default()
    };
    tokio::spawn(Server::new(config, routes()).serve(listener, std::future::pending()));
    let mut client = client(Target::Memory(connector));

    let mut stream = client.watch_notices(WatchNoticesRequest::default()).await.unwrap().into_inner();
    stream.message().await.unwrap().unwrap();
    for (after, connections) in [(0, 1), (53, 1), (14, 2), (67, 3)] {
        tokio::time::sleep(Duration::from_secs(after)).await;
        client.list_notices(ListNoticesRequest::default()).await.unwrap();
        assert_eq!(made.load(Ordering::SeqCst), connections, "{after} s later");
    }
    let begun = Instant::now();
    stream.message().await.unwrap_err();
    let left = begun.elapsed().as_secs();
    assert!((220..=233).contains(&left), "cut {left} s later: an age and the grace after it was opened");
}

/// What a server answers to a plain HTTP/1.1 request.
async fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut socket = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn calls_are_measured_on_both_ends_by_how_they_ended() {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (ours, theirs) = (Telemetry::scraped("caller").unwrap(), Telemetry::scraped("peer").unwrap());
    let config = ServerConfig { telemetry: theirs, ..ServerConfig::default() };
    tokio::spawn(Server::new(config, routes()).serve(listener, std::future::pending()));
    let target = Target::parse(&format!("http://{address}")).unwrap();
    let config = ChannelConfig { telemetry: ours.clone(), ..ChannelConfig::default() };
    let mut client = NotificationsServiceClient::new(Channel::new("peer", target, config));

    client.list_notices(ListNoticesRequest::default()).await.unwrap();
    client.send_notices(SendNoticesRequest::default()).await.unwrap_err();
    let mut stream = client.watch_notices(WatchNoticesRequest::default()).await.unwrap().into_inner();
    stream.message().await.unwrap().unwrap();

    let text = get(address, "/metrics").await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200") && text.contains("text/plain; version=0.0.4"), "{text}");
    let line =
        |text: &str, parts: &[&str]| text.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    let ok = ["rpc_server_call_duration_seconds_count", "ListNotices", r#"status_code="OK""#, "} 1"];
    assert!(line(&text, &ok) && line(&text, &[r#"service_name="peer""#]), "{text}");
    let refused = r#"error_type="INVALID_ARGUMENT""#;
    assert!(line(&text, &["rpc_server_call_duration_seconds_count", "SendNotices", refused]), "{text}");
    assert!(line(&text, &["pathway_rpc_server_streams", "WatchNotices", "} 1"]), "{text}");
    let ended = ["rpc_server_call_duration_seconds_count", "WatchNotices"];
    assert!(!line(&text, &ended), "a stream that is open has not ended: {text}");

    drop(stream);
    let text = ours.exposition().unwrap();
    let cancelled = [r#"status_code="CANCELLED""#, "WatchNotices", r#"server_address="127.0.0.1""#];
    assert!(line(&text, &cancelled), "{text}");
    assert!(line(&text, &["rpc_client_call_duration_seconds_count", "SendNotices", refused]), "{text}");
    let elsewhere = get(address, "/elsewhere").await.unwrap();
    assert!(elsewhere.starts_with("HTTP/1.1 400"), "{elsewhere}");
}

#[test]
fn a_server_must_be_named_in_full() {
    for wrong in ["", "localhost", "https://x:1/path", "ftp://x"] {
        assert!(Target::parse(wrong).is_err(), "{wrong}");
    }
}
