//! Serving.

use std::convert::Infallible;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, Response};
use pathway_kernel::{Fault, Rng};
use pathway_resilience::{Breakers, InheritLayer, TimeoutLayer};
use pathway_telemetry::Telemetry;
use tokio::sync::oneshot;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::RoutesBuilder;
use tonic::transport::server::TcpIncoming;
use tonic_web::GrpcWebLayer;
use tower::{Service, ServiceBuilder};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::accept::Patient;
use crate::auth::GuardLayer;
use crate::connections::Connections;
use crate::details::DetailsLayer;
use crate::exposition::ExpositionLayer;
use crate::health::Standing;
use crate::listener::Kind;
use crate::operations::Operations;
use crate::shed::ShedLayer;
use crate::trace::TraceLayer;
use crate::{Guard, Listener, Readiness, ServerTls, tls};

/// The services behind one port.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    inner: tonic::service::Routes,
    names: Vec<&'static str>,
}

/// How a server serves.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The origins of web pages that may call; `*` for any, none for the server's own pages only.
    pub cors_origins: Vec<String>,
    /// How long calls that are under way may take once the server is told to end.
    pub drain: Duration,
    /// The longest that a call may take, whatever its caller wants.
    pub longest: Duration,
    /// How many unary calls are under way at most; more are refused.
    pub unary_calls: usize,
    /// How many streams are open at most; more are refused.
    pub streams: usize,
    /// After how long a connection is ended, a tenth more or less, so that callers spread anew; none for never.
    pub connection_age: Option<Duration>,
    /// How long the calls of a connection that is old may go on; none for as long as they take.
    pub connection_grace: Option<Duration>,
    /// The chance of the ages.
    pub rng: Rng,
    /// Who is told how calls go.
    pub telemetry: Telemetry,
    /// Who may call.
    pub guard: Guard,
    /// What the server proves, and whom it asks for a proof; none for connections that are not encrypted.
    pub tls: Option<ServerTls>,
    /// What it cannot serve without.
    pub readiness: Readiness,
}

/// A server of some routes.
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    routes: Routes,
    operations: Option<Breakers>,
    closing: CancellationToken,
}

// === impl Routes ===

impl Routes {
    /// The same with a service more.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "adds a service, not a number")]
    pub fn add<S>(self, service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        let mut names = self.names;
        names.push(S::NAME);
        Self { inner: self.inner.add_service(service), names }
    }

    /// Both, behind one port.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        // Each answers UNIMPLEMENTED for what it does not know; of two such answers one must go.
        let other_router = other.inner.into_axum_router().reset_fallback();
        let router = self.inner.into_axum_router().merge(other_router);
        let names = self.names.into_iter().chain(other.names).collect();
        Self { inner: tonic::service::Routes::from(router), names }
    }
}

// === impl ServerConfig ===

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            cors_origins: Vec::new(),
            drain: Duration::from_secs(5),
            longest: Duration::from_secs(600),
            unary_calls: 1024,
            streams: 4096,
            connection_age: None,
            connection_grace: None,
            rng: Rng::system(),
            telemetry: Telemetry::default(),
            guard: Guard::default(),
            tls: None,
            readiness: Readiness::default(),
        }
    }
}

// === impl Server ===

impl Server {
    /// A server of `routes`.
    #[must_use]
    pub fn new(config: ServerConfig, routes: Routes) -> Self {
        Self { config, routes, operations: None, closing: CancellationToken::new() }
    }

    /// The same with what an operator asks of every process: `pathway.operations.v1`.
    #[must_use]
    pub fn with_operations(self, breakers: Breakers) -> Self {
        Self { operations: Some(breakers), ..self }
    }

    /// The same, which cancels `closing` when it ends, and not before its health says so: streams and those who wait end by it.
    #[must_use]
    pub fn with_closing(self, closing: CancellationToken) -> Self {
        Self { closing, ..self }
    }

