//! A server's connections: each is served until it is old, and ends without failing a call.
//!
//! # Why not tonic's
//! tonic ends every connection at one age. After a restart, and after anything else that makes all callers connect at once, they would all end together and come back together, at every age
//! again. Here each connection has an age of its own, a tenth more or less than what is set.
//!
//! # How a connection ends
//! The caller is told (GOAWAY) that it should go on elsewhere, and once more, a round trip later, which of its calls was the last that was taken. What it had begun ends as it would have; what it sent
//! after that it knows to be unserved, and sends again. A watch may last for hours, and keeps its connection as long as the grace allows.
//!
//! # Why nothing ends before it has begun
//! hyper drops a connection that is told to end while its first bytes are on their way, and the call behind them fails. So those bytes are read first, and the age counts from there.
//!
//! # Why who is waiting is let in before the listener is closed
//! The system has finished their connections already. Closed, it would reset them, and they may have sent a call.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use pathway_kernel::Rng;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_stream::{Stream, StreamExt as _};
use tonic::body::Body;
use tower::util::MapRequest;
use tower::{Service, ServiceExt as _};

use crate::lingering::Lingering;

/// How connections are served.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    /// After how long each is ended, a tenth more or less; none for never.
    pub(crate) age: Option<Duration>,
    /// How long the calls of one that is old may go on; none for as long as they take.
    pub(crate) grace: Option<Duration>,
    /// The chance of the ages.
    pub(crate) rng: Rng,
}

type Served<S> = MapRequest<S, fn(Request<Incoming>) -> Request<Body>>;

/// By how much an age is more or less than what is set.
const SPREAD: f64 = 0.1;
/// How long the first bytes may take once the server ends. Who has just connected is about to send them.
const OPENING: Duration = Duration::from_secs(1);

// === impl Connections ===

impl Connections {
    /// Serves what comes in until `ending`, then lets what is under way end. Dropped meanwhile, it cuts what is left.
    pub(crate) async fn serve<I, T, S, B>(self, incoming: I, service: S, ending: impl Future<Output = ()>)
    where
        I: Stream<Item = io::Result<T>>,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let body: fn(Request<Incoming>) -> Request<Body> = |request| request.map(Body::new);
        let service = service.map_request(body);
        let (end, ended) = watch::channel(());
        let begin = |accepted: io::Result<T>| match accepted {
            Ok(io) => {
                let age = self.age.map(|age| age.mul_f64(1.0 + SPREAD * (2.0 * self.rng.unit() - 1.0)));
                tokio::spawn(connection(io, service.clone(), age, self.grace, ended.clone()));
            }
            Err(error) => tracing::debug!(cause = %error, "a connection was gone before it was accepted"),
        };
        {
            let (mut incoming, mut ending) = (pin!(incoming), pin!(ending));
            loop {
                tokio::select! {
                    () = &mut ending => break,
                    accepted = incoming.next() => match accepted {
                        Some(accepted) => begin(accepted),
                        None => break,
                    },
                }
            }
            std::future::poll_fn(|cx| {
                while let Poll::Ready(Some(accepted)) = incoming.as_mut().poll_next(cx) {
                    begin(accepted);
                }
                Poll::Ready(())
            })
            .await;
        }
        // An error says that nobody is connected.
        let _ = end.send(());
        drop(ended);
        end.closed().await;
    }
}

/// One connection, from its first bytes to its end.
async fn connection<T, S, B>(
    io: T,
    service: Served<S>,
    age: Option<Duration>,
    grace: Option<Duration>,
    mut ending: watch::Receiver<()>,
) where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut io = Lingering::new(io);
    let opened = {
        let mut opening = pin!(io.open());
        tokio::select! {
            opened = &mut opening => opened,
            ended = ending.changed() => {
                ending.mark_changed();
                match ended {
                    Ok(()) => tokio::time::timeout(OPENING, opening).await.unwrap_or(Ok(false)),
                    Err(_) => Ok(false),
                }
            }
        }
    };
    if !opened.unwrap_or(false) {
        return;
    }
    let builder = builder();
    let mut served = pin!(builder.serve_connection(TokioIo::new(io), TowerToHyperService::new(service)));
    tokio::select! {
        () = gone(served.as_mut()) => return,
        () = after(age) => {}
        // An error says that the drain is over.
        ended = ending.changed() => if ended.is_err() { return },
    }
    served.as_mut().graceful_shutdown();
    let mut grace = pin!(after(grace));
    loop {
        tokio::select! {
            () = gone(served.as_mut()) => return,
            () = &mut grace => {
                tracing::debug!("some calls of an old connection were cut");
                return;
            }
            ended = ending.changed() => if ended.is_err() { return },
        }
    }
}

/// What a connection takes.
fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(4 * 1024 * 1024)
        .initial_connection_window_size(8 * 1024 * 1024)
        // Calls are bounded for the server as a whole; one caller's watches may be most of them.
        .max_concurrent_streams(None)
        .keep_alive_interval(Some(Duration::from_secs(30)));
    // Heads of HTTP/1 that do not come to an end are given up.
    builder.http1().timer(TokioTimer::new());
    builder
}

/// A connection's end. How it ended is its caller's affair.
async fn gone(served: impl Future<Output = Result<(), Box<dyn std::error::Error + Send + Sync>>>) {
    if let Err(error) = served.await {
        tracing::debug!(cause = %error, "a connection broke");
    }
}

async fn after(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}
