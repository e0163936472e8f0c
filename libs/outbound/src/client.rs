//! A client that sends one request and reads one bounded answer.

use std::error::Error;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method};
use reqwest::Url;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::time::Instant;

use crate::resolver::GuardedResolver;
use crate::{Guard, Hosts, OutboundError};

/// Sends requests; cheap to clone. Connections are kept and used again.
#[derive(Debug, Clone)]
pub struct Client {
    config: ClientConfig,
    guard: Guard,
    /// None where a host is asked whatever came of it before.
    hosts: Option<Hosts>,
    /// Built with the first call: reading the machine's root certificates takes longer than starting a service should.
    http: Arc<OnceLock<reqwest::Client>>,
}

/// How long and how much.
#[derive(Debug, Clone, Copy)]
pub struct ClientConfig {
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long a call may take whose request names no end.
    pub timeout: Duration,
    /// The most bytes of an answer.
    pub most_bytes: usize,
}

/// What is sent.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to; `http` or `https`.
    pub url: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// When nobody waits any more.
    pub until: Option<Instant>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status, such as 200.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

// === impl Client ===

impl Client {
    /// A client that speaks to what `guard` admits. Nothing is connected before the first call.
    #[must_use]
    pub fn new(guard: Guard, config: ClientConfig) -> Self {
        Self { config, guard, hosts: None, http: Arc::default() }
    }

    /// The same, over the same connections, which leaves hosts alone that fail.
    #[must_use]
    pub fn with_hosts(&self, hosts: Hosts) -> Self {
        Self { hosts: Some(hosts), ..self.clone() }
    }

    /// Sends a request and reads its answer. Any status is an answer, a redirect too.
    ///
    /// # Errors
    /// Where there is no answer; see [`OutboundError`] for what the other side may have seen.
    pub async fn send(&self, request: Request) -> Result<Response, OutboundError> {
        let url = self.checked(&request.url)?;
        let Some(hosts) = &self.hosts else { return self.call(url, request, self.config.timeout).await };
        // Every URL of HTTP has both.
        let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default());
        let admitted = hosts.admit(host, port.unwrap_or_default())?;
        let result = self.call(url, request, admitted.timeout).await;
        admitted.settle(&result);
        result
    }

    async fn call(&self, url: Url, request: Request, timeout: Duration) -> Result<Response, OutboundError> {
        let left = match request.until {
            Some(until) => until.saturating_duration_since(Instant::now()),
            None => timeout,
        };
        let sent = self
            .http()?
            .request(request.method, url)
            .headers(request.headers)
            .body(request.body)
            .timeout(left)
            .send()
            .await
            .map_err(classify)?;
        let (status, headers) = (sent.status().as_u16(), sent.headers().clone());
        Ok(Response { status, headers, body: self.body(sent).await? })
    }

    async fn body(&self, mut sent: reqwest::Response) -> Result<Bytes, OutboundError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = sent.chunk().await.map_err(classify)? {
            if body.len() + chunk.len() > self.config.most_bytes {
                return Err(OutboundError::TooLarge(self.config.most_bytes));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// The URL, where nothing is wrong with it that can be seen without resolving its host.
    fn checked(&self, url: &str) -> Result<Url, OutboundError> {
        let url = Url::parse(url).map_err(|_| OutboundError::InvalidUrl("is none"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(OutboundError::InvalidUrl("must begin with https:// or http://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(OutboundError::InvalidUrl("names a user; give a header instead"));
        }
        let host = url.host_str().ok_or(OutboundError::InvalidUrl("has no host"))?;
        // The parser has brought every spelling of an address into this one.
        let literal: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
        match literal {
            Some(address) if !self.guard.admits(address) => Err(OutboundError::Forbidden),
            _ => Ok(url),
        }
    }

    fn http(&self) -> Result<&reqwest::Client, OutboundError> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let tls = |error: rustls::Error| OutboundError::Tls(error.into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(tls)?
            .with_platform_verifier()
            .map_err(tls)?
            .with_no_client_auth();
        let built = reqwest::Client::builder()
            .tls_backend_preconfigured(config)
            .dns_resolver(GuardedResolver(self.guard.clone()))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(self.config.connect_timeout)
            .build()
            .map_err(|error| OutboundError::Tls(error.into()))?;
        // Another call may have been first; then this one is dropped.
        Ok(self.http.get_or_init(|| built))
    }
}

// === impl Response ===

impl Response {
    /// How long the host wants to be left alone, where it says so (`Retry-After`, in seconds or by a date).
    #[must_use]
    pub fn retry_after(&self, now_us: i64) -> Option<Duration> {
        pathway_resilience::retry_after(&self.headers, now_us)
    }
}

// === impl ClientConfig ===

impl Default for ClientConfig {
    /// 5 s to connect, 30 s in all, 1 MiB.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            most_bytes: 1024 * 1024,
        }
    }
}

/// What a failure means for the other side. The URL is left out: it may hold what is nobody else's business.
fn classify(error: reqwest::Error) -> OutboundError {
    let error = error.without_url();
    if is_forbidden(&error) {
        OutboundError::Forbidden
    } else if error.is_connect() {
        OutboundError::NotSent(error.into())
    } else if error.is_timeout() {
        OutboundError::TimedOut
    } else if error.is_builder() {
        OutboundError::InvalidUrl("cannot be called")
    } else {
        OutboundError::Broken(error.into())
    }
}

fn is_forbidden(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = cause {
        if matches!(error.downcast_ref(), Some(OutboundError::Forbidden)) {
            return true;
        }
        cause = error.source();
    }
    false
}
