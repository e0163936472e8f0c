//! A receiver of HTTP that answers as it is told, on a socket of this machine.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// A receiver; its port closes with it.
pub(crate) struct Receiver {
    pub(crate) port: u16,
    requests: mpsc::UnboundedReceiver<Received>,
    script: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

// === impl Receiver ===

impl Receiver {
    /// Starts one that answers 200 to all that its script says nothing of.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (told, requests) = mpsc::unbounded_channel();
        let script: Arc<Mutex<Vec<String>>> = Arc::default();
        let answers = Arc::clone(&script);
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, told.clone(), Arc::clone(&answers)));
            }
        });
        Self { port, requests, script, task }
    }

    /// The next answers, in order: `500`, `503 retry-after: 120`, or `cut` for a connection that breaks.
    pub(crate) fn answers(&self, script: &[&str]) {
        let mut answers = self.script.lock().unwrap();
        answers.extend(script.iter().map(|answer| (*answer).to_owned()));
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    /// The next request.
    pub(crate) async fn next(&mut self) -> Received {
        self.requests.recv().await.unwrap()
    }

    /// Whether nothing more has come.
    pub(crate) fn is_silent(&mut self) -> bool {
        self.requests.try_recv().is_err()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut socket: TcpStream,
    told: mpsc::UnboundedSender<Received>,
    script: Arc<Mutex<Vec<String>>>,
) {
    while let Some(request) = read(&mut socket).await {
        let answer = {
            let mut script = script.lock().unwrap();
            if script.is_empty() { "200".to_owned() } else { script.remove(0) }
        };
        let _ = told.send(request);
        if answer == "cut" {
            return;
        }
        let (status, header) = answer.split_once(' ').unwrap_or((&answer, ""));
        let header = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
        let answer = format!("HTTP/1.1 {status} X\r\n{header}content-length: 0\r\n\r\n");
        if socket.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// One request with its body; none at the end of the connection.
async fn read(socket: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let count = socket.read(&mut chunk).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&chunk[..count]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let headers: HashMap<String, String> = head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        if bytes.len() >= end + 4 + length {
            return Some(Received { headers, body: bytes[end + 4..end + 4 + length].to_vec() });
        }
    }
}
