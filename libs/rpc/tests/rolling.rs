//! A rolling restart under load, over real sockets: two instances behind one name, ended and replaced one after the other.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pathway_kernel::{Clock, Rng};
use pathway_proto::pathway::operations::v1::operations_service_client::OperationsServiceClient;
use pathway_proto::pathway::operations::v1::operations_service_server::{
    OperationsService, OperationsServiceServer,
};
use pathway_proto::pathway::operations::v1::{
    ListBreakersRequest, ListBreakersResponse, SetBreakerRequest, SetBreakerResponse, WatchBreakersRequest,
    WatchBreakersResponse,
};
use pathway_rpc::{
    BalanceConfig, BreakerConfig, Breakers, Channel, ChannelConfig, Dialer, Listener, Resolve, Resolver,
    Resolving, RetryConfig, Routes, Server, ServerConfig, Target, WindowConfig,
};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, yield_now};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

/// An instance that counts what it has done.
#[derive(Debug, Clone)]
struct Instance {
    served: Arc<AtomicUsize>,
}

/// A name whose addresses a test sets.
#[derive(Debug, Clone, Default)]
struct Names(Arc<Mutex<Vec<SocketAddr>>>);

struct Running {
    address: SocketAddr,
    served: Arc<AtomicUsize>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Who calls without pause.
const CALLERS: usize = 32;
/// How many calls go on between two restarts.
const CALLS: usize = 500;

impl Resolve for Names {
    fn resolve(&self, _: &str, _: u16) -> Resolving {
        let found = self.0.lock().unwrap().clone();
        Box::pin(async move { Ok(found) })
    }
}

#[tonic::async_trait]
impl OperationsService for Instance {
    type WatchBreakersStream = Pin<Box<dyn Stream<Item = Result<WatchBreakersResponse, Status>> + Send>>;

    async fn set_breaker(
        &self,
        _: Request<SetBreakerRequest>,
    ) -> Result<Response<SetBreakerResponse>, Status> {
        self.served.fetch_add(1, Ordering::SeqCst);
        for _ in 0..20 {
            yield_now().await;
        }
        Ok(Response::new(SetBreakerResponse::default()))
    }

    async fn list_breakers(
        &self,
        _: Request<ListBreakersRequest>,
    ) -> Result<Response<ListBreakersResponse>, Status> {
        Ok(Response::new(ListBreakersResponse::default()))
    }

    async fn watch_breakers(
        &self,
        _: Request<WatchBreakersRequest>,
    ) -> Result<Response<Self::WatchBreakersStream>, Status> {
        Ok(Response::new(Box::pin(tokio_stream::pending())))
    }
}

async fn start(config: ServerConfig) -> Running {
    let served = Arc::new(AtomicUsize::new(0));
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes =
        Routes::default().add(OperationsServiceServer::new(Instance { served: Arc::clone(&served) }));
    let (stop, stopped) = oneshot::channel();
    let shutdown = async {
        let _ = stopped.await;
    };
    let server = Server::new(config, routes);
    Running {
        address,
        served,
        stop,
        task: tokio::spawn(async move { server.serve(listener, shutdown).await.unwrap() }),
    }
}

/// A way that fails at the first failure that its layers do not turn aside: one attempt, and a breaker that opens at once.
fn strict(names: &Names) -> Channel {
    let dialer = Dialer::new(Breakers::new(Clock::system()), Rng::seeded(1))
        .with_resolver(Resolver::new(names.clone()));
    let breaker = BreakerConfig { failures: 1, window: WindowConfig::OFF, ..BreakerConfig::default() };
    let retry = RetryConfig { attempts: 1, ..RetryConfig::default() };
    let balance = BalanceConfig { resolve_every: Duration::from_millis(50), ..BalanceConfig::default() };
    let config = ChannelConfig { breaker, retry, balance, ..ChannelConfig::default() };
    dialer.channel("peer", Target::parse("http://peer.test:7000").unwrap(), config)
}

struct Load {
    done: watch::Receiver<usize>,
    is_over: Arc<AtomicBool>,
    callers: Vec<JoinHandle<Result<(), Status>>>,
}

impl Load {
    fn start(channel: &Channel) -> Self {
        let (tell, done) = watch::channel(0);
        let (tell, is_over) = (Arc::new(tell), Arc::new(AtomicBool::new(false)));
        let caller = |_| {
            let (mut client, tell) = (OperationsServiceClient::new(channel.clone()), Arc::clone(&tell));
            let is_over = Arc::clone(&is_over);
            tokio::spawn(async move {
                while !is_over.load(Ordering::SeqCst) {
                    client.set_breaker(SetBreakerRequest::default()).await?;
                    tell.send_modify(|done| *done += 1);
                }
                Ok(())
            })
        };
        Self { done, callers: (0..CALLERS).map(caller).collect(), is_over }
    }

    async fn go_on(&mut self) {
        let until = *self.done.borrow() + CALLS;
        // Where all have failed, the end tells why.
        let _ = self.done.wait_for(|done| *done >= until).await;
    }

    /// How many calls there were, none of which failed.
    async fn end(self) -> usize {
        self.is_over.store(true, Ordering::SeqCst);
        for caller in self.callers {
            caller.await.unwrap().expect("no call fails");
        }
        *self.done.borrow()
    }
}

/// Each connection is ended under load: it lives a fraction of the time that the calls take.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_end_by_age_fail_no_call_and_double_none() {
    let config =
        || ServerConfig { connection_age: Some(Duration::from_millis(20)), ..ServerConfig::default() };
    for count in [1, 2] {
        let mut instances = Vec::new();
        for _ in 0..count {
            instances.push(start(config()).await);
        }
        let names = Names(Arc::new(Mutex::new(instances.iter().map(|instance| instance.address).collect())));
        let mut load = Load::start(&strict(&names));
        for _ in 0..10 {
            load.go_on().await;
        }
        let called = load.end().await;
        let served = instances.iter().map(|instance| instance.served.load(Ordering::SeqCst)).sum::<usize>();
        assert_eq!(called, served, "each was done once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_under_load_fails_no_call_and_doubles_none() {
    let names = Names::default();
    let mut instances = vec![start(ServerConfig::default()).await, start(ServerConfig::default()).await];
    let publish = |instances: &[Running]| {
        *names.0.lock().unwrap() = instances.iter().map(|instance| instance.address).collect();
    };
    publish(&instances);
    let mut load = Load::start(&strict(&names));
    let mut served = 0;
    for _ in 0..4 {
        // As a deployment does: the next one goes when the one before has been replaced.
        for instance in &instances {
            while instance.served.load(Ordering::SeqCst) == 0 {
                load.go_on().await;
            }
        }
        let old = instances.remove(0);
        old.stop.send(()).unwrap();
        // The name still leads to the one that ends, as it does until DNS has heard of it.
        load.go_on().await;
        old.task.await.unwrap();
        served += old.served.load(Ordering::SeqCst);
        load.go_on().await;
        instances.push(start(ServerConfig::default()).await);
        publish(&instances);
    }
    let called = load.end().await;
    served += instances.iter().map(|instance| instance.served.load(Ordering::SeqCst)).sum::<usize>();
    assert_eq!(called, served, "each was done once");
}
