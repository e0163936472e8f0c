//! A web server that does as it is told, on a socket of this machine.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Answers this status, with these further lines of its head, and this JSON.
    Answer(u16, &'static str, &'static str),
    /// Closes the connection once it has read the request.
    Close,
    /// Never answers.
    Hang,
}

/// The server; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Web {
    acts: Arc<Mutex<Vec<Act>>>,
    requests: Arc<Mutex<Vec<String>>>,
    arrived: Arc<Notify>,
}

// === impl Web ===

impl Web {
    /// Acts so once after the other, and answers `{}` from then on. Answers its address too.
    pub(crate) async fn start(acts: &[Act]) -> (Self, String) {
        let web =
            Self { acts: Arc::new(Mutex::new(acts.iter().rev().cloned().collect())), ..Self::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = web.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(server.clone().serve(socket));
            }
        });
        (web, address)
    }

    /// The requests so far, head and body, in lower case.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// Waits until there were so many.
    pub(crate) async fn arrived(&self, count: usize) {
        while self.requests().len() < count {
            self.arrived.notified().await;
        }
    }

    async fn serve(self, mut socket: TcpStream) {
        let (mut request, mut piece) = (Vec::new(), [0; 4096]);
        loop {
            let read = socket.read(&mut piece).await.unwrap_or(0);
            if read == 0 {
                return;
            }
            request.extend_from_slice(&piece[..read]);
            if is_whole(&request) {
                break;
            }
        }
        self.requests.lock().unwrap().push(String::from_utf8_lossy(&request).to_lowercase());
        self.arrived.notify_one();
        let act = self.acts.lock().unwrap().pop().unwrap_or(Act::Answer(200, "", "{}"));
        match act {
            Act::Close => {}
            Act::Hang => std::future::pending().await,
            Act::Answer(status, head, body) => {
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status} As told\r\ncontent-type: application/json\r\nconnection: close\r\n{head}content-length: {length}\r\n\r\n{body}"
                );
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        }
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    body.len() >= length
}
