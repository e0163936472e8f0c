//! `pathway.operations.v1`: the breakers of a process, for its operator.
//!
//! # Why every server serves it
//! A breaker lives in the process that calls, so each process has its own to tell of. Were it part of a service's API, four services would write the same code, and the
//! all-in-one would serve one method four times. So the server adds it beside health and reflection, which are of the same kind.

use std::pin::Pin;
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::unfold;
use pathway_kernel::{Check, Code, Fault};
use pathway_proto::pathway::operations::v1 as api;
use pathway_proto::pathway::operations::v1::operations_service_server::{
    OperationsService, OperationsServiceServer,
};
use pathway_proto::pathway::operations::v1::watch_breakers_response::Content;
use pathway_resilience::{BreakerAction, BreakerState, BreakerStatus, Breakers, Cause, Transition};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tonic::{Request, Response, Status};

use crate::status::status;

/// The service.
#[derive(Debug, Clone)]
pub(crate) struct Operations {
    breakers: Breakers,
    /// Closed when the server ends, so that a drain need not wait for those who would watch for ever.
    ending: watch::Receiver<()>,
}

/// Whoever watches the breakers.
struct Watching {
    breakers: Breakers,
    transitions: broadcast::Receiver<Transition>,
    ending: watch::Receiver<()>,
    heartbeat: Interval,
    missed: u64,
}

/// How often all breakers are told, whatever happens: their counts move without a transition.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// The longest name of a target, in bytes.
const LONGEST_TARGET: usize = 512;

// === impl Operations ===

impl Operations {
    /// Serves these breakers until the sender is dropped.
    pub(crate) fn service(breakers: Breakers) -> (watch::Sender<()>, OperationsServiceServer<Self>) {
        let (end, ending) = watch::channel(());
        (end, OperationsServiceServer::new(Self { breakers, ending }))
    }
}

#[tonic::async_trait]
impl OperationsService for Operations {
    type WatchBreakersStream = Pin<Box<dyn Stream<Item = Result<api::WatchBreakersResponse, Status>> + Send>>;

    async fn list_breakers(
        &self,
        _: Request<api::ListBreakersRequest>,
    ) -> Result<Response<api::ListBreakersResponse>, Status> {
        Ok(Response::new(api::ListBreakersResponse { breakers: all(&self.breakers) }))
    }

    async fn watch_breakers(
        &self,
        _: Request<api::WatchBreakersRequest>,
    ) -> Result<Response<Self::WatchBreakersStream>, Status> {
        // The first tick comes at once, and with it the first snapshot: subscribed before it is taken, nothing is missed between the two.
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let watching = Watching {
            breakers: self.breakers.clone(),
            transitions: self.breakers.watch(),
            ending: self.ending.clone(),
            heartbeat,
            missed: 0,
        };
        let messages = unfold(watching, |mut watching| async move {
            let content = watching.next().await?;
            Some((Ok(api::WatchBreakersResponse { content: Some(content) }), watching))
        });
        Ok(Response::new(Box::pin(messages)))
    }

    async fn set_breaker(
        &self,
        request: Request<api::SetBreakerRequest>,
    ) -> Result<Response<api::SetBreakerResponse>, Status> {
        let request = request.into_inner();
        let action = from_action(request.action());
        let mut check = Check::default();
        check.required("target", &request.target, LONGEST_TARGET);
        check.note("action", action.is_none().then_some("is required: TRIP, RESET, DISABLE or ENABLE"));
        check.done().map_err(|violations| status(Fault::invalid(violations)))?;
        let acted = action.map_or_else(Vec::new, |action| self.breakers.act(&request.target, action));
        if acted.is_empty() {
            let message = format!(
                "there is no breaker `{}` here; ListBreakers has those that there are",
                request.target
            );
            return Err(status(Fault::new(Code::NotFound, "UNKNOWN_BREAKER", message)));
        }
        Ok(Response::new(api::SetBreakerResponse { breakers: acted.iter().map(to_breaker).collect() }))
    }
}

// === impl Watching ===

