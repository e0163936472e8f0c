//! Browsers: gRPC-Web over HTTP/1, and the questions that a browser asks before.

use std::time::Duration;

use pathway_analytics::Analytics;
use pathway_notifications::Notifications;
use pathway_proto::pathway::analytics::v1 as analytics;
use pathway_proto::pathway::notifications::v1 as notifications;
use pathway_rpc::Target;
use pathway_runtime::Env;
use pathway_testkit::Running;
use prost_reflect::prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const LIST: &str = "/pathway.notifications.v1.NotificationsService/ListNotices";
const AWAIT: &str = "/pathway.analytics.v1.AnalyticsService/AwaitChanges";
const PAGE: &str = "https://app.example";

/// An answer of HTTP/1.
struct Answer {
    head: String,
    body: Vec<u8>,
}

#[tokio::test]
async fn a_browser_lists_and_is_refused_over_http_1() {
    let directory = tempfile::tempdir().unwrap();
    let change = |config: &mut pathway_notifications::Config| {
        config.data_dir = directory.path().to_owned();
        config.cors_origins = vec![PAGE.to_owned()];
    };
    let service = Running::bind::<Notifications>(change, Env::system()).await;
    let address = address(&service);

    let question = |origin: &str| {
        format!(
            "OPTIONS {LIST} HTTP/1.1\r\norigin: {origin}\r\naccess-control-request-method: POST\r\naccess-control-request-headers: content-type,x-grpc-web,grpc-timeout\r\n"
        )
    };
    let allowed = ask(&address, &question(PAGE), b"").await;
    assert!(allowed.head.starts_with("HTTP/1.1 200"), "{}", allowed.head);
    assert_eq!(allowed.header("access-control-allow-origin"), Some(PAGE));
    assert!(allowed.header("access-control-allow-headers").unwrap().contains("x-grpc-web"));
    assert_eq!(allowed.header("access-control-allow-methods"), Some("POST"));
    let foreign = ask(&address, &question("https://evil.example"), b"").await;
    assert_ne!(foreign.header("access-control-allow-origin"), Some("https://evil.example"));

    let request = notifications::ListNoticesRequest { user_id: "u".to_owned(), ..Default::default() };
    let answer = call(&address, LIST, &request.encode_to_vec(), "").await;
    assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE));
    assert!(answer.header("access-control-expose-headers").unwrap().contains("grpc-status-details-bin"));
    let frames = frames(&answer.body);
    assert_eq!(
        frames.iter().map(|(flag, _)| *flag).collect::<Vec<_>>(),
        [0, 0x80],
        "a message, then the trailers"
    );
    assert_eq!(notifications::ListNoticesResponse::decode(&*frames[0].1).unwrap().unread, 0);
    assert!(String::from_utf8_lossy(&frames[1].1).contains("grpc-status:0"));

    // What is refused at once has its status in the head, details included.
    let refused = call(&address, LIST, b"", "").await;
    assert_eq!(refused.header("grpc-status"), Some("3"));
    assert!(refused.header("grpc-status-details-bin").is_some());
    service.stop().await;
}

#[tokio::test]
async fn a_deadline_that_passes_on_the_server_is_told_with_its_reason() {
    let directory = tempfile::tempdir().unwrap();
    let change = |config: &mut pathway_analytics::Config| config.data_dir = directory.path().to_owned();
    // Nobody is behind the feed, so nothing is ever followed.
    let service = Running::bind::<Analytics>(change, Env::system().into()).await;
    let wait = analytics::AwaitChangesRequest { sequence: 1 };
    let late = call(&address(&service), AWAIT, &wait.encode_to_vec(), "grpc-timeout: 100m\r\n").await;
    assert_eq!(late.header("grpc-status"), Some("4"), "{}", late.head);
    assert!(late.header("grpc-status-details-bin").is_some());
    service.stop().await;
}

fn address(service: &Running) -> String {
    match service.target() {
        Target::Uri(uri) | Target::Tls(uri, _) => uri.authority().unwrap().to_string(),
        Target::Memory(_) => unreachable!("it was bound to a socket"),
    }
}

/// A call as a browser makes it.
async fn call(address: &str, path: &str, message: &[u8], more: &str) -> Answer {
    let mut body = vec![0];
    body.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    body.extend(message);
    let head = format!(
        "POST {path} HTTP/1.1\r\norigin: {PAGE}\r\ncontent-type: application/grpc-web+proto\r\nx-grpc-web: 1\r\n{more}"
    );
    ask(address, &head, &body).await
}

async fn ask(address: &str, head: &str, body: &[u8]) -> Answer {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let head = format!("{head}host: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(body).await.unwrap();
    let mut all = Vec::new();
    tokio::time::timeout(Duration::from_secs(30), socket.read_to_end(&mut all)).await.unwrap().unwrap();
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    let rest = all.split_off(end + 4);
    let body =
        if head.to_lowercase().contains("transfer-encoding: chunked") { unchunked(&rest) } else { rest };
    Answer { head, body }
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend(&rest[line + 2..line + 2 + size]);
        rest = &rest[line + 4 + size..];
    }
}

/// The frames of a gRPC-Web body: a flag, a length and so many bytes.
fn frames(mut body: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = body.split_at_checked(5) {
        let length = usize::try_from(u32::from_be_bytes([head[1], head[2], head[3], head[4]])).unwrap();
        let (frame, rest) = rest.split_at(length);
        frames.push((head[0], frame.to_vec()));
        body = rest;
    }
    frames
}

// === impl Answer ===

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}