    /// Serves until `shutdown`, then says `NOT_SERVING`, lets calls end for the drain's time, and returns.
    ///
    /// # Errors
    /// Where the transport fails.
    pub async fn serve(
        self,
        listener: Listener,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), Fault> {
        let Self { config, mut routes, operations, closing } = self;
        // However it ends, nobody goes on waiting.
        let _closing = closing.clone().drop_guard();
        let mut watched = None;
        if let Some(breakers) = operations {
            let (end, service) = Operations::service(breakers);
            watched = Some(end);
            routes = routes.add(service);
        }
        let standing = Standing::serving(routes.names).await;
        let described = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(pathway_proto::DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                // What the details of a refusal are: a client that has no such files can print them, too.
                .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        };
        let reflection = described().build_v1().map_err(Fault::internal)?;
        // What tools asked for before there was a v1.
        let reflection_before = described().build_v1alpha().map_err(Fault::internal)?;
        let all = RoutesBuilder::from(routes.inner)
            .add_service(standing.service())
            .add_service(reflection)
            .add_service(reflection_before)
            .clone()
            .routes();

        let service = ServiceBuilder::new()
            .layer(ExpositionLayer::new(&config.telemetry))
            .option_layer(cors(&config.cors_origins))
            .layer(GrpcWebLayer::new())
            .layer(TraceLayer::new(&config.telemetry))
            .layer(DetailsLayer)
            .layer(TimeoutLayer::new(config.longest, |_| true))
            .layer(InheritLayer)
            .layer(ShedLayer::new(config.unary_calls, config.streams))
            .layer(GuardLayer::new(config.guard))
            .service(all.prepare());
        let connections =
            Connections { age: config.connection_age, grace: config.connection_grace, rng: config.rng };

        let (drain, draining) = oneshot::channel::<()>();
        let draining = async {
            // An error means that `drain` was dropped: the server is ending all the same.
            let _ = draining.await;
        };
        let Listener { kind, health } = listener;
        let ended = async {
            match (kind, config.tls) {
                (Kind::Tcp(listener), Some(tls)) => {
                    connections.serve(tls::incoming(listener, tls), service, draining).await;
                }
                (Kind::Tcp(listener), None) => {
                    let incoming = Patient::new(TcpIncoming::from(listener).with_nodelay(Some(true)));
                    connections.serve(incoming, service, draining).await;
                }
                (Kind::Memory(accept), _) => {
                    connections.serve(ReceiverStream::new(accept), service, draining).await;
                }
            }
        };
        let alone = standing.serve_alone(health);
        tokio::pin!(ended, alone);
        tokio::select! {
            () = &mut ended => return Ok(()),
            Err(error) = &mut alone => return Err(Fault::internal(error)),
            never = standing.follow(&config.readiness) => match never {},
            () = shutdown => {}
        }
        standing.end().await;
        closing.cancel();
        drop(watched);
        let _ = drain.send(());
        let ended = async {
            tokio::select! {
                () = &mut ended => Ok(()),
                Err(error) = &mut alone => Err(Fault::internal(error)),
            }
        };
        match tokio::time::timeout(config.drain, ended).await {
            Ok(ended) => ended,
            Err(_) => {
                let drain_s = config.drain.as_secs();
                tracing::info!(drain_s, "some streams were still open after the drain");
                Ok(())
            }
        }
    }
}

/// None where only the server's own pages may call, of which no browser asks.
fn cors(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let names = ["grpc-status", "grpc-message", "grpc-status-details-bin"];
    let layer = CorsLayer::new()
        .allow_methods([http::Method::POST])
        .allow_headers(tower_http::cors::AllowHeaders::mirror_request())
        .expose_headers(names.map(HeaderName::from_static));
    if origins.iter().any(|origin| origin == "*") {
        return Some(layer.allow_origin(AllowOrigin::any()));
    }
    let origins = origins.iter().filter_map(|origin| HeaderValue::try_from(origin).ok());
    Some(layer.allow_origin(AllowOrigin::list(origins)))
}
