//! Where a server accepts calls: a socket, or a pipe within the process.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tower::Service;

/// Where a server accepts calls.
#[derive(Debug)]
pub struct Listener {
    pub(crate) kind: Kind,
    /// Where health alone is served.
    pub(crate) health: Option<TcpListener>,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Tcp(TcpListener),
    Memory(mpsc::Receiver<io::Result<DuplexStream>>),
}

/// The calling end of an in-memory [`Listener`]; cheap to clone.
#[derive(Debug, Clone)]
pub struct Connector(mpsc::Sender<io::Result<DuplexStream>>);

/// What a pipe holds before the writer has to wait: as much as a TCP window.
const PIPE_BYTES: usize = 64 * 1024;

/// A transport within the process.
#[must_use]
pub fn memory() -> (Connector, Listener) {
    let (connect, accept) = mpsc::channel(16);
    (Connector(connect), Listener { kind: Kind::Memory(accept), health: None })
}

// === impl Listener ===

impl Listener {
    /// Binds a socket. Port 0 takes a free one.
    ///
    /// # Errors
    /// Where the address is taken or not ours.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { kind: Kind::Tcp(TcpListener::bind(address).await?), health: None })
    }

    /// The same, with a socket more on which health, and nothing else, is served without TLS: for probes that know none.
    ///
    /// # Errors
    /// Where the address is taken or not ours.
    pub async fn with_health(self, address: SocketAddr) -> io::Result<Self> {
        Ok(Self { health: Some(TcpListener::bind(address).await?), ..self })
    }

    /// The address of the socket of health; none where there is no such socket.
    #[must_use]
    pub fn health_addr(&self) -> Option<SocketAddr> {
        self.health.as_ref()?.local_addr().ok()
    }

    /// The socket's address; none for a pipe.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.kind {
            Kind::Tcp(listener) => listener.local_addr().ok(),
            Kind::Memory(_) => None,
        }
    }

    /// The next pipe that somebody has connected, for what stands between services in a test; none for a socket, and where nobody can connect any more.
    pub async fn next_pipe(&mut self) -> Option<DuplexStream> {
        match &mut self.kind {
            Kind::Tcp(_) => None,
            Kind::Memory(pipes) => pipes.recv().await?.ok(),
        }
    }
}

// === impl Connector ===

impl Service<Uri> for Connector {
    type Response = TokioIo<DuplexStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connect = self.0.clone();
        Box::pin(async move {
            let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
            let gone = |_| io::Error::from(io::ErrorKind::ConnectionRefused);
            connect.send(Ok(theirs)).await.map_err(gone)?;
            Ok(TokioIo::new(ours))
        })
    }
}
