//! A network between services of one process, as bad as it is told to be.
//!
//! Each [link](Network::link) stands between a caller and a service, and takes the calls one by one, so that it can do to a *message* what a bad network does: lose it, lose its
//! answer, deliver it twice, deliver it late and so behind others, or cut the link. What the far side sees is always a whole message: what TCP repairs is not simulated.
//!
//! Chance is seeded. The order in which tasks run is not, so a seed repeats the weather, not each step.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use pathway_rpc::{Target, memory};
use tokio::sync::watch;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::{Service as _, ServiceExt as _};

/// The network; cheap to clone.
#[derive(Debug, Clone)]
pub struct Network(Arc<Mutex<State>>);

/// How bad it is: chances in a thousand, for each message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weather {
    /// It never arrives, and the caller is told.
    pub lost: u16,
    /// It arrives, and the caller is told that it did not.
    pub unanswered: u16,
    /// It arrives once more, later.
    pub doubled: u16,
    /// It is held back, and others overtake it.
    pub late: u16,
}

/// What the network has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Messages that somebody sent.
    pub sent: usize,
    /// Of those, never arrived.
    pub lost: usize,
    /// Arrived without an answer.
    pub unanswered: usize,
    /// Arrived twice.
    pub doubled: usize,
    /// Were held back.
    pub late: usize,
    /// Met a cut link.
    pub cut: usize,
}

#[derive(Debug)]
struct State {
    rng: fastrand::Rng,
    weather: Weather,
    carried: Carried,
    /// For each link whether it is cut.
    links: BTreeMap<String, watch::Sender<bool>>,
    attempts: watch::Sender<usize>,
}

/// The proxy's end of a link.
#[derive(Clone)]
struct Link {
    network: Network,
    cut: watch::Receiver<bool>,
    far: Channel,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy)]
struct Fate {
    is_lost: bool,
    is_unanswered: bool,
    /// After how long it comes again.
    again: Option<Duration>,
    late: Duration,
}

