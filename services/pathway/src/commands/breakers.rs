//! `pathway breakers`: what each service's calls run into, and an operator's word about it.

use std::process::ExitCode;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use pathway_kernel::Fault;
use pathway_proto::pathway::operations::v1 as api;
use pathway_proto::pathway::operations::v1::watch_breakers_response::Content;
use serde_json::{Value, json};
use tonic::Request;

use crate::cli::{BreakerVerb, Breakers};
use crate::client::{Operators, Server, answer, request};
use crate::output::{Output, instant, note, table};

/// How often a server that is away is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

pub(crate) async fn run(operators: &Operators, out: &Output, args: &Breakers) -> Result<ExitCode, Fault> {
    match &args.action {
        None | Some(BreakerVerb::List) => list(operators, out).await,
        Some(BreakerVerb::Watch) => watch(operators, out).await,
        Some(BreakerVerb::Trip { target }) => set(operators, out, target, api::BreakerAction::Trip).await,
        Some(BreakerVerb::Reset { target }) => set(operators, out, target, api::BreakerAction::Reset).await,
        Some(BreakerVerb::Disable { target }) => {
            set(operators, out, target, api::BreakerAction::Disable).await
        }
        Some(BreakerVerb::Enable { target }) => set(operators, out, target, api::BreakerAction::Enable).await,
    }
}

/// What each server answers. One that is away hides nothing of the others, and they are asked side by side.
async fn ask(operators: &Operators) -> Vec<(&Server, Result<Vec<api::Breaker>, Fault>)> {
    let asked = operators.all().iter().map(|server| async move {
        let answered = server.client.clone().list_breakers(request(api::ListBreakersRequest {})).await;
        (server, answer(answered).map(|answered| answered.breakers))
    });
    join_all(asked).await
}

