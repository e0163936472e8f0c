//! A client's way to one peer.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, Uri};
use pathway_kernel::{Code, Fault};
use pathway_resilience::{Breaker, BreakerConfig, BulkheadLayer, CircuitBreakerLayer, TimeoutLayer};
use pathway_telemetry::Telemetry;
use tonic::body::Body;
use tonic::transport::{Endpoint, Error};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceBuilder};

use crate::auth::Signed;
use crate::tls::TlsConnector;
use crate::trace::ClientTraceLayer;
use crate::{ClientTls, Connector, Credentials, Dialer};

/// Where a peer is.
#[derive(Debug, Clone)]
pub enum Target {
    /// On the network.
    Uri(Uri),
    /// On the network, where it proves who it is.
    Tls(Uri, ClientTls),
    /// In this process.
    Memory(Connector),
}

/// How a peer is called.
#[derive(Debug, Clone)]
pub struct ChannelConfig {
    /// When the peer is no longer asked.
    pub breaker: BreakerConfig,
    /// How many calls may be under way, streams included.
    pub concurrency: usize,
    /// How long an answer may take where the caller set no deadline.
    pub timeout: Duration,
    /// Who is told how calls go.
    pub telemetry: Telemetry,
}

/// A way to one peer, for generated clients; cheap to clone.
#[derive(Clone)]
pub struct Channel {
    name: Arc<str>,
    stack: BoxCloneSyncService<Request<Body>, Response<Body>, Error>,
}

// === impl Target ===

impl Target {
    /// Reads `http://host:port` or `https://host:port`. The second believes what the machine believes, unless it is told otherwise.
    ///
    /// # Errors
    /// Where it is not that.
    pub fn parse(url: &str) -> Result<Self, Fault> {
        let wrong = || {
            let message = format!("`{url}` is no server: give http://HOST:PORT or https://HOST:PORT");
            Fault::new(Code::InvalidArgument, "INVALID_SERVER", message)
        };
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let has_path = !matches!(uri.path(), "" | "/") || uri.query().is_some();
        if uri.authority().is_none() || has_path {
            return Err(wrong());
        }
        match uri.scheme_str() {
            Some("http") => Ok(Self::Uri(uri)),
            Some("https") => Ok(Self::Tls(uri, ClientTls::new(None, None, Duration::MAX)?)),
            _ => Err(wrong()),
        }
    }

    /// The same, where whom to believe and what to show is this. It says nothing about a target that does not use TLS.
    #[must_use]
    pub fn with_tls(self, tls: ClientTls) -> Self {
        match self {
            Self::Tls(uri, _) => Self::Tls(uri, tls),
            other => other,
        }
    }
}

// === impl ChannelConfig ===

impl Default for ChannelConfig {
    fn default() -> Self {
        Self {
            breaker: BreakerConfig::default(),
            concurrency: 1024,
            timeout: Duration::from_secs(30),
            telemetry: Telemetry::default(),
        }
    }
}

// === impl Channel ===

impl Channel {
    /// A way to `target` that stands alone. A service's are made by its [`Dialer`].
    #[must_use]
    pub fn new(name: &str, target: Target, config: ChannelConfig) -> Self {
        Dialer::default().channel(name, target, config)
    }

    pub(crate) fn open(name: &str, target: Target, config: ChannelConfig, breaker: Breaker) -> Self {
        let name = Arc::from(name);
        let ChannelConfig { breaker: _, concurrency, timeout, telemetry } = config;
        let endpoint = |uri| {
            Endpoint::from(uri)
                .connect_timeout(Duration::from_secs(5))
                .tcp_nodelay(true)
                .http2_keep_alive_interval(Duration::from_secs(20))
                .keep_alive_timeout(Duration::from_secs(10))
                .initial_stream_window_size(4 * 1024 * 1024)
                .initial_connection_window_size(8 * 1024 * 1024)
        };
        let trace = ClientTraceLayer::new(&name, &target, &telemetry);
        let transport = match target {
            Target::Uri(uri) => endpoint(uri).connect_lazy(),
            Target::Tls(uri, tls) => endpoint(uri).connect_with_connector_lazy(TlsConnector(tls)),
            Target::Memory(connector) => {
                endpoint(Uri::from_static("http://memory")).connect_with_connector_lazy(connector)
            }
        };
        let stack = ServiceBuilder::new()
            .map_response(|response: Response<_>| response.map(Body::new))
            .layer(trace)
            .layer(CircuitBreakerLayer::new(breaker, streams))
            .layer(BulkheadLayer::new(concurrency))
            .layer(TimeoutLayer::new(timeout, streams))
            .service(transport);
        Self { name, stack: BoxCloneSyncService::new(stack) }
    }

    /// The same, which shows a token with each call.
    #[must_use]
    pub fn with_credentials(self, credentials: Credentials) -> Self {
        Self { name: self.name, stack: BoxCloneSyncService::new(Signed::new(self.stack, credentials)) }
    }
}

/// Whether a method answers a stream: by the mesh's convention those are named `Watch...`, or `Subscribe`.
fn streams(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|method| method.starts_with("Watch") || method == "Subscribe")
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = Error;
    type Future =
        <BoxCloneSyncService<Request<Body>, Response<Body>, Error> as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.stack.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.stack.call(request)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("peer", &self.name).finish_non_exhaustive()
    }
}
