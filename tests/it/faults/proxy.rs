//! What stands between a service and its peer, on real sockets, and does to their connections what a network or a sick peer does.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pathway_rpc::Target;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What is done to connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weather {
    /// What comes is passed on.
    Fair,
    /// Whoever connects is accepted, and what it sends is held back until it is fair again: a peer that hangs.
    Hanging,
    /// Each piece takes a while.
    Slow,
    /// What is sent is gone, and nobody is told; what was open then never works again.
    Vanishing,
}

/// A proxy before one peer; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Proxy {
    address: SocketAddr,
    peer: Arc<Mutex<SocketAddr>>,
    weather: watch::Sender<Weather>,
    /// Counts the resets: a connection that is older breaks.
    resets: watch::Sender<u64>,
}

/// How long a piece takes where it is slow.
const SLOW: Duration = Duration::from_millis(150);

// === impl Proxy ===

impl Proxy {
    /// A proxy of fair weather on a port of its own; nobody is behind it yet.
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            peer: Arc::new(Mutex::new(([127, 0, 0, 1], 1).into())),
            weather: watch::Sender::new(Weather::Fair),
            resets: watch::Sender::new(0),
        };
        let accepting = proxy.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(accepting.clone().carry(near));
            }
        });
        proxy
    }

    /// The address that the caller is given.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The same as a name's address.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A service of the test's own process is behind it from now on.
    pub(super) fn lead_to_target(&self, target: &Target) {
        let Target::Uri(uri) = target else { unreachable!("it was bound to a socket") };
        self.lead_to(uri.to_string().trim_end_matches('/'));
    }

    /// Who is behind it from now on, as `http://host:port`.
    pub(super) fn lead_to(&self, url: &str) {
        let peer = url.trim_start_matches("http://").parse().unwrap();
        *self.peer.lock().unwrap_or_else(PoisonError::into_inner) = peer;
    }

    pub(super) fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// Breaks all connections that are open, as a peer's operating system does that knows nothing of them.
    pub(super) fn reset(&self) {
        self.resets.send_modify(|resets| *resets += 1);
    }

    async fn carry(self, mut near: TcpStream) {
        let (mut weather, mut resets) = (self.weather.subscribe(), self.resets.subscribe());
        resets.borrow_and_update();
        let held = weather.wait_for(|weather| *weather != Weather::Hanging);
        tokio::select! {
            _ = held => {}
            _ = resets.changed() => return abort(&near),
        }
        let peer = *self.peer.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever is not there is told as by the peer's own system: the connection ends.
        let Ok(mut far) = TcpStream::connect(peer).await else { return abort(&near) };
        let (_, _) = (near.set_nodelay(true), far.set_nodelay(true));
        let is_reset = {
            let (near_read, near_write) = near.split();
            let (far_read, far_write) = far.split();
            let there = pass(near_read, far_write, self.weather.subscribe());
            let back = pass(far_read, near_write, self.weather.subscribe());
            tokio::select! {
                _ = async { tokio::join!(there, back) } => false,
                _ = resets.changed() => true,
            }
        };
        if is_reset {
            abort(&near);
            abort(&far);
        }
    }
}

/// Lets a connection end with a reset once it is dropped.
fn abort(near: &TcpStream) {
    let _ = near.set_zero_linger();
}

/// Passes on what comes until one end is done.
async fn pass(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, mut weather: watch::Receiver<Weather>) {
    let mut piece = vec![0; 16 * 1024];
    let mut is_lost = false;
    while let Ok(length) = from.read(&mut piece).await {
        if length == 0 {
            break;
        }
        let now = *weather.borrow_and_update();
        is_lost |= now == Weather::Vanishing;
        if is_lost {
            continue;
        }
        match now {
            Weather::Hanging => {
                let _ = weather.wait_for(|weather| *weather != Weather::Hanging).await;
            }
            Weather::Slow => tokio::time::sleep(SLOW).await,
            Weather::Fair | Weather::Vanishing => {}
        }
        if to.write_all(&piece[..length]).await.is_err() {
            break;
        }
    }
    if is_lost {
        // Nobody learns that it has ended.
        std::future::pending::<()>().await;
    }
    let _ = to.shutdown().await;
}
