//! Health: for each service, and first to say that a server is ending.

use pathway_notifications::Notifications;
use pathway_rpc::Target;
use pathway_runtime::Env;
use pathway_testkit::Running;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_watches_hears_not_serving_before_the_server_ends() {
    let directory = tempfile::tempdir().unwrap();
    let change = |config: &mut pathway_notifications::Config| config.data_dir = directory.path().to_owned();
    let service = Running::bind::<Notifications>(change, Env::system()).await;
    let endpoint = match service.target() {
        Target::Uri(uri) | Target::Tls(uri, _) => Endpoint::from(uri),
        Target::Memory(_) => unreachable!("it was bound to a socket"),
    };
    let mut client = HealthClient::new(endpoint.connect().await.unwrap());
    let asked = |service: &str| HealthCheckRequest { service: service.to_owned() };
    let mut watches = Vec::new();
    for name in ["", "pathway.notifications.v1.NotificationsService"] {
        let now = client.check(asked(name)).await.unwrap().into_inner();
        assert_eq!(now.status(), ServingStatus::Serving, "`{name}`");
        let mut watch = client.watch(asked(name)).await.unwrap().into_inner();
        assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
        watches.push(watch);
    }
    let unknown = client.check(asked("pathway.datasync.v1.DatasyncService")).await.unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::NotFound, "another service's is not told");

    let ending = tokio::spawn(service.stop());
    for mut watch in watches {
        assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
        assert!(watch.message().await.unwrap().is_none(), "that was the last thing to tell");
    }
    ending.await.unwrap();
}
