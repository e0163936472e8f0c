//! A peer's name: when it is looked up, and the ways to what is found.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::Uri;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

use crate::endpoints::Endpoints;
use crate::tls::TlsConnector;
use crate::{ClientTls, Resolver};

/// What is looked up, and how its addresses are connected to.
#[derive(Debug)]
pub(crate) struct Name {
    uri: Uri,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Whom to believe; none for connections that are not encrypted.
    tls: Option<ClientTls>,
    pub(crate) resolver: Resolver,
    /// When to look it up again; none while somebody does.
    due: Mutex<Option<Instant>>,
}

// === impl Name ===

impl Name {
    /// What of a target has to be looked up; none where it says the address itself.
    pub(crate) fn of(
        endpoints: &Endpoints<Channel>,
        uri: Uri,
        tls: Option<ClientTls>,
        resolver: Resolver,
    ) -> Option<Self> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
        let literal = host.parse().ok().map(|address| SocketAddr::new(address, port));
        let name = Self { uri, host, port, tls, resolver, due: Mutex::new(Some(Instant::now())) };
        let Some(address) = literal else { return Some(name) };
        endpoints.update(&[address], |address| name.endpoint(address));
        None
    }

    /// The way to one address; what is called there is still the name.
    pub(crate) fn endpoint(&self, address: SocketAddr) -> Channel {
        let scheme = self.uri.scheme_str().unwrap_or("http");
        let uri = Uri::builder().scheme(scheme).authority(address.to_string()).path_and_query("/").build();
        // An address is an authority; the name would do as well, and be looked up by the connection.
        let way = endpoint(uri.unwrap_or_else(|_| self.uri.clone())).origin(self.uri.clone());
        match &self.tls {
            // What the peer proves is its name, wherever it was found.
            Some(tls) => way.connect_with_connector_lazy(TlsConnector::new(tls.clone(), &self.host)),
            None => way.connect_lazy(),
        }
    }

    /// Whether it is due; whoever is told so looks it up.
    pub(crate) fn take_due(&self) -> bool {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        due.take_if(|due| *due <= Instant::now()).is_some()
    }

    pub(crate) fn set_due(&self, at: Instant) {
        *self.due.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    pub(crate) fn sooner(&self, at: Instant) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(due) = due.as_mut() {
            *due = at.min(*due);
        }
    }
}

/// How a connection is made and kept.
pub(crate) fn endpoint(uri: Uri) -> Endpoint {
    Endpoint::from(uri)
        .connect_timeout(Duration::from_secs(5))
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        .initial_stream_window_size(4 * 1024 * 1024)
        .initial_connection_window_size(8 * 1024 * 1024)
}