async fn list(operators: &Operators, out: &Output) -> Result<ExitCode, Fault> {
    let (mut breakers, mut away) = (Vec::new(), Vec::new());
    for (server, answered) in ask(operators).await {
        match answered {
            Ok(answered) => breakers.extend(answered),
            Err(fault) => away.push((server, fault)),
        }
    }
    if away.len() == operators.all().len() {
        return away.into_iter().next().map_or(Ok(ExitCode::SUCCESS), |(_, fault)| Err(fault));
    }
    breakers.sort_by(|one, other| one.target.cmp(&other.target));
    let unanswered =
        away.iter().map(|(server, fault)| json!({"server": server.url, "reason": fault.message()}));
    let documents: Vec<Value> = breakers.iter().map(document).collect();
    let answer = json!({"breakers": documents, "unanswered": unanswered.collect::<Vec<_>>()});
    out.answer(&answer, || text(&breakers))?;
    for (server, fault) in &away {
        note(&format!("error: {} is not shown: {}", server.url, fault.message()));
    }
    Ok(if away.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn set(
    operators: &Operators,
    out: &Output,
    target: &str,
    action: api::BreakerAction,
) -> Result<ExitCode, Fault> {
    let message = api::SetBreakerRequest { target: target.to_owned(), action: action.into() };
    let answered = operators.of(target).client.clone().set_breaker(request(message)).await;
    print(out, &answer(answered)?.breakers)?;
    Ok(ExitCode::SUCCESS)
}

/// Follows all servers at once. One that is away is asked again for as long as it takes; where all are from the beginning, or one refuses, that is the end.
async fn watch(operators: &Operators, out: &Output) -> Result<ExitCode, Fault> {
    let mut faults = Vec::new();
    for (_, answered) in ask(operators).await {
        faults.extend(answered.err());
    }
    if faults.len() == operators.all().len()
        && let Some(fault) = faults.into_iter().next()
    {
        return Err(fault);
    }
    let mut followed: FuturesUnordered<_> =
        operators.all().iter().map(|server| follow(server, out)).collect();
    match followed.next().await {
        Some(Err(fault)) => Err(fault),
        Some(Ok(())) | None => Ok(ExitCode::SUCCESS),
    }
}

async fn follow(server: &Server, out: &Output) -> Result<(), Fault> {
    let (mut is_first, mut is_away) = (true, false);
    loop {
        let watched = server.client.clone().watch_breakers(Request::new(api::WatchBreakersRequest {})).await;
        let ended = match answer(watched) {
            Err(fault) => Err(fault),
            Ok(mut stream) => loop {
                match stream.message().await {
                    Ok(Some(message)) => {
                        if std::mem::take(&mut is_away) {
                            note(&format!("{} answers again", server.url));
                            is_first = true;
                        }
                        show(out, message.content, &mut is_first)?;
                    }
                    Ok(None) => break Ok(()),
                    Err(status) => break answer(Err::<tonic::Response<()>, _>(status)),
                }
            },
        };
        match ended {
            // A token's file has a new one by now, or the next attempt says otherwise.
            Err(fault) if !fault.is_transient() && (is_away || fault.reason() != "TOKEN_EXPIRED") => {
                return Err(fault);
            }
            Err(fault) if !is_away => {
                is_away = true;
                note(&format!("warning: {} is away: {}; it is asked again", server.url, fault.message()));
            }
            Ok(()) | Err(_) => {}
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// Prints what stands at first, then each change. What comes as a heartbeat is news to a program alone.
fn show(out: &Output, content: Option<Content>, is_first: &mut bool) -> Result<(), Fault> {
    match content {
        Some(Content::Snapshot(snapshot)) => {
            if snapshot.missed > 0 {
                note(&format!("warning: {} changes came faster than they could be printed", snapshot.missed));
            }
            if out.is_json() || std::mem::take(is_first) || snapshot.missed > 0 {
                print(out, &snapshot.breakers)?;
            }
            Ok(())
        }
        Some(Content::Transition(api::BreakerTransition { from, breaker: Some(breaker) })) => {
            let from = api::BreakerState::try_from(from).unwrap_or_default();
            let mut transition = document(&breaker);
            transition["from"] = state(from).into();
            out.answer(&json!({"transition": transition}), || {
                let (from, to, why) = (state(from), state(breaker.state()), cause(breaker.cause()));
                format!("{} {}: {from} -> {to} ({why})", instant(breaker.since_us), breaker.target)
            })
        }
        Some(Content::Transition(_)) | None => Ok(()),
    }
}

fn print(out: &Output, breakers: &[api::Breaker]) -> Result<(), Fault> {
    let documents: Vec<Value> = breakers.iter().map(document).collect();
    out.answer(&json!({"breakers": documents}), || text(breakers))
}

fn text(breakers: &[api::Breaker]) -> String {
    if breakers.is_empty() {
        return "no service has called anybody yet".to_owned();
    }
    let rows = breakers.iter().map(|breaker| {
        let (window, totals) = (breaker.window.unwrap_or_default(), breaker.totals.unwrap_or_default());
        vec![
            breaker.target.clone(),
            state(breaker.state()).to_owned(),
            instant(breaker.since_us),
            cause(breaker.cause()).to_owned(),
            window.calls.to_string(),
            format!("{:.0} %", window.failure_percent),
            format!("{:.0} %", window.slow_percent),
            totals.refused.to_string(),
            totals.opened.to_string(),
        ]
    });
    let header = ["target", "state", "since", "why", "calls", "failed", "slow", "refused", "opened"];
    table(&header, &[4, 5, 6, 7, 8], rows)
}

fn document(breaker: &api::Breaker) -> Value {
    let (window, totals) = (breaker.window.unwrap_or_default(), breaker.totals.unwrap_or_default());
    let settings = breaker.settings.unwrap_or_default();
    json!({
        "target": breaker.target,
        "state": state(breaker.state()),
        "cause": cause(breaker.cause()),
        "since": instant(breaker.since_us),
        "rests_for_us": breaker.rests_for_us,
        "window": {
            "calls": window.calls, "failed": window.failed, "slow": window.slow,
            "consecutive_failures": window.consecutive_failures,
            "failure_percent": window.failure_percent, "slow_percent": window.slow_percent,
        },
        "totals": {
            "good": totals.good, "failed": totals.failed, "cancelled": totals.cancelled, "slow": totals.slow,
            "refused": totals.refused, "opened": totals.opened,
        },
        "settings": {
            "failures": settings.failures, "open_first_ms": settings.open_first_ms,
            "open_for_ms": settings.open_for_ms, "probes": settings.probes, "window_ms": settings.window_ms,
            "window_calls": settings.window_calls, "failure_percent": settings.failure_percent,
            "slow_percent": settings.slow_percent, "slow_after_ms": settings.slow_after_ms,
        },
    })
}

const fn state(state: api::BreakerState) -> &'static str {
    match state {
        api::BreakerState::Closed => "closed",
        api::BreakerState::Open => "open",
        api::BreakerState::HalfOpen => "half-open",
        api::BreakerState::Tripped => "tripped",
        api::BreakerState::Disabled => "disabled",
        api::BreakerState::Unspecified => "unknown",
    }
}

const fn cause(cause: api::BreakerCause) -> &'static str {
    match cause {
        api::BreakerCause::Started => "started",
        api::BreakerCause::ConsecutiveFailures => "consecutive failures",
        api::BreakerCause::FailureRate => "failure rate",
        api::BreakerCause::SlowRate => "slow rate",
        api::BreakerCause::Rested => "rested",
        api::BreakerCause::ProbeFailed => "probe failed",
        api::BreakerCause::ProbesSucceeded => "probes succeeded",
        api::BreakerCause::Operator => "operator",
        api::BreakerCause::Unspecified => "unknown",
    }
}
