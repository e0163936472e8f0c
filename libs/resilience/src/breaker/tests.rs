use super::*;

const CONFIG: BreakerConfig = BreakerConfig {
    failures: 3,
    open_first: Duration::from_secs(4),
    open_for: Duration::from_secs(15),
    probes: 2,
    window: WindowConfig::OFF,
};
const RATES: BreakerConfig = BreakerConfig {
    failures: 0,
    window: WindowConfig {
        span: Duration::from_secs(10),
        calls: 4,
        failure_percent: 50,
        slow_percent: 75,
        slow_after: Duration::from_secs(1),
    },
    ..CONFIG
};

fn fail(breaker: &Breaker) {
    breaker.admit().unwrap().tell(Some(grpc::UNAVAILABLE));
}

fn succeed(breaker: &Breaker) {
    breaker.admit().unwrap().tell(None);
}

async fn succeed_slowly(breaker: &Breaker) {
    let admission = breaker.admit().unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    admission.tell(None);
}

#[tokio::test(start_paused = true)]
async fn it_opens_after_consecutive_failures_and_closes_after_good_probes() {
    let breaker = Breaker::new("peer", CONFIG);
    fail(&breaker);
    fail(&breaker);
    succeed(&breaker);
    fail(&breaker);
    fail(&breaker);
    assert_eq!(breaker.state(), BreakerState::Closed, "a success between them starts the count anew");
    fail(&breaker);
    assert_eq!(breaker.state(), BreakerState::Open);
    assert_eq!(breaker.status().cause, Cause::ConsecutiveFailures);
    assert_eq!(breaker.admit().unwrap_err(), Duration::from_secs(4));

    tokio::time::advance(Duration::from_secs(4)).await;
    let (first, second) = (breaker.admit().unwrap(), breaker.admit().unwrap());
    assert!(breaker.admit().is_err(), "probes are bounded");
    first.tell(None);
    second.tell(None);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_rate_opens_it_once_there_are_enough_calls() {
    let breaker = Breaker::new("peer", RATES);
    fail(&breaker);
    succeed(&breaker);
    fail(&breaker);
    assert_eq!(breaker.state(), BreakerState::Closed, "two of three say nothing yet");
    fail(&breaker);
    let status = breaker.status();
    assert_eq!((status.state, status.cause), (BreakerState::Open, Cause::FailureRate));
    assert_eq!((status.calls, status.failed), (4, 3), "what opened it can be read");
}

#[tokio::test(start_paused = true)]
async fn failures_that_are_long_ago_open_nothing() {
    let breaker = Breaker::new("peer", RATES);
    (0..3).for_each(|_| fail(&breaker));
    tokio::time::advance(Duration::from_secs(10)).await;
    fail(&breaker);
    assert_eq!((breaker.state(), breaker.status().calls), (BreakerState::Closed, 1));
}

#[tokio::test(start_paused = true)]
async fn slow_calls_open_it_and_a_slow_probe_keeps_it_open() {
    let breaker = Breaker::new("peer", RATES);
    for _ in 0..4 {
        succeed_slowly(&breaker).await;
    }
    assert_eq!(breaker.status().cause, Cause::SlowRate);
    tokio::time::advance(Duration::from_secs(4)).await;
    succeed_slowly(&breaker).await;
    assert_eq!((breaker.state(), breaker.status().cause), (BreakerState::Open, Cause::ProbeFailed));
}

#[tokio::test(start_paused = true)]
async fn patience_that_ends_late_counts_as_slow() {
    let breaker = Breaker::new("peer", RATES);
    for _ in 0..3 {
        let admission = breaker.admit().unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        drop(admission);
        drop(breaker.admit().unwrap());
    }
    let status = breaker.status();
    assert_eq!(
        (status.calls, status.slow, status.totals.cancelled),
        (3, 3, 6),
        "those given up at once do not count"
    );
}

#[tokio::test(start_paused = true)]
async fn a_bad_probe_opens_it_again_and_a_dropped_one_frees_its_place() {
    let breaker = Breaker::new("peer", CONFIG);
    (0..3).for_each(|_| fail(&breaker));
    tokio::time::advance(Duration::from_secs(15)).await;
    drop((breaker.admit().unwrap(), breaker.admit().unwrap()));
    fail(&breaker);
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_takes_long_does_not_hold_up_those_that_can_tell() {
    let breaker = Breaker::new("peer", CONFIG);
    (0..3).for_each(|_| fail(&breaker));
    tokio::time::advance(Duration::from_secs(15)).await;
    let _hangs = breaker.admit().unwrap();
    succeed(&breaker);
    succeed(&breaker);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn its_rest_grows_with_the_outage_and_is_short_again_after_it() {
    let breaker = Breaker::new("peer", CONFIG);
    (0..3).for_each(|_| fail(&breaker));
    for rest in [4, 8, 15, 15] {
        assert_eq!(breaker.admit().unwrap_err(), Duration::from_secs(rest));
        tokio::time::advance(Duration::from_secs(rest)).await;
        fail(&breaker);
    }
    tokio::time::advance(Duration::from_secs(15)).await;
    (0..2).for_each(|_| succeed(&breaker));
    assert_eq!(breaker.state(), BreakerState::Closed);
    (0..3).for_each(|_| fail(&breaker));
    assert_eq!(breaker.admit().unwrap_err(), Duration::from_secs(4));
}

#[tokio::test(start_paused = true)]
async fn a_late_outcome_is_ignored() {
    let breaker = Breaker::new("peer", CONFIG);
    let late = breaker.admit().unwrap();
    (0..3).for_each(|_| fail(&breaker));
    tokio::time::advance(Duration::from_secs(15)).await;
    let probe = breaker.admit().unwrap();
    late.tell(Some(grpc::UNAVAILABLE));
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    probe.tell(None);
}

#[tokio::test(start_paused = true)]
async fn a_callers_mistake_is_no_failure() {
    let breaker = Breaker::new("peer", CONFIG);
    for _ in 0..10 {
        breaker.admit().unwrap().tell(Some(3));
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn an_operators_word_holds_until_the_next_one() {
    let breaker = Breaker::new("peer", CONFIG);
    breaker.act(BreakerAction::Trip);
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert!(breaker.admit().is_err(), "it does not probe by itself");
    assert_eq!(breaker.act(BreakerAction::Enable).state, BreakerState::Tripped);
    assert_eq!(breaker.act(BreakerAction::Reset).state, BreakerState::Closed);

    breaker.act(BreakerAction::Disable);
    (0..10).for_each(|_| fail(&breaker));
    let status = breaker.act(BreakerAction::Reset);
    assert_eq!((status.state, status.calls), (BreakerState::Disabled, 0));
    assert_eq!(breaker.act(BreakerAction::Enable).state, BreakerState::Closed);
    (0..3).for_each(|_| fail(&breaker));
    assert_eq!(breaker.state(), BreakerState::Open, "it counts again");
}
