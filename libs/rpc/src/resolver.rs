//! Names to addresses.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

/// What a lookup comes to.
pub type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Looks names up.
///
/// # Contract
/// It answers all addresses that there are: one that is missing is not called any more.
pub trait Resolve: Send + Sync + 'static {
    /// All addresses of a host.
    fn resolve(&self, host: &str, port: u16) -> Resolving;
}

/// Looks names up as it is told to; cheap to clone.
#[derive(Clone)]
pub struct Resolver(Arc<dyn Resolve>);

/// Asks the system, which asks DNS.
#[derive(Debug, Clone, Copy)]
struct System;

// === impl Resolver ===

impl Resolver {
    /// Looks names up with this.
    #[must_use]
    pub fn new(resolve: impl Resolve) -> Self {
        Self(Arc::new(resolve))
    }

    pub(crate) fn resolve(&self, host: &str, port: u16) -> Resolving {
        self.0.resolve(host, port)
    }
}

impl Default for Resolver {
    /// The system's.
    fn default() -> Self {
        Self::new(System)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

// === impl System ===

impl Resolve for System {
    fn resolve(&self, host: &str, port: u16) -> Resolving {
        let host = host.to_owned();
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}
