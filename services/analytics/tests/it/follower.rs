//! Imported history, followed from a feed that breaks off again and again.

use pathway_proto::pathway::analytics::v1::AwaitChangesRequest;
use pathway_proto::pathway::types::v1::Origin;
use tokio_util::sync::CancellationToken;

use crate::feed::Feed;
use crate::service::{Client, Service, apply, change, net, set_budget, spending, told};

async fn follow_up_to(client: &Client, sequence: i64) -> i64 {
    client.clone().await_changes(AwaitChangesRequest { sequence }).await.unwrap().into_inner().sequence
}

#[tokio::test]
async fn history_is_followed_across_broken_streams_and_restarts() {
    let (directory, feed, shutdown) =
        (tempfile::tempdir().unwrap(), Feed::default(), CancellationToken::new());
    for record in 1..=5 {
        feed.push(change("u", record, "10.00", Origin::History));
    }
    let datasync = feed.serve(shutdown.clone());
    let service = Service::start(&directory, datasync.clone()).await;
    assert_eq!(follow_up_to(&service.client, 5).await, 5);
    let last = feed.push(change("u", 6, "10.00", Origin::History));
    assert_eq!(follow_up_to(&service.client, last).await, last, "the stream had ended and was begun again");
    assert_eq!(net(spending(&service.client, "u").await.total.as_ref()), ("60.00".to_owned(), 6));
    service.stop().await;

    let streams = feed.begun().len();
    let service = Service::start(&directory, datasync).await;
    let last = feed.push(change("u", 7, "10.00", Origin::History));
    assert_eq!(follow_up_to(&service.client, last).await, last);
    assert_eq!(feed.begun()[streams], 6, "it went on where it was");
    assert_eq!(net(spending(&service.client, "u").await.total.as_ref()), ("70.00".to_owned(), 7));
    service.stop().await;
    shutdown.cancel();
}

#[tokio::test]
async fn g24_history_is_silent_and_what_cannot_be_counted_holds_nothing_up() {
    let (directory, feed, shutdown) =
        (tempfile::tempdir().unwrap(), Feed::default(), CancellationToken::new());
    let service = Service::start(&directory, feed.serve(shutdown.clone())).await;
    set_budget(&service.client, "u", "100.00").await;
    feed.push(change("u", 1, "85.00", Origin::History));
    feed.push(change("u", 2, "92233720368547758.00", Origin::History));
    let mut malformed = change("u", 3, "1.00", Origin::History);
    malformed.after.as_mut().unwrap().amount = None;
    feed.push(malformed);
    let last = feed.push(change("u", 4, "1.00", Origin::History));
    assert_eq!(follow_up_to(&service.client, last).await, last);
    assert_eq!(net(spending(&service.client, "u").await.total.as_ref()), ("86.00".to_owned(), 2));
    let silent = apply(&service.client, vec![change("u", 5, "1.00", Origin::Live)]).await;
    assert!(told(&silent[0]).is_empty(), "80 % has fired already");
    let exceeded = apply(&service.client, vec![change("u", 6, "20.00", Origin::Live)]).await;
    assert_eq!(told(&exceeded[0]), ["budget_exceeded"]);
    service.stop().await;
    shutdown.cancel();
}
