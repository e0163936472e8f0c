//! The serving end.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use pathway_kernel::Fault;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::reload::Reloaded;
use super::{Pair, authorities, chain, key};

/// What a server proves, and whom it asks for a proof; cheap to clone.
#[derive(Debug, Clone)]
pub struct ServerTls(Arc<Reloaded<ServerConfig>>);

/// A connection whose caller has been let in.
#[derive(Debug)]
pub(crate) struct Secured(TlsStream<TcpStream>);

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How many may be under way. Beyond it, new connections wait in the kernel.
const HANDSHAKES: usize = 256;

// === impl ServerTls ===

impl ServerTls {
    /// Serves with `pair`. Where there are authorities, callers need a certificate of one of them: mutual TLS.
    ///
    /// # Errors
    /// Where a file cannot be read or used.
    pub fn new(pair: Pair, client_authorities: Option<PathBuf>, every: Duration) -> Result<Self, Fault> {
        let names: Vec<String> = [&pair.certificate, &pair.key]
            .into_iter()
            .chain(&client_authorities)
            .map(|path| path.display().to_string())
            .collect();
        let files = [pair.certificate, pair.key].into_iter().chain(client_authorities).collect();
        let make = move |of: &[Vec<u8>]| {
            let named = |at: usize| {
                let name = names[at].clone();
                move |problem: String| format!("{name} {problem}")
            };
            let provider = Arc::new(ring::default_provider());
            let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .map_err(|error| error.to_string())?;
            let config = match of.get(2) {
                Some(pem) => {
                    let roots = Arc::new(authorities(pem).map_err(named(2))?);
                    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
                    config.with_client_cert_verifier(verifier.map_err(|error| error.to_string())?)
                }
                None => config.with_no_client_auth(),
            };
            let (chain, key) = (chain(&of[0]).map_err(named(0))?, key(&of[1]).map_err(named(1))?);
            let config = config.with_single_cert(chain, key);
            let mut config = config.map_err(|error| named(0)(format!("cannot be served: {error}")))?;
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            Ok(Arc::new(config))
        };
        Ok(Self(Arc::new(Reloaded::new(files, every, make)?)))
    }
}

/// The connections of a listener, after their handshakes. One that fails is its caller's affair, and one that takes long holds up no other.
pub(crate) fn incoming(listener: TcpListener, tls: ServerTls) -> ReceiverStream<io::Result<Secured>> {
    let (accepted, connections) = mpsc::channel(16);
    tokio::spawn(async move {
        let under_way = Arc::new(Semaphore::new(HANDSHAKES));
        loop {
            let Ok(permit) = Arc::clone(&under_way).acquire_owned().await else { return };
            let stream = tokio::select! {
                () = accepted.closed() => return,
                stream = listener.accept() => stream,
            };
            let stream = match stream {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Such as too many open files: the next attempt would fail at once too.
                    tracing::warn!(cause = %error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (acceptor, accepted) = (TlsAcceptor::from(tls.0.current()), accepted.clone());
            tokio::spawn(async move {
                let _ = stream.set_nodelay(true);
                match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                    // The server may have ended meanwhile.
                    Ok(Ok(stream)) => drop(accepted.send(Ok(Secured(stream))).await),
                    Ok(Err(error)) => tracing::debug!(cause = %error, "a TLS handshake failed"),
                    Err(_) => tracing::debug!("a TLS handshake took too long"),
                }
                drop(permit);
            });
        }
    });
    ReceiverStream::new(connections)
}

// === impl Secured ===

impl Connected for Secured {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.0.get_ref().0.connect_info()
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Secured {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}
