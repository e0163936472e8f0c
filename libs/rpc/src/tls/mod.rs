//! TLS between services, with certificates that are renewed while they serve.
//!
//! tonic's own settings are read once, so that a renewed certificate needs a restart. Here both ends read their files again every few seconds when somebody
//! connects, and build what they need anew where the content has changed: certificate, key and authorities together, so that no connection meets a half
//! of each. Connections that are open stay as they were made.
//!
//! Content is compared rather than times: two writes within one tick of a file system's clock, and the swap of a link as Kubernetes does it, are both seen.

mod client;
mod reload;
mod server;

use std::path::PathBuf;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

pub use client::ClientTls;
pub use server::ServerTls;

pub(crate) use client::TlsConnector;
pub(crate) use server::incoming;

/// A certificate and its key.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The chain, PEM, our own first.
    pub certificate: PathBuf,
    /// The key, PEM.
    pub key: PathBuf,
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(chain) if chain.is_empty() => Err("has no certificate".to_owned()),
        Ok(chain) => Ok(chain),
        Err(error) => Err(format!("is not PEM: {error}")),
    }
}

fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| format!("has no private key: {error}"))
}

fn authorities(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(pem)? {
        roots.add(certificate).map_err(|error| format!("has what is no authority: {error}"))?;
    }
    Ok(roots)
}

/// Takes a PEM file apart as both ends do: how many certificates, and whether there is a key.
///
/// # Errors
/// What is wrong with the certificates.
pub fn examine_pem(pem: &[u8]) -> Result<(usize, bool), String> {
    let chain = chain(pem)?;
    // What is no authority is refused by itself, whatever else is there.
    let _ = authorities(pem);
    Ok((chain.len(), key(pem).is_ok()))
}
