use bytes::Bytes;
use http_body_util::Full;
use pathway_kernel::ManualClock;
use tokio_test::{assert_pending, assert_ready, task};
use tower_test::mock;

use super::*;
use crate::testing::{Frames, TestContract, answer};

type Asked = Request<Replay<Full<Bytes>>>;
type Peer = mock::Handle<Asked, Response<Frames>>;
type Stack = mock::Spawn<Retry<mock::Mock<Asked, Response<Frames>>, TestContract>>;

fn policy() -> RetryPolicy {
    RetryPolicy {
        peer: "peer".into(),
        attempts: 3,
        backoff: Backoff::try_new(Duration::from_secs(1), Duration::from_secs(30), 0.0).unwrap(),
        longest_wait: Duration::from_secs(30),
        budget: RetryBudget::default(),
        rng: Rng::seeded(1),
        clock: Clock::manual(&ManualClock::at(1_445_412_420_000_000)),
    }
}

fn stack(policy: RetryPolicy) -> (Stack, Peer) {
    let layer = RetryLayer::new(policy, TestContract);
    mock::spawn_with(|inner| layer.layer(inner))
}

fn request(path: &str) -> Asked {
    Request::post(path).body(Replay::new(Full::new(Bytes::from("message")))).unwrap()
}

/// Answers each attempt in turn; how many there were, how long they took, and what the caller got.
async fn run(
    policy: RetryPolicy,
    request: Asked,
    answers: impl IntoIterator<Item = Response<Frames>>,
) -> (usize, Duration, Option<i32>) {
    let (mut service, mut peer) = stack(policy);
    let begun = Instant::now();
    assert_ready!(service.poll_ready()).unwrap();
    let call = tokio::spawn(service.call(request));
    let mut attempts = 0;
    for response in answers {
        let asked = tokio::time::timeout(Duration::from_secs(3600), peer.next_request()).await;
        let Some((seen, answer)) = asked.ok().flatten() else { break };
        attempts += 1;
        let told =
            seen.headers().get("grpc-previous-rpc-attempts").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(told, (attempts > 1).then(|| (attempts - 1).to_string()));
        answer.send_response(response);
    }
    let got = call.await.unwrap().unwrap();
    (attempts, begun.elapsed().min(Duration::from_secs(3599)), grpc::status(got.headers()))
}

fn unavailable() -> Response<Frames> {
    answer(grpc::UNAVAILABLE, &[])
}

#[tokio::test(start_paused = true)]
async fn it_waits_longer_each_time_and_gives_up() {
    let answers = std::iter::repeat_with(unavailable).take(3);
    let (attempts, took, got) = run(policy(), request("/a/Write"), answers).await;
    assert_eq!((attempts, took, got), (3, Duration::from_secs(3), Some(grpc::UNAVAILABLE)));
}

#[tokio::test(start_paused = true)]
async fn only_what_was_not_served_is_repeated_unless_the_method_may_be() {
    for status in 1..=16 {
        let repeats = |path| run(policy(), request(path), [answer(status, &[]), answer(0, &[])]);
        let is_repeated = repeats("/a/Write").await.0 == 2;
        assert_eq!(is_repeated, status == grpc::UNAVAILABLE, "{status}");
        let is_repeated = repeats("/a/Idempotent").await.0 == 2;
        let may_be = [grpc::UNAVAILABLE, grpc::ABORTED, grpc::DEADLINE_EXCEEDED].contains(&status);
        assert_eq!(is_repeated, may_be, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_peer_says_when_and_whether() {
    let first =
        |headers: &[(&'static str, &'static str)]| [answer(grpc::UNAVAILABLE, headers), answer(0, &[])];
    for (header, value, seconds) in [
        ("grpc-retry-pushback-ms", "7000", 7),
        ("retry-after", "9", 9),
        ("retry-after", "Wed, 21 Oct 2015 07:27:13 GMT", 13),
        ("test-retry-info", "11", 11),
    ] {
        let (attempts, took, _) = run(policy(), request("/a/Write"), first(&[(header, value)])).await;
        assert_eq!((attempts, took), (2, Duration::from_secs(seconds)), "{header}");
    }
    for refused in ["-1", "soon", "31000"] {
        let answers = first(&[("grpc-retry-pushback-ms", refused)]);
        assert_eq!(run(policy(), request("/a/Write"), answers).await.0, 1, "{refused}");
    }
    let shed = |headers| [answer(grpc::RESOURCE_EXHAUSTED, headers), answer(0, &[])];
    assert_eq!(run(policy(), request("/a/Idempotent"), shed(&[("test-retry-info", "2")])).await.0, 2);
    assert_eq!(run(policy(), request("/a/Write"), shed(&[("test-retry-info", "2")])).await.0, 1);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_never_passed_and_is_told_shorter_each_time() {
    let (mut service, mut peer) = stack(policy());
    let mut request = request("/a/Write");
    request.extensions_mut().insert(Deadline(Instant::now() + Duration::from_millis(2500)));
    assert_ready!(service.poll_ready()).unwrap();
    let mut call = task::spawn(service.call(request));
    assert_pending!(call.poll());
    peer.next_request().await.unwrap().1.send_response(unavailable());
    assert_pending!(call.poll());
    tokio::time::advance(Duration::from_millis(1001)).await;
    assert_pending!(call.poll());
    let (seen, again) = peer.next_request().await.unwrap();
    assert_eq!(deadline::asked(seen.headers()).unwrap().as_millis(), 1499);
    again.send_response(unavailable());
    assert!(assert_ready!(call.poll()).is_ok(), "a wait of two seconds would pass it");
}

#[tokio::test(start_paused = true)]
async fn a_spent_budget_and_our_own_layers_pass_failures_on_at_once() {
    let spent = RetryPolicy { budget: RetryBudget::new(0, 0), ..policy() };
    assert_eq!(run(spent, request("/a/Write"), [unavailable(), unavailable()]).await.0, 1);
    let refusal = grpc::Refusal { status: grpc::UNAVAILABLE, reason: grpc::BREAKER_OPEN, message: "" };
    let refused = grpc::refuse(refusal, Some(Duration::from_secs(1)));
    assert_eq!(run(policy(), request("/a/Write"), [refused, unavailable()]).await.0, 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_given_up_is_not_tried_again() {
    let (mut service, mut peer) = stack(policy());
    assert_ready!(service.poll_ready()).unwrap();
    let mut call = task::spawn(service.call(request("/a/Write")));
    assert_pending!(call.poll());
    peer.next_request().await.unwrap().1.send_response(unavailable());
    assert_pending!(call.poll());
    drop(call);
    drop(service);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(peer.next_request().await.is_none());
}
