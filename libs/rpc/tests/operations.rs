//! An operator and a process, over the in-memory transport.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use pathway_kernel::{Clock, Code, Rng};
use pathway_proto::pathway::operations::v1::operations_service_client::OperationsServiceClient;
use pathway_proto::pathway::operations::v1::watch_breakers_response::Content;
use pathway_proto::pathway::operations::v1::{
    Breaker, BreakerAction, BreakerCause, BreakerState, BreakerTransition, ListBreakersRequest,
    SetBreakerRequest, WatchBreakersRequest,
};
use pathway_rpc::{
    BreakerConfig, Breakers, Channel, ChannelConfig, Dialer, Routes, Server, ServerConfig, Target,
    from_status, memory,
};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A process that serves nothing but what every process does.
fn process(breakers: &Breakers) -> (OperationsServiceClient<Channel>, oneshot::Sender<()>, JoinHandle<()>) {
    let (connector, listener) = memory();
    let (stop, stopped) = oneshot::channel();
    let server = Server::new(ServerConfig::default(), Routes::default()).with_operations(breakers.clone());
    let shutdown = async {
        let _ = stopped.await;
    };
    let task = tokio::spawn(async move { server.serve(listener, shutdown).await.unwrap() });
    let channel = Channel::new("process", Target::Memory(connector), ChannelConfig::default());
    (OperationsServiceClient::new(channel), stop, task)
}

fn set(target: &str, action: BreakerAction) -> SetBreakerRequest {
    SetBreakerRequest { target: target.to_owned(), action: action.into() }
}

fn transition(content: Option<Content>) -> (BreakerState, Breaker) {
    match content {
        Some(Content::Transition(BreakerTransition { breaker: Some(breaker), from })) => {
            (from.try_into().unwrap(), breaker)
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn breakers_are_listed_watched_and_set() {
    let breakers = Breakers::new(Clock::system());
    let dialer = Dialer::new(breakers.of("processor"), Rng::seeded(1));
    let _channel =
        dialer.channel("datasync", Target::parse("http://127.0.0.1:1").unwrap(), ChannelConfig::default());
    let fragile = breakers
        .of("analytics")
        .breaker("datasync", BreakerConfig { failures: 1, ..BreakerConfig::default() });
    let (mut operator, stop, task) = process(&breakers);

    let listed = operator.list_breakers(ListBreakersRequest {}).await.unwrap().into_inner().breakers;
    let targets: Vec<&str> = listed.iter().map(|breaker| breaker.target.as_str()).collect();
    assert_eq!(targets, ["analytics/datasync", "processor/datasync"]);
    assert_eq!((listed[1].state(), listed[1].settings.unwrap().failures), (BreakerState::Closed, 10));

    let mut watch = operator.watch_breakers(WatchBreakersRequest {}).await.unwrap().into_inner();
    let Some(Content::Snapshot(first)) = watch.message().await.unwrap().unwrap().content else { panic!() };
    assert_eq!(first.breakers.len(), 2);

    fragile.admit().unwrap().settle(false);
    let (from, opened) = transition(watch.message().await.unwrap().unwrap().content);
    assert_eq!((from, opened.state()), (BreakerState::Closed, BreakerState::Open));
    assert_eq!(opened.cause(), BreakerCause::ConsecutiveFailures);
    assert_eq!((opened.window.unwrap().failure_percent, opened.rests_for_us), (100.0, 500_000));

    let set_to =
        operator.set_breaker(set("processor/datasync", BreakerAction::Trip)).await.unwrap().into_inner();
    assert_eq!(set_to.breakers[0].state(), BreakerState::Tripped);
    let (_, tripped) = transition(watch.message().await.unwrap().unwrap().content);
    assert_eq!((tripped.target.as_str(), tripped.cause()), ("processor/datasync", BreakerCause::Operator));

    let heartbeat = watch.message().await.unwrap().unwrap().content;
    assert!(matches!(heartbeat, Some(Content::Snapshot(snapshot)) if snapshot.breakers.len() == 2));

    let begun = tokio::time::Instant::now();
    stop.send(()).unwrap();
    assert!(watch.message().await.unwrap().is_none(), "the stream ends with the server");
    task.await.unwrap();
    assert!(begun.elapsed() < ServerConfig::default().drain, "the drain did not wait for who watches");
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_sense_is_refused() {
    let (mut operator, _stop, _task) = process(&Breakers::new(Clock::system()));
    let unknown = from_status(operator.set_breaker(set("nobody", BreakerAction::Trip)).await.unwrap_err());
    assert_eq!((unknown.code(), unknown.reason()), (Code::NotFound, "UNKNOWN_BREAKER"));
    let empty = from_status(operator.set_breaker(set("", BreakerAction::Unspecified)).await.unwrap_err());
    assert_eq!((empty.code(), empty.violations().len()), (Code::InvalidArgument, 2));
}