/// A message that can be sent more than once.
#[derive(Clone)]
struct Message {
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

type Answer = Response<UnsyncBoxBody<Bytes, Gone>>;

/// The network did not deliver.
#[derive(Debug, thiserror::Error)]
#[error("the simulated network gave up")]
struct Gone;

/// How long a message may be held back.
const LATEST: Duration = Duration::from_millis(40);

// === impl Network ===

impl Network {
    /// A network of fair weather, whose chance comes from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            rng: fastrand::Rng::with_seed(seed),
            weather: Weather::default(),
            carried: Carried::default(),
            links: BTreeMap::new(),
            attempts: watch::Sender::new(0),
        })))
    }

    /// A way to a service that goes over this network. Several may bear one name, and are cut together.
    ///
    /// # Panics
    /// If the service is not of this process.
    #[must_use]
    pub fn link(&self, name: &str, to: Target) -> Target {
        let Target::Memory(connector) = to else { panic!("{name} leads out of this process") };
        let far = Endpoint::from_static("http://memory").connect_with_connector_lazy(connector);
        let cut = self.state().links.entry(name.to_owned()).or_default().subscribe();
        let (near, mut listener) = memory();
        let link = Link { network: self.clone(), cut, far };
        tokio::spawn(async move {
            while let Some(pipe) = listener.next_pipe().await {
                let link = link.clone();
                let carry = service_fn(move |request| link.clone().carry(request));
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                // It ends when the caller has gone.
                tokio::spawn(server.serve_connection(TokioIo::new(pipe), carry));
            }
        });
        Target::Memory(near)
    }

    /// Changes the weather on all links.
    pub fn set_weather(&self, weather: Weather) {
        self.state().weather = weather;
    }

    /// Cuts a link: calls on it fail at once or hang until it heals, and streams break.
    ///
    /// # Panics
    /// If there is no such link.
    pub fn cut(&self, name: &str) {
        self.state().links.get(name).expect("a link of this name").send_replace(true);
    }

    /// Makes all links whole and the weather fair. What is still held back arrives.
    pub fn heal(&self) {
        let mut state = self.state();
        state.weather = Weather::default();
        for cut in state.links.values() {
            cut.send_replace(false);
        }
    }

    /// Waits until so many further messages were sent, whatever became of them.
    pub async fn attempts(&self, further: usize) {
        let mut attempts = self.state().attempts.subscribe();
        let until = *attempts.borrow() + further;
        // The sender lives as long as the network.
        let _ = attempts.wait_for(|sent| *sent >= until).await;
    }

    /// What the network has done so far.
    #[must_use]
    pub fn carried(&self) -> Carried {
        self.state().carried
    }

    fn fate(&self) -> Fate {
        let mut state = self.state();
        let State { rng, weather, carried, .. } = &mut *state;
        let mut happens = |chance: u16, counter: &mut usize| {
            let happens = rng.u16(..1000) < chance;
            *counter += usize::from(happens);
            happens
        };
        let is_lost = happens(weather.lost, &mut carried.lost);
        let is_unanswered = !is_lost && happens(weather.unanswered, &mut carried.unanswered);
        let is_doubled = !is_lost && happens(weather.doubled, &mut carried.doubled);
        let is_late = happens(weather.late, &mut carried.late);
        carried.sent += 1;
        let mut wait = || LATEST.mul_f64(rng.f64());
        let fate = Fate {
            is_lost,
            is_unanswered,
            again: is_doubled.then(&mut wait),
            late: if is_late { wait() } else { Duration::ZERO },
        };
        let sent = carried.sent;
        state.attempts.send_replace(sent);
        fate
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Link ===

impl Link {
    /// Carries one call. An error resets its stream, as a broken connection does.
    async fn carry(mut self, request: Request<Incoming>) -> Result<Answer, Gone> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Gone)?.to_bytes();
        let message = Message { uri: head.uri, headers: head.headers, body };
        let fate = self.network.fate();
        if *self.cut.borrow() {
            let hangs = {
                let mut state = self.network.state();
                state.carried.cut += 1;
                state.rng.bool()
            };
            if hangs {
                let _ = self.cut.wait_for(|is_cut| !is_cut).await;
            }
            return Err(Gone);
        }
        tokio::time::sleep(fate.late).await;
        if fate.is_lost {
            return Err(Gone);
        }
        let answer = self.deliver(message.clone()).await?;
        if let Some(wait) = fate.again {
            let mut again = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(wait).await;
                // Nobody waits for what the second one answers; it is read to its end all the same.
                if let Ok(answer) = again.deliver(message).await {
                    let _ = answer.into_body().collect().await;
                }
            });
        }
        if fate.is_unanswered { Err(Gone) } else { Ok(self.until_cut(answer)) }
    }

    async fn deliver(&mut self, message: Message) -> Result<Response<Body>, Gone> {
        let mut request =
            Request::post(message.uri).body(Body::new(Full::new(message.body))).map_err(|_| Gone)?;
        *request.headers_mut() = message.headers;
        let ready = self.far.ready().await.map_err(|_| Gone)?;
        ready.call(request).await.map_err(|_| Gone)
    }

    /// The answer, which breaks off where the link is cut.
    fn until_cut(&self, answer: Response<Body>) -> Answer {
        let (head, body) = answer.into_parts();
        let state = (body, self.cut.clone());
        let frames = futures_util::stream::unfold(state, |(mut body, mut cut)| async move {
            let frame: Result<Frame<Bytes>, Gone> = tokio::select! {
                biased;
                frame = body.frame() => frame?.map_err(|_| Gone),
                _ = cut.wait_for(|is_cut| *is_cut) => Err(Gone),
            };
            Some((frame, (body, cut)))
        });
        Response::from_parts(head, StreamBody::new(frames).boxed_unsync())
    }
}