impl Watching {
    /// What is told next; none where the server ends.
    async fn next(&mut self) -> Option<Content> {
        loop {
            tokio::select! {
                biased;
                _ = self.ending.changed() => return None,
                transition = self.transitions.recv() => match transition {
                    Ok(Transition { from, status }) => {
                        let (from, breaker) = (to_state(from).into(), Some(to_breaker(&status)));
                        return Some(Content::Transition(api::BreakerTransition { from, breaker }));
                    }
                    Err(RecvError::Lagged(count)) => {
                        self.missed += count;
                        self.heartbeat.reset_immediately();
                    }
                    Err(RecvError::Closed) => return None,
                },
                _ = self.heartbeat.tick() => {
                    let missed = i64::try_from(std::mem::take(&mut self.missed)).unwrap_or(i64::MAX);
                    return Some(Content::Snapshot(api::BreakerSnapshot { breakers: all(&self.breakers), missed }));
                }
            }
        }
    }
}

fn all(breakers: &Breakers) -> Vec<api::Breaker> {
    breakers.snapshot().iter().map(to_breaker).collect()
}

fn to_breaker(status: &BreakerStatus) -> api::Breaker {
    let (config, window) = (&status.config, &status.config.window);
    let percent = |part: u32| {
        if status.calls == 0 { 0.0 } else { f64::from(part) * 100.0 / f64::from(status.calls) }
    };
    api::Breaker {
        target: status.target.to_string(),
        state: to_state(status.state).into(),
        cause: to_cause(status.cause).into(),
        since_us: status.since_us,
        rests_for_us: status.rests_for.map_or(0, |rest| i64::try_from(rest.as_micros()).unwrap_or(i64::MAX)),
        window: Some(api::BreakerWindow {
            calls: count(status.calls),
            failed: count(status.failed),
            slow: count(status.slow),
            consecutive_failures: count(status.consecutive_failures),
            failure_percent: percent(status.failed),
            slow_percent: percent(status.slow),
        }),
        totals: Some(api::BreakerTotals {
            good: total(status.totals.good),
            failed: total(status.totals.failed),
            cancelled: total(status.totals.cancelled),
            slow: total(status.totals.slow),
            refused: total(status.totals.refused),
            opened: total(status.totals.opened),
        }),
        settings: Some(api::BreakerSettings {
            failures: count(config.failures),
            open_first_ms: millis(config.open_first),
            open_for_ms: millis(config.open_for),
            probes: count(config.probes),
            window_ms: millis(window.span),
            window_calls: count(window.calls),
            failure_percent: window.failure_percent.into(),
            slow_percent: window.slow_percent.into(),
            slow_after_ms: millis(window.slow_after),
        }),
    }
}

fn count(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn total(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

const fn to_state(state: BreakerState) -> api::BreakerState {
    match state {
        BreakerState::Closed => api::BreakerState::Closed,
        BreakerState::Open => api::BreakerState::Open,
        BreakerState::HalfOpen => api::BreakerState::HalfOpen,
        BreakerState::Tripped => api::BreakerState::Tripped,
        BreakerState::Disabled => api::BreakerState::Disabled,
    }
}

const fn to_cause(cause: Cause) -> api::BreakerCause {
    match cause {
        Cause::Started => api::BreakerCause::Started,
        Cause::ConsecutiveFailures => api::BreakerCause::ConsecutiveFailures,
        Cause::FailureRate => api::BreakerCause::FailureRate,
        Cause::SlowRate => api::BreakerCause::SlowRate,
        Cause::Rested => api::BreakerCause::Rested,
        Cause::ProbeFailed => api::BreakerCause::ProbeFailed,
        Cause::ProbesSucceeded => api::BreakerCause::ProbesSucceeded,
        Cause::Operator => api::BreakerCause::Operator,
    }
}

const fn from_action(action: api::BreakerAction) -> Option<BreakerAction> {
    match action {
        api::BreakerAction::Trip => Some(BreakerAction::Trip),
        api::BreakerAction::Reset => Some(BreakerAction::Reset),
        api::BreakerAction::Disable => Some(BreakerAction::Disable),
        api::BreakerAction::Enable => Some(BreakerAction::Enable),
        api::BreakerAction::Unspecified => None,
    }
}
