//! Who is called, and how.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use api::operations_service_client::OperationsServiceClient;
use api::operations_service_server::{OperationsService, OperationsServiceServer};
use pathway_kernel::{Clock, Rng};
use pathway_proto::pathway::operations::v1 as api;
use pathway_rpc::{
    AuthConfig, Authenticator, Breakers, Channel, Credentials, Dialer, Guard, Listener, PeerSettings,
    ResilienceSettings, Routes, Secret, Server, ServerConfig, Target,
};
use pathway_telemetry::Telemetry;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_stream::Pending;
use tonic::transport::Endpoint;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// How many calls are under way.
pub(crate) const CALLERS: usize = 64;
const TURN: Duration = Duration::from_secs(1);
const WINDOW: u32 = 4 * 1024 * 1024;

/// A way to a server of its own.
#[derive(Debug)]
pub(crate) enum Way {
    Bare(OperationsServiceClient<tonic::transport::Channel>),
    Stack(OperationsServiceClient<Channel>),
}

/// Answers at once.
#[derive(Debug, Clone, Copy)]
struct Peer;

/// Bare tonic, with the sizes and the options that the stack's connections have.
pub(crate) async fn bare() -> Way {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tonic::transport::Server::builder()
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(2 * WINDOW)
        .add_service(OperationsServiceServer::new(Peer));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))));
    let endpoint = Endpoint::from_shared(url).unwrap().tcp_nodelay(true);
    let endpoint = endpoint.initial_stream_window_size(WINDOW).initial_connection_window_size(2 * WINDOW);
    Way::Bare(OperationsServiceClient::new(endpoint.connect_lazy()))
}

/// The stack as services use it: each layer as it is unless configured.
pub(crate) async fn stack(telemetry: &Telemetry, asks: bool) -> Way {
    let secret = Secret::new(&[7; 32]).unwrap();
    let auth = AuthConfig {
        secret: asks.then(|| secret.clone()),
        jwks: None,
        issuer: String::new(),
        audience: String::new(),
        role_claim: "role".to_owned(),
        skew: Duration::from_secs(30),
    };
    let guard = if asks { Guard::new(Authenticator::new(auth, Clock::system())) } else { Guard::default() };
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let config = ServerConfig { guard, telemetry: telemetry.clone(), ..ServerConfig::default() };
    let server = Server::new(config, Routes::default().add(OperationsServiceServer::new(Peer)));
    tokio::spawn(server.serve(listener, std::future::pending()));

    let settings: toml::Table = include_str!("../../../runtime/resilience.toml").parse().unwrap();
    let settings: ResilienceSettings = settings["resilience"].clone().try_into().unwrap();
    let config = settings.of(&PeerSettings::default().resilience, "resilience").unwrap();
    let dialer = Dialer::new(Breakers::new(Clock::system()), Rng::system()).with_telemetry(telemetry.clone());
    let mut channel = dialer.channel("peer", Target::parse(&url).unwrap(), config);
    if asks {
        let token = secret.sign(&json!({"sub": "bench", "role": "operator", "exp": 9_999_999_999_u64}));
        channel = channel.with_credentials(Credentials::fixed(&token).unwrap());
    }
    Way::Stack(OperationsServiceClient::new(channel))
}

impl Way {
    /// Calls for a while; answers how many calls a second there were.
    pub(crate) async fn turn(&self) -> f64 {
        let (done, is_over) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let begun = Instant::now();
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let (done, is_over) = (Arc::clone(&done), Arc::clone(&is_over));
                match self {
                    Self::Bare(client) => tokio::spawn(call(client.clone(), done, is_over)),
                    Self::Stack(client) => tokio::spawn(call(client.clone(), done, is_over)),
                }
            })
            .collect();
        tokio::time::sleep(TURN).await;
        let (count, took) = (done.load(Ordering::Relaxed), begun.elapsed());
        is_over.store(true, Ordering::Relaxed);
        for caller in callers {
            caller.await.unwrap();
        }
        f64::from(count) / took.as_secs_f64()
    }
}

async fn call<T>(mut client: OperationsServiceClient<T>, done: Arc<AtomicU32>, is_over: Arc<AtomicBool>)
where
    T: tonic::client::GrpcService<tonic::body::Body>,
    T::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    T::ResponseBody: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    while !is_over.load(Ordering::Relaxed) {
        let request =
            api::SetBreakerRequest { target: "processor/datasync".to_owned(), ..Default::default() };
        client.set_breaker(request).await.unwrap();
        done.fetch_add(1, Ordering::Relaxed);
    }
}

#[tonic::async_trait]
impl OperationsService for Peer {
    type WatchBreakersStream = Pending<Result<api::WatchBreakersResponse, Status>>;

    async fn set_breaker(
        &self,
        _: Request<api::SetBreakerRequest>,
    ) -> Result<Response<api::SetBreakerResponse>, Status> {
        Ok(Response::new(api::SetBreakerResponse::default()))
    }

    async fn list_breakers(
        &self,
        _: Request<api::ListBreakersRequest>,
    ) -> Result<Response<api::ListBreakersResponse>, Status> {
        Ok(Response::new(api::ListBreakersResponse::default()))
    }

    async fn watch_breakers(
        &self,
        _: Request<api::WatchBreakersRequest>,
    ) -> Result<Response<Self::WatchBreakersStream>, Status> {
        Ok(Response::new(tokio_stream::pending()))
    }
}
