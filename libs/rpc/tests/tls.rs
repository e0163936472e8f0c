//! TLS between a client and a server, with certificates of the test's own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use pathway_kernel::Code;
use pathway_rpc::{
    Channel, ChannelConfig, ClientTls, Listener, Pair, Routes, Server, ServerConfig, ServerTls, Target,
    from_status,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// An authority, and a directory for what it signs.
struct Authority {
    directory: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// Files are looked at with every connection.
const AT_ONCE: Duration = Duration::ZERO;

// === impl Authority ===

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { directory, issuer }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// A certificate for these names, in files of this name in `place`.
    fn sign(&self, place: &Path, name: &str) -> Pair {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let pair =
            Pair { certificate: place.join(format!("{name}.pem")), key: place.join(format!("{name}.key")) };
        std::fs::write(&pair.certificate, certificate.pem()).unwrap();
        std::fs::write(&pair.key, key.serialize_pem()).unwrap();
        pair
    }
}

/// A server that ends with the test, and its port.
async fn serve(tls: ServerTls) -> (u16, oneshot::Sender<()>) {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (stop, stopped) = oneshot::channel::<()>();
    let config = ServerConfig { tls: Some(tls), ..ServerConfig::default() };
    let shutdown = async { drop(stopped.await) };
    tokio::spawn(Server::new(config, Routes::default()).serve(listener, shutdown));
    (port, stop)
}

/// Asks over a connection of its own.
async fn ask(port: u16, tls: &ClientTls) -> Result<i32, Code> {
    let target = Target::parse(&format!("https://localhost:{port}")).unwrap().with_tls(tls.clone());
    let channel = Channel::new("peer", target, ChannelConfig::default());
    let answer = HealthClient::new(channel).check(HealthCheckRequest::default()).await;
    answer.map(|answer| answer.into_inner().status).map_err(|status| from_status(status).code())
}

#[tokio::test]
async fn both_ends_prove_who_they_are() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let place = ours.directory.path();
    let server = ServerTls::new(ours.sign(place, "server"), Some(ours.path()), AT_ONCE).unwrap();
    let (port, _stop) = serve(server).await;
    let client = |authority: &Authority, pair: Option<Pair>| {
        ClientTls::new(Some(authority.path()), pair, AT_ONCE).unwrap()
    };
    assert_eq!(ask(port, &client(&ours, Some(ours.sign(place, "client")))).await, Ok(1));
    for (who, wrong) in [
        ("a client without a certificate", client(&ours, None)),
        ("a client of another authority", client(&ours, Some(theirs.sign(place, "stranger")))),
        ("a client that does not believe the server", client(&theirs, Some(ours.sign(place, "doubter")))),
    ] {
        assert_eq!(ask(port, &wrong).await, Err(Code::Unavailable), "{who}");
    }
    // Nor does one come in that does not speak TLS.
    let plain = Target::parse(&format!("http://localhost:{port}")).unwrap();
    let channel = Channel::new("peer", plain, ChannelConfig::default());
    assert!(HealthClient::new(channel).check(HealthCheckRequest::default()).await.is_err());
}

#[tokio::test]
async fn renewed_certificates_and_authorities_are_taken_up_without_a_restart() {
    let (old, new) = (Authority::new(), Authority::new());
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    let both = place.join("ca.pem");
    std::fs::copy(old.path(), &both).unwrap();
    let server = ServerTls::new(old.sign(place, "server"), Some(both.clone()), AT_ONCE).unwrap();
    let (port, _stop) = serve(server).await;
    let client = ClientTls::new(Some(both.clone()), Some(old.sign(place, "client")), AT_ONCE).unwrap();
    assert_eq!(ask(port, &client).await, Ok(1));

    // A certificate without its key is half of a renewal: nothing changes yet.
    let renewed = new.sign(place, "renewed");
    std::fs::copy(&renewed.certificate, place.join("server.pem")).unwrap();
    assert_eq!(ask(port, &client).await, Ok(1));
    std::fs::copy(&renewed.key, place.join("server.key")).unwrap();
    // The server shows the new one now, which nobody believes yet.
    assert_eq!(ask(port, &client).await, Err(Code::Unavailable));
    std::fs::copy(new.path(), &both).unwrap();
    // Both ends believe the new authority; the client's own certificate is still the old one's.
    assert_eq!(ask(port, &client).await, Err(Code::Unavailable));
    new.sign(place, "client");
    assert_eq!(ask(port, &client).await, Ok(1));
}

#[test]
fn what_is_no_certificate_is_named() {
    let authority = Authority::new();
    let place = authority.directory.path();
    let pair = authority.sign(place, "server");
    let other = authority.sign(place, "other");
    std::fs::write(place.join("empty.pem"), "").unwrap();
    let broken = |certificate: PathBuf, key: PathBuf| {
        ServerTls::new(Pair { certificate, key }, None, AT_ONCE).unwrap_err().to_string()
    };
    assert!(broken(place.join("absent.pem"), pair.key.clone()).contains("absent.pem"));
    assert!(broken(place.join("empty.pem"), pair.key.clone()).contains("empty.pem has no certificate"));
    assert!(broken(pair.certificate.clone(), place.join("ca.pem")).contains("ca.pem has no private key"));
    assert!(broken(pair.certificate.clone(), other.key).contains("server.pem cannot be served"));
    assert!(ServerTls::new(pair, Some(place.join("empty.pem")), AT_ONCE).is_err());
}
