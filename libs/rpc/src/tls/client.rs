//! The calling end.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use pathway_kernel::Fault;
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tower::Service;

use super::reload::Reloaded;
use super::{Pair, authorities, chain, key};

/// Whom a client believes, and what it proves itself; cheap to clone.
#[derive(Clone)]
pub struct ClientTls(Arc<Reloaded<ClientConfig>>);

/// Connects to `https://` servers.
#[derive(Debug, Clone)]
pub(crate) struct TlsConnector {
    tls: ClientTls,
    /// Who the server has to prove to be: the connection is to an address, which says nothing of that.
    host: String,
}

// === impl ClientTls ===

impl ClientTls {
    /// Believes servers whose certificate is of one of the authorities; without any, of one of the machine's. Shows `pair` to who asks for it.
    ///
    /// # Errors
    /// Where a file cannot be read or used.
    pub fn new(
        server_authorities: Option<PathBuf>,
        pair: Option<Pair>,
        every: Duration,
    ) -> Result<Self, Fault> {
        let has_authorities = server_authorities.is_some();
        let has_pair = pair.is_some();
        let pair = pair.into_iter().flat_map(|pair| [pair.certificate, pair.key]);
        let files: Vec<PathBuf> = server_authorities.into_iter().chain(pair).collect();
        let names: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
        let make = move |of: &[Vec<u8>]| {
            let named = |at: usize| {
                let name = names[at].clone();
                move |problem: String| format!("{name} {problem}")
            };
            let text = |error: rustls::Error| error.to_string();
            let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(text)?;
            let config = if has_authorities {
                config.with_root_certificates(authorities(&of[0]).map_err(named(0))?)
            } else {
                config.with_platform_verifier().map_err(text)?
            };
            let mut config = if has_pair {
                let at = usize::from(has_authorities);
                let (chain, key) =
                    (chain(&of[at]).map_err(named(at))?, key(&of[at + 1]).map_err(named(at + 1))?);
                let config = config.with_client_auth_cert(chain, key);
                config.map_err(|error| named(at)(format!("cannot be shown: {error}")))?
            } else {
                config.with_no_client_auth()
            };
            config.alpn_protocols = vec![b"h2".to_vec()];
            Ok(Arc::new(config))
        };
        Ok(Self(Arc::new(Reloaded::new(files, every, make)?)))
    }

    async fn connect(self, name: String, uri: Uri) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
        let no_host = || io::Error::new(io::ErrorKind::InvalidInput, "the server's URL has no host");
        let host = uri.host().ok_or_else(no_host)?.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(name).map_err(|_| no_host())?;
        let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(443))).await?;
        stream.set_nodelay(true)?;
        let connector = tokio_rustls::TlsConnector::from(self.0.current());
        Ok(TokioIo::new(connector.connect(name, stream).await?))
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientTls").field(&self.0).finish()
    }
}

// === impl TlsConnector ===

impl TlsConnector {
    /// Connects to servers that prove to be `host`, a name or an address without brackets.
    pub(crate) fn new(tls: ClientTls, host: &str) -> Self {
        Self { tls, host: host.to_owned() }
    }
}

impl Service<Uri> for TlsConnector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.tls.clone().connect(self.host.clone(), uri))
    }
}
