//! Calls to a peer, spread over its addresses.
//!
//! # Why not tower's balancer
//! `tower::balance::p2c` is well kept and makes the same choice. It has to be owned by one task, so that each call crosses a queue to it before it crosses the connection's; it knows no
//! ejection, and an instance that fails at once is its favourite; and what one instance has not begun with cannot be given to another inside of it. What is
//! left to write is a list under a lock.
//!
//! # Why a call goes on to another address here
//! An instance that ends refuses what it has not begun with. That is no failure of the peer, and ten of them at once, which is what a restart under load is, must not open its
//! breaker. So the next address is tried before the breaker hears of it, at once and without a budget: the refused call has cost nobody anything.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::{Frame, SizeHint};
use pathway_kernel::Rng;
use pathway_resilience::{Kept, Replay, is_failed_head};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::transport::Channel;
use tower::Service;

use crate::endpoints::{BalanceConfig, Ended, Endpoints, Load, Picked};
use crate::methods::is_unserved;
use crate::name::{Name, endpoint};
use crate::{Resolver, Target};

/// A way to a peer, wherever it is; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Balancer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    peer: Arc<str>,
    /// None where there is nothing to look up.
    name: Option<Name>,
    endpoints: Endpoints<Channel>,
    config: BalanceConfig,
}

/// A call whose answer is waited for.
struct Waiting<'a> {
    balancer: &'a Balancer,
    address: SocketAddr,
    begun: Instant,
    is_answered: bool,
}

pin_project! {
    /// A body that counts as under way until it is dropped.
    #[derive(Debug, Default)]
    pub(crate) struct Counted {
        #[pin]
        inner: Body,
        load: Option<Load>,
    }
}

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The connection cannot be made or broke.
    #[error("the connection failed")]
    Transport(#[from] tonic::transport::Error),
    /// The peer's name has no address.
    #[error("the name of the peer has no address")]
    Unknown(#[source] tonic::ConnectError),
}

/// The most times that one call is given to an address.
const MOST_TRIES: usize = 8;
/// After how long a call first comes back to where it has been; doubled each time, so a quarter of a second in all. A connection that ends is replaced a moment later, and
/// later where the processor is busy.
const SETTLES: Duration = Duration::from_millis(2);
/// After how long a call that was given up says something about the address: one that hangs answers none, and is found by nothing else.
const PATIENCE: Duration = Duration::from_secs(1);
/// How soon after a failure a name is looked up again.
const AFTER_FAILURE: Duration = Duration::from_millis(500);

// === impl Balancer ===

impl Balancer {
    pub(crate) fn new(
        peer: Arc<str>,
        target: Target,
        config: BalanceConfig,
        rng: Rng,
        resolver: Resolver,
    ) -> Self {
        let endpoints = Endpoints::new(config, rng);
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let name = match target {
            Target::Memory(connector) => {
                let way = endpoint(Uri::from_static("http://memory"));
                endpoints.update(&[nowhere], |_| way.connect_with_connector_lazy(connector.clone()));
                None
            }
            Target::Uri(uri) => Name::of(&endpoints, uri, None, resolver),
            Target::Tls(uri, tls) => Name::of(&endpoints, uri, Some(tls), resolver),
        };
        Self(Arc::new(Shared { peer, name, endpoints, config }))
    }

    async fn send(self, request: Request<Replay<Body>>) -> Result<Response<Counted>, ChannelError> {
        self.look_up_where_due().await?;
        let shared = &*self.0;
        let kept = Kept::of(&request);
        let (mut request, mut tried, mut settling) = (request, Vec::new(), SETTLES);
        loop {
            let nobody = || ChannelError::Unknown(tonic::ConnectError("no address is known".into()));
            let Picked { address, mut way, load } = shared.endpoints.pick(&tried).ok_or_else(nobody)?;
            let mut waiting = Waiting { balancer: &self, address, begun: Instant::now(), is_answered: false };
            let result = send_on(&mut way, request).await;
            waiting.is_answered = true;
            let (ended, is_unserved, is_nobody) = judge(&result);
            self.report(address, ended);
            let error = match result {
                Ok(response) => return Ok(response.map(|inner| Counted { inner, load: Some(load) })),
                Err(error) => error,
            };
            tried.push(address);
            let others = shared.endpoints.count() > tried.iter().collect::<HashSet<_>>().len();
            // Where there is one address, it is worth another connection, but not where nobody took the last.
            let is_worth_it = others || !is_nobody;
            match &kept {
                Some(kept) if is_unserved && is_worth_it && tried.len() < MOST_TRIES => {
                    tracing::debug!(
                        peer = &*shared.peer,
                        error = &error as &dyn std::error::Error,
                        "not served, going on to another address"
                    );
                    if !others {
                        tokio::time::sleep(settling).await;
                        settling *= 2;
                    }
                    request = kept.again();
                }
                _ => return Err(error.into()),
            }
        }
    }

    fn report(&self, address: SocketAddr, ended: Ended) {
        let shared = &*self.0;
        if shared.endpoints.report(address, ended) {
            tracing::info!(peer = &*shared.peer, %address, "left an address out for a while");
        }
        if ended != Ended::Well
            && let Some(name) = &shared.name
        {
            name.sooner(Instant::now() + AFTER_FAILURE);
        }
    }

    /// Looks the name up where that is due. Who has an address to go to does not wait for it.
    async fn look_up_where_due(&self) -> Result<(), ChannelError> {
        let Some(name) = &self.0.name else { return Ok(()) };
        if self.0.endpoints.count() == 0 {
            return self.look_up().await;
        }
        if name.take_due() {
            let balancer = self.clone();
            tokio::spawn(async move {
                // The log has it, and what was known stays.
                let _ = balancer.look_up().await;
            });
        }
        Ok(())
    }

    async fn look_up(&self) -> Result<(), ChannelError> {
        let Shared { peer, name: Some(name), endpoints, config } = &*self.0 else { return Ok(()) };
        let found = name.resolver.resolve(&name.host, name.port).await;
        let wait = if found.is_ok() { config.resolve_every } else { AFTER_FAILURE };
        name.set_due(Instant::now() + wait);
        match found {
            // A name without addresses is a lookup that went wrong, more often than a peer without instances.
            Ok(addresses) if addresses.is_empty() => Ok(()),
            Ok(addresses) => {
                endpoints.update(&addresses, |address| name.endpoint(address));
                Ok(())
            }
            Err(error) => {
                tracing::warn!(
                    peer = &**peer,
                    error = &error as &dyn std::error::Error,
                    "cannot look a peer up"
                );
                Err(ChannelError::Unknown(tonic::ConnectError(error.into())))
            }
        }
    }
}

impl Service<Request<Replay<Body>>> for Balancer {
    type Response = Response<Counted>;
    type Error = ChannelError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Counted>, ChannelError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // Which connection is meant is not known before there is a call.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Replay<Body>>) -> Self::Future {
        Box::pin(self.clone().send(request))
    }
}

