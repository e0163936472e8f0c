//! What happens when something fails: for good, for a while, in the middle.

use pathway_kernel::Code;
use pathway_proto::pathway::processor::v1 as api;
use pathway_rpc::{from_item_status, from_status};

use crate::peers::Script;
use crate::service::{
    Client, Item, Service, dead_letters, executions, positions, processed, publish, purchase,
};

#[tokio::test]
async fn poison_becomes_a_dead_letter_and_its_neighbours_succeed() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    script.state().poison = Some("2".to_owned());
    let service = Service::start(&directory, script.serve()).await;
    let results = publish(&service.client, (1..=3).map(|n| purchase("u", &n.to_string())).collect()).await;
    processed(&service.client, &results).await;
    let letter = dead_letters(&service.client).await.remove(0);
    assert_eq!((letter.event.as_ref().unwrap().id.as_str(), letter.node.as_str()), ("2", "analyze"));
    assert_eq!(letter.event.unwrap().data, purchase("u", "2").data, "to be corrected and sent again");
    assert_eq!(letter.position, Some(positions(&results)[1]));
    let fault = from_item_status(letter.error.unwrap());
    assert_eq!((fault.code(), fault.reason()), (Code::OutOfRange, "POISON"));
    let keys: Vec<String> = script.state().notices.iter().map(|notice| notice.dedup_key.clone()).collect();
    assert_eq!(keys, ["1", "3"]);
    let failed: Vec<String> = executions(&service.client)
        .await
        .into_iter()
        .filter(|execution| execution.status() == api::ExecutionStatus::Failed)
        .map(|execution| execution.event_id)
        .collect();
    assert_eq!(failed, ["2"]);
    service.stop().await;
}

#[tokio::test]
async fn a_peer_that_is_away_parks_the_partition_and_kills_nothing() {
    for peer in ["datasync", "analytics", "notifications"] {
        let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
        script.state().away = Some((peer, 3));
        let service = Service::start(&directory, script.serve()).await;
        let results = publish(&service.client, vec![purchase("u", "1"), purchase("u", "2")]).await;
        processed(&service.client, &results).await;
        assert!(dead_letters(&service.client).await.is_empty(), "{peer}");
        let executions = executions(&service.client).await;
        assert_eq!(executions.len(), 2, "{peer}");
        assert!(executions.iter().all(|execution| execution.status() == api::ExecutionStatus::Succeeded));
        // The first went ahead alone once the peer was back, so it is the one that is known to have waited.
        let first = executions.iter().find(|execution| execution.event_id == "1").unwrap();
        assert!(
            first.nodes.iter().all(|node| node.attempts > 1),
            "{peer}: the history says that it was parked"
        );
        let mut keys: Vec<String> =
            script.state().notices.iter().map(|notice| notice.dedup_key.clone()).collect();
        keys.dedup();
        assert_eq!(keys, ["1", "2"], "{peer}");
        service.stop().await;
    }
}

#[tokio::test]
async fn after_an_outage_one_event_goes_first_and_more_follow() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    script.state().away = Some(("datasync", 1));
    let service = Service::start(&directory, script.serve()).await;
    let events = (0..100).map(|n| purchase("u", &n.to_string())).collect();
    let results = publish(&service.client, events).await;
    processed(&service.client, &results).await;
    let sizes: Vec<usize> = script.state().writes.iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 8, 64, 27]);
    service.stop().await;
}

#[tokio::test]
async fn an_accepted_event_survives_a_restart_and_keeps_its_position() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    // Datasync takes the write, then analytics is gone: the write is repeated after the restart.
    script.state().away = Some(("analytics", u32::MAX));
    let service = Service::start(&directory, script.serve()).await;
    let results = publish(&service.client, vec![purchase("u", "1")]).await;
    while script.state().writes.is_empty() {
        tokio::task::yield_now().await;
    }
    service.stop().await;
    script.state().away = None;

    let service = Service::start(&directory, script.serve()).await;
    processed(&service.client, &results).await;
    {
        let state = script.state();
        let positions: Vec<_> =
            state.writes.iter().flatten().map(|write| write.position.clone().unwrap()).collect();
        assert!(
            positions.len() > 1 && positions.iter().all(|position| *position == positions[0]),
            "{positions:?}"
        );
    }
    let executions = executions(&service.client).await;
    assert_eq!(executions.len(), 1, "one event, one execution");
    service.stop().await;
}

/// Redrives dead letters and answers the results.
async fn redrive(client: &Client, items: Vec<api::Redrive>) -> Vec<api::redrive_result::Result> {
    let answer = client.clone().redrive_dead_letters(api::RedriveDeadLettersRequest { items }).await.unwrap();
    answer.into_inner().results.into_iter().map(|result| result.result.unwrap()).collect()
}

