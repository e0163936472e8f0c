//! Health on an address of its own, for probes that know no TLS.

use pathway_testkit::Raw;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::process::Process;
use crate::tls::Files;

const SERVICE: &str = "pathway.datasync.v1.DatasyncService";

async fn connect(address: &str) -> Channel {
    Endpoint::try_from(format!("http://{address}")).unwrap().connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_without_a_certificate_is_told_health_and_nothing_else() {
    let files = Files::fresh();
    let (certificate, key, authority) = (files.text("tls.pem"), files.text("tls.key"), files.text("ca.pem"));
    let mut process = Process::start(&[
        ("PATHWAY_DATASYNC__SECURITY__TLS__CERTIFICATE", certificate.as_str()),
        ("PATHWAY_DATASYNC__SECURITY__TLS__KEY", key.as_str()),
        ("PATHWAY_DATASYNC__SECURITY__TLS__CLIENT_AUTHORITIES", authority.as_str()),
        ("PATHWAY_DATASYNC__SECURITY__TLS__HEALTH_LISTEN", "127.0.0.1:0"),
    ]);
    let channel = connect(&process.ready("health")).await;
    let mut health = HealthClient::new(channel.clone());
    let asked = |service: &str| HealthCheckRequest { service: service.to_owned() };
    for name in ["", SERVICE, pathway_rpc::LIVE] {
        let told = health.check(asked(name)).await.unwrap().into_inner();
        assert_eq!(told.status(), ServingStatus::Serving, "{name:?}");
    }
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let path = format!("/{SERVICE}/ListRecords").parse().unwrap();
    let refused = client.unary(tonic::Request::new(bytes::Bytes::new()), path, Raw).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    // The service's own port takes nobody without a certificate.
    let endpoint = Endpoint::try_from(format!("http://{}", process.ready("address"))).unwrap();
    let mut bare = HealthClient::new(endpoint.connect_lazy());
    assert!(bare.check(asked("")).await.is_err());

    let mut watch = health.watch(asked("")).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    process.signal();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert!(watch.message().await.unwrap().is_none());
    assert_eq!(process.ended(), Some(0));
}