async fn send_on(
    way: &mut Channel,
    request: Request<Replay<Body>>,
) -> Result<Response<Body>, tonic::transport::Error> {
    std::future::poll_fn(|cx| way.poll_ready(cx)).await?;
    way.call(request.map(Body::new)).await
}

/// How a call ended for the address, whether the peer has not begun with it, and whether there was nobody.
fn judge(result: &Result<Response<Body>, tonic::transport::Error>) -> (Ended, bool, bool) {
    match result {
        Ok(response) if is_failed_head(response) => (Ended::Failed, false, false),
        Ok(_) => (Ended::Well, false, false),
        Err(error) => {
            let causes = std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |error| {
                error.source()
            });
            let is_unreachable = causes.clone().any(<dyn std::error::Error>::is::<tonic::ConnectError>);
            // A connection that is made and breaks in its first words has met somebody: a server that ends its connections, most of all.
            let broke = |error: &std::io::Error| {
                use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
                matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
            };
            let is_nobody =
                is_unreachable && !causes.clone().filter_map(|error| error.downcast_ref()).any(broke);
            let is_unserved = is_unserved(error);
            let ended = match (is_unreachable, is_unserved) {
                (true, _) => Ended::Unreachable,
                (false, true) => Ended::Away,
                (false, false) => Ended::Failed,
            };
            (ended, is_unserved, is_nobody)
        }
    }
}

// === impl Waiting ===

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.is_answered && self.begun.elapsed() >= PATIENCE {
            self.balancer.report(self.address, Ended::Failed);
        }
    }
}

// === impl Counted ===

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