/// The code of a refusal.
fn code(result: &api::redrive_result::Result) -> Code {
    match result {
        api::redrive_result::Result::Redriven(event) => panic!("was redriven: {event:?}"),
        api::redrive_result::Result::Error(status) => from_item_status(status.clone()).code(),
    }
}

#[tokio::test]
async fn a_letter_that_is_named_twice_is_redriven_once() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let service = Service::start(&directory, script.serve()).await;
    script.state().poison = Some("1".to_owned());
    let results = publish(&service.client, vec![purchase("u", "1")]).await;
    processed(&service.client, &results).await;
    let letter = dead_letters(&service.client).await.remove(0);
    script.state().poison = None;
    let item = || api::Redrive { id: letter.id.clone(), data: None };
    let (both, alone) =
        tokio::join!(redrive(&service.client, vec![item(), item()]), redrive(&service.client, vec![item()]));
    let all = [both, alone].concat();
    let redriven = all.iter().filter_map(|result| match result {
        api::redrive_result::Result::Redriven(event) => event.position.map(Item::Accepted),
        api::redrive_result::Result::Error(_) => None,
    });
    let redriven: Vec<Item> = redriven.collect();
    assert_eq!(redriven.len(), 1, "{all:?}");
    processed(&service.client, &redriven).await;
    assert_eq!(script.state().notices.len(), 1);
    service.stop().await;
}

#[tokio::test]
async fn a_dead_letter_is_redriven_as_it_was_or_corrected_and_waits_no_more() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    let service = Service::start(&directory, script.serve()).await;
    let mut letters = Vec::new();
    for id in ["1", "2"] {
        script.state().poison = Some(id.to_owned());
        let results = publish(&service.client, vec![purchase("u", id)]).await;
        processed(&service.client, &results).await;
        letters.insert(0, dead_letters(&service.client).await.remove(0));
    }
    // The cause of the first is gone; the second is sent under another name.
    script.state().poison = Some("2".to_owned());
    let corrected = purchase("u", "3").data;
    let [second, first] = <[api::DeadLetter; 2]>::try_from(letters).unwrap();
    let items = vec![
        api::Redrive { id: first.id.clone(), data: None },
        api::Redrive { id: second.id.clone(), data: Some(b"no object".to_vec()) },
        api::Redrive { id: "nobody's".to_owned(), data: None },
    ];
    let results = redrive(&service.client, items).await;
    assert_eq!((code(&results[1]), code(&results[2])), (Code::InvalidArgument, Code::NotFound));
    let results = [
        results,
        redrive(&service.client, vec![api::Redrive { id: second.id.clone(), data: Some(corrected) }]).await,
    ]
    .concat();
    let redriven = results.iter().filter_map(|result| match result {
        api::redrive_result::Result::Redriven(event) => event.position.map(Item::Accepted),
        api::redrive_result::Result::Error(_) => None,
    });
    let redriven: Vec<Item> = redriven.collect();
    assert_eq!(redriven.len(), 2);
    processed(&service.client, &redriven).await;
    assert!(dead_letters(&service.client).await.is_empty());
    let keys: Vec<String> = script.state().notices.iter().map(|notice| notice.dedup_key.clone()).collect();
    assert_eq!(keys, ["1", "3"]);
    let newest = executions(&service.client).await.remove(0);
    assert_eq!(newest.event_id, "3", "named by what it holds now");

    let again = redrive(&service.client, vec![api::Redrive { id: first.id, data: None }]).await;
    assert_eq!(code(&again[0]), Code::FailedPrecondition);
    service.stop().await;
}

#[tokio::test]
async fn a_dead_letter_can_be_put_aside_with_a_reason() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Script::default());
    script.state().poison = Some("1".to_owned());
    let service = Service::start(&directory, script.serve()).await;
    let results = publish(&service.client, vec![purchase("u", "1")]).await;
    processed(&service.client, &results).await;
    let id = dead_letters(&service.client).await.remove(0).id;
    let mut client = service.client.clone();
    let request = |reason: &str| api::DiscardDeadLettersRequest {
        ids: vec![id.clone(), "nobody's".to_owned()],
        reason: reason.to_owned(),
    };
    let refused = client.discard_dead_letters(request("")).await.unwrap_err();
    assert_eq!(from_status(refused).violations()[0].field, "reason");
    let mut codes = Vec::new();
    for _ in 0..2 {
        let answer = client.discard_dead_letters(request("a test")).await.unwrap().into_inner();
        codes.extend(answer.results.into_iter().map(|status| status.code));
    }
    let numbers = [0, 5, 9, 5];
    assert_eq!(codes, numbers, "OK, then FAILED_PRECONDITION; NOT_FOUND twice");
    assert!(dead_letters(&service.client).await.is_empty());
    service.stop().await;
}
