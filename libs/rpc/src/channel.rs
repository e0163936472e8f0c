//! A client's way to one peer.
//!
//! # The order of the layers
//! Outermost first: the **deadline** (what is asked for nobody is not asked), **retry** (each attempt goes through all that follows), the **hedge** (a second attempt beside the first), the
//! attempt's **span** (so that what the breaker refuses is seen too), the **breaker** (a peer that is down is not asked), the **bulkhead** (a peer that is slow does not take all of our memory), the attempt's **timeout**, and the **balancer**, which takes a
//! call that one address has not begun with to another before anybody above hears of it.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, Uri};
use pathway_kernel::{Backoff, Code, Fault};
use pathway_resilience::{
    BreakerConfig, BulkheadLayer, CircuitBreakerLayer, DeadlineLayer, HedgeLayer, Replay, RetryBudget,
    RetryLayer, RetryPolicy, TimeoutLayer,
};
use pathway_telemetry::Telemetry;
use tonic::body::Body;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceBuilder};

use crate::auth::Signed;
use crate::balance::{Balancer, ChannelError};
use crate::endpoints::BalanceConfig;
use crate::methods::{Mesh, streams};
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
    /// How long an answer may take where the caller set no deadline.
    pub timeout: Duration,
    /// How long one attempt may take, whatever the deadline; none for as long as that.
    pub attempt_timeout: Option<Duration>,
    /// When a call is made again.
    pub retry: RetryConfig,
    /// When the peer is no longer asked.
    pub breaker: BreakerConfig,
    /// How many calls may be under way, streams included.
    pub concurrency: usize,
    /// How calls are spread over the peer's addresses.
    pub balance: BalanceConfig,
    /// Who is told how calls go.
    pub telemetry: Telemetry,
}

/// When a call is made again.
#[derive(Debug, Clone)]
pub struct RetryConfig {
    /// Attempts in all; at least 1.
    pub attempts: u32,
    /// The wait between them.
    pub backoff: Backoff,
    /// The longest wait that a peer may ask for.
    pub longest_wait: Duration,
    /// How many of a hundred calls may be repeats.
    pub percent: u32,
    /// How many repeats a second are allowed whatever the calls.
    pub floor: u32,
    /// After how long a read is asked a second time; none for never.
    pub hedge_after: Option<Duration>,
}

type Stack = BoxCloneSyncService<Request<Body>, Response<Body>, ChannelError>;

/// A way to one peer, for generated clients; cheap to clone.
#[derive(Clone)]
pub struct Channel {
    name: Arc<str>,
    stack: Stack,
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
            timeout: Duration::from_secs(30),
            attempt_timeout: None,
            retry: RetryConfig::default(),
            breaker: BreakerConfig::default(),
            concurrency: 1024,
            balance: BalanceConfig::default(),
            telemetry: Telemetry::default(),
        }
    }
}

// === impl RetryConfig ===

impl Default for RetryConfig {
    /// 3 attempts, 1 s doubling to 30 s, shortened by up to half; a fifth of the calls and 10 a second; no hedge. A caller that comes again by itself, as all within the services do,
    /// takes 1 attempt (libs/runtime/resilience.toml).
    fn default() -> Self {
        Self {
            attempts: 3,
            backoff: Backoff::default(),
            longest_wait: Duration::from_secs(30),
            percent: 20,
            floor: 10,
            hedge_after: None,
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

    pub(crate) fn open(name: &str, target: Target, config: ChannelConfig, dialer: &Dialer) -> Self {
        let (name, rng) = (Arc::<str>::from(name), dialer.rng().clone());
        let breaker = dialer.breakers().breaker(&name, config.breaker);
        let RetryConfig { attempts, backoff, longest_wait, percent, floor, hedge_after } = config.retry;
        let budget = RetryBudget::new(percent, floor);
        let policy = RetryPolicy {
            peer: Arc::clone(&name),
            attempts,
            backoff,
            longest_wait,
            budget: budget.clone(),
            rng: rng.clone(),
            clock: dialer.breakers().clock().clone(),
        };
        let trace = ClientTraceLayer::new(&name, &target, &config.telemetry);
        let resolver = dialer.resolver().clone();
        let balancer = Balancer::new(Arc::clone(&name), target, config.balance, rng, resolver);
        let stack = ServiceBuilder::new()
            .map_request(|request: Request<Body>| request.map(Replay::new))
            .layer(DeadlineLayer::new(config.timeout, streams))
            .layer(RetryLayer::new(policy, Mesh))
            .layer(HedgeLayer::new(Arc::clone(&name), hedge_after, budget, Mesh))
            .map_response(|response: Response<_>| response.map(Body::new))
            .layer(trace)
            .layer(CircuitBreakerLayer::new(breaker, streams))
            .layer(BulkheadLayer::new(config.concurrency))
            .layer(TimeoutLayer::new(config.timeout, streams).with_attempt(config.attempt_timeout))
            .service(balancer);
        Self { name, stack: BoxCloneSyncService::new(stack) }
    }

    /// The same, which shows a token with each call.
    #[must_use]
    pub fn with_credentials(self, credentials: Credentials) -> Self {
        Self { name: self.name, stack: BoxCloneSyncService::new(Signed::new(self.stack, credentials)) }
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = ChannelError;
    type Future = <Stack as Service<Request<Body>>>::Future;

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
