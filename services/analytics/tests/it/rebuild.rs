//! Rebuilds through the API.

use pathway_kernel::{Code, Fault};
use pathway_proto::pathway::analytics::v1 as api;
use pathway_proto::pathway::types::v1::Origin;
use pathway_rpc::from_status;
use tokio_util::sync::CancellationToken;

use crate::feed::Feed;
use crate::service::{Client, Service, apply, change, net, set_budget, spending, told};

async fn begin(client: &Client, request: api::RebuildRequest) -> Result<api::Rebuild, Fault> {
    let answer = client.clone().rebuild(request).await.map_err(from_status)?;
    Ok(answer.into_inner().rebuild.unwrap())
}

async fn ended(client: &Client, number: i64) -> api::Rebuild {
    loop {
        let request = api::GetRebuildRequest { number };
        let found = client.clone().get_rebuild(request).await.unwrap().into_inner().rebuild.unwrap();
        if found.state() == api::RebuildState::Done {
            return found;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn figures_are_made_anew_from_the_feed_and_go_on() {
    let (directory, feed, shutdown) =
        (tempfile::tempdir().unwrap(), Feed::default(), CancellationToken::new());
    let service = Service::start(&directory, feed.serve(shutdown.clone())).await;
    let client = &service.client;
    set_budget(client, "u", "100.00").await;
    let lines = vec![change("u", 1, "50.00", Origin::Live), change("u", 2, "35.00", Origin::Live)];
    for line in &lines {
        feed.push(line.clone());
    }
    let first = apply(client, lines).await;
    assert_eq!(told(&first[1]), ["budget_warning"]);
    // Nothing that is stored says that this one is no record; the feed does.
    apply(client, vec![change("u", 3, "7.00", Origin::History)]).await;
    // One that was lost on its way, long ago by its instant.
    feed.push(change("v", 4, "1.00", Origin::Live));

    let request_id = uuid::Uuid::from_u128(7).to_string();
    let everybody = api::RebuildRequest { everybody: true, request_id, ..api::RebuildRequest::default() };
    let begun = begin(client, everybody.clone()).await.unwrap();
    let done = ended(client, begun.number).await;
    assert_eq!((done.changes_read, done.users_done, done.users_total), (3, 2, 2));
    assert_eq!(net(spending(client, "u").await.total.as_ref()), ("85.00".to_owned(), 2));
    assert_eq!(net(spending(client, "v").await.total.as_ref()), ("1.00".to_owned(), 1));
    assert_eq!(begin(client, everybody).await.unwrap(), done, "the same request is the same rebuild");
    let again = apply(client, vec![change("u", 2, "35.00", Origin::Live)]).await;
    assert_eq!(told(&again[0]), ["budget_warning"], "the same change has the same answer");
    let next = apply(client, vec![change("u", 5, "20.00", Origin::Live)]).await;
    assert_eq!(told(&next[0]), ["budget_exceeded"], "80 % has fired, 100 % has not");

    let both =
        api::RebuildRequest { user_id: "u".to_owned(), everybody: true, ..api::RebuildRequest::default() };
    for wrong in [both, api::RebuildRequest::default()] {
        let fault = begin(client, wrong).await.unwrap_err();
        assert_eq!((fault.code(), fault.violations()[0].field.as_str()), (Code::InvalidArgument, "user_id"));
    }
    let unknown = client.clone().get_rebuild(api::GetRebuildRequest { number: 99 }).await.unwrap_err();
    assert_eq!(from_status(unknown).reason(), "UNKNOWN_REBUILD");
    service.stop().await;
    shutdown.cancel();
}

#[tokio::test]
async fn a_rebuild_waits_for_datasync_goes_on_after_a_restart_and_refuses_another() {
    let (directory, feed, shutdown) =
        (tempfile::tempdir().unwrap(), Feed::default(), CancellationToken::new());
    let service = Service::alone(&directory).await;
    apply(&service.client, vec![change("u", 1, "50.00", Origin::Live)]).await;
    let one = api::RebuildRequest { user_id: "u".to_owned(), ..api::RebuildRequest::default() };
    let begun = begin(&service.client, one.clone()).await.unwrap();
    let refused = begin(&service.client, one).await.unwrap_err();
    assert_eq!((refused.code(), refused.reason()), (Code::FailedPrecondition, "REBUILD_RUNNING"));
    service.stop().await;

    feed.push(change("u", 1, "40.00", Origin::Live));
    let service = Service::start(&directory, feed.serve(shutdown.clone())).await;
    let done = ended(&service.client, begun.number).await;
    assert_eq!((done.user_id.as_str(), done.users_total), ("u", 1));
    assert_eq!(net(spending(&service.client, "u").await.total.as_ref()), ("40.00".to_owned(), 1));
    service.stop().await;
    shutdown.cancel();
}
