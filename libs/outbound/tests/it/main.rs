//! The client against a server that does as it is told, on a socket of this machine.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use pathway_kernel::Clock;
use pathway_outbound::{
    Client, ClientConfig, Guard, HostConfig, Hosts, HostsConfig, OutboundError, Request, Response,
};
use pathway_resilience::{BreakerAction, BreakerConfig, Breakers};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::Instant;

/// A server that reads one request and answers these bytes, or nothing more where they are empty and `hangs`.
async fn server(answer: Vec<u8>, hangs: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = socket.read(&mut request).await;
                let _ = socket.write_all(&answer).await;
                if hangs {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    port
}

fn local() -> Client {
    let config = ClientConfig { most_bytes: 64, ..ClientConfig::default() };
    Client::new(Guard::new(vec!["127.0.0.0/8".parse().unwrap()]), config)
}

async fn get(client: &Client, url: &str, within: Duration) -> Result<Response, OutboundError> {
    let request = Request {
        method: Method::GET,
        url: url.to_owned(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
        until: Some(Instant::now() + within),
    };
    client.send(request).await
}

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn an_answer_is_read_whole_and_a_redirect_is_one() {
    let answer =
        b"HTTP/1.1 302 Found\r\nlocation: http://10.0.0.1/\r\ncontent-length: 5\r\n\r\nthere".to_vec();
    let port = server(answer, false).await;
    let response = get(&local(), &format!("http://127.0.0.1:{port}/a"), SOON).await.unwrap();
    assert_eq!((response.status, &response.body[..]), (302, &b"there"[..]));
}

#[tokio::test]
async fn the_inside_is_not_called_by_address_and_not_by_name() {
    let port = server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec(), false).await;
    let client = Client::new(Guard::default(), ClientConfig::default());
    for host in ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"] {
        let refused = get(&client, &format!("http://{host}:{port}/"), SOON).await.unwrap_err();
        assert!(matches!(refused, OutboundError::Forbidden), "{host}: {refused:?}");
    }
}

#[tokio::test]
async fn a_url_that_is_none_is_refused() {
    for url in ["", "ftp://example.com/", "file:///etc/passwd", "http://user:secret@127.0.0.1/", "http://"] {
        let refused = get(&local(), url, SOON).await.unwrap_err();
        assert!(matches!(refused, OutboundError::InvalidUrl(_)), "{url}: {refused:?}");
    }
}

#[tokio::test]
async fn what_was_never_sent_is_told_from_what_may_have_arrived() {
    // A port that was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let refused = get(&local(), &format!("http://127.0.0.1:{free}/"), SOON).await.unwrap_err();
    assert!(matches!(refused, OutboundError::NotSent(_)), "{refused:?}");

    let port = server(Vec::new(), false).await;
    let broken = get(&local(), &format!("http://127.0.0.1:{port}/"), SOON).await.unwrap_err();
    assert!(matches!(broken, OutboundError::Broken(_)), "{broken:?}");

    let port = server(Vec::new(), true).await;
    let late =
        get(&local(), &format!("http://127.0.0.1:{port}/"), Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(late, OutboundError::TimedOut), "{late:?}");
}

#[tokio::test]
async fn an_answer_without_an_end_is_not_read_to_its_end() {
    let mut endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..10 {
        endless.extend_from_slice(b"10\r\n0123456789abcdef\r\n");
    }
    let port = server(endless, true).await;
    let long = get(&local(), &format!("http://127.0.0.1:{port}/"), SOON).await.unwrap_err();
    assert!(matches!(long, OutboundError::TooLarge(64)), "{long:?}");
}

#[tokio::test]
async fn a_host_that_fails_is_not_asked_until_its_breaker_admits_it() {
    let port = server(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n".to_vec(), false).await;
    let well = server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec(), false).await;
    let breakers = Breakers::new(Clock::system());
    let breaker = BreakerConfig::consecutive(2, Duration::from_secs(3600), 1);
    let config =
        HostsConfig { usual: HostConfig { breaker, ..HostConfig::default() }, ..HostsConfig::default() };
    let client = local().with_hosts(Hosts::new(&breakers, "http", config));
    let url = format!("http://127.0.0.1:{port}/");
    for _ in 0..2 {
        assert_eq!(get(&client, &url, SOON).await.unwrap().status, 503);
    }
    let refused = get(&client, &url, SOON).await.unwrap_err();
    assert!(matches!(refused, OutboundError::NotAsked(after) if after > Duration::ZERO), "{refused:?}");
    assert_eq!(get(&client, &format!("http://127.0.0.1:{well}/"), SOON).await.unwrap().status, 200);
    assert_eq!(breakers.act(&format!("http/127.0.0.1:{port}"), BreakerAction::Reset).len(), 1);
    assert_eq!(get(&client, &url, SOON).await.unwrap().status, 503, "an operator has said so");
}
