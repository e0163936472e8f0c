//! `grpc.health.v1`, and a port of its own for those who ask nothing else.
//!
//! # Why not tonic's own service alone
//! Its `Watch` goes on for ever. Whoever watches a server to learn when it ends would keep it from ending until the drain is over; so here the last thing that is
//! told, `NOT_SERVING`, is also the end of the stream.
//!
//! # Why a port of its own
//! Kubernetes' gRPC probes know neither TLS nor certificates. Where the service's port demands them, health, and nothing else, is served on a second address that
//! takes connections which are not encrypted: it says that the service is well or not, to whoever can reach it.

use std::convert::Infallible;
use std::pin::Pin;

use futures_util::StreamExt as _;
use futures_util::stream::{Stream, unfold};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_health::server::{HealthReporter, HealthService};

use crate::accept::Patient;
use crate::readiness::report;
use crate::{LIVE, Readiness};

/// What a server says of its services.
#[derive(Debug)]
pub(crate) struct Standing {
    reporter: HealthReporter,
    names: Vec<&'static str>,
    is_ending: watch::Sender<bool>,
}

/// What answers those who ask.
#[derive(Debug)]
pub(crate) struct Answers {
    inner: HealthService,
    is_ending: watch::Receiver<bool>,
}

// === impl Standing ===

impl Standing {
    /// Says `SERVING` of these services, and of all under the empty name.
    pub(crate) async fn serving(names: Vec<&'static str>) -> Self {
        let reporter = HealthReporter::new();
        report(&reporter, &names, ServingStatus::Serving).await;
        reporter.set_service_status(LIVE, ServingStatus::Serving).await;
        Self { reporter, names, is_ending: watch::Sender::new(false) }
    }

    /// The service.
    pub(crate) fn service(&self) -> HealthServer<Answers> {
        let inner = HealthService::from_health_reporter(self.reporter.clone());
        HealthServer::new(Answers { inner, is_ending: self.is_ending.subscribe() })
    }

    /// Serves it alone and in the clear, for ever; without a listener, nothing happens.
    pub(crate) async fn serve_alone(
        &self,
        listener: Option<TcpListener>,
    ) -> Result<Infallible, tonic::transport::Error> {
        if let Some(listener) = listener {
            let incoming = Patient::new(TcpIncoming::from(listener).with_nodelay(Some(true)));
            let server = tonic::transport::Server::builder().add_service(self.service());
            server.serve_with_incoming(incoming).await?;
        }
        std::future::pending().await
    }

    /// Keeps it true, for ever.
    pub(crate) async fn follow(&self, readiness: &Readiness) -> Infallible {
        readiness.follow(&self.reporter, &self.names).await
    }

    /// Says `NOT_SERVING`; the streams of those who watch end with that.
    pub(crate) async fn end(&self) {
        report(&self.reporter, &self.names, ServingStatus::NotServing).await;
        self.is_ending.send_replace(true);
    }
}

// === impl Answers ===

#[tonic::async_trait]
impl Health for Answers {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        self.inner.check(request).await
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let told = self.inner.watch(request).await?.into_inner();
        let state = (told, self.is_ending.clone());
        let messages = unfold(state, |(mut told, mut is_ending)| async move {
            let message = tokio::select! {
                biased;
                // First, so that whoever watches is told of the end before its stream ends.
                message = told.next() => message?,
                _ = is_ending.wait_for(|is_ending| *is_ending) => return None,
            };
            Some((message, (told, is_ending)))
        });
        Ok(Response::new(Box::pin(messages)))
    }
}
