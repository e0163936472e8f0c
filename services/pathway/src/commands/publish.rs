//! `pathway publish`: events into a topic.
//!
//! Lines are read one by one and sent in batches, so that a file of any length needs little memory. Whether an event is good is the
//! service's decision; only its size is checked here, because a longer one is not even read. An event's id is its idempotency key, so a
//! batch whose answer was lost is sent again without a second effect.

mod lines;
mod report;

use std::process::ExitCode;
use std::time::Duration;

use pathway_kernel::{Backoff, Code, Fault, Rng};
use pathway_proto::pathway::processor::v1::{AwaitProcessedRequest, Event, PublishRequest, publish_result};
use pathway_rpc::from_item_status;
use tokio::io::{AsyncBufRead, BufReader};

use crate::cli::Publish;
use crate::client::{Mesh, NO_SERVER, answer, request, request_id, request_within};
use crate::output::{Output, progress};
use lines::{Line, next_line};
pub(crate) use report::{Report, failed};

/// The reason of a store whose disk is full.
const STORE_FULL: &str = "STORE_FULL";
/// The largest event that a topic takes.
const LARGEST_EVENT: usize = 1024 * 1024;
/// How many events travel together, at most.
const BATCH_EVENTS: usize = 512;
/// How many bytes travel together, at most (one event more may be on board).
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// How often a batch is sent again while the service cannot be reached.
const ATTEMPTS: u32 = 8;

pub(crate) async fn run(mesh: &Mesh, out: &Output, args: &Publish) -> Result<ExitCode, Fault> {
    let mut report = Report::default();
    let mut ended = send_input(mesh, args, &mut report).await;
    if report.is_empty() {
        ended?;
        return Err(empty());
    }
    if ended.is_ok() && args.wait {
        ended = wait(mesh, &args.topic, &report, Duration::from_secs(args.timeout)).await;
        match failed(mesh, &args.topic, &report).await {
            Ok(failed) => report.failed = failed,
            Err(fault) => ended = ended.and(Err(fault)),
        }
    }
    // Whatever went wrong after it: what was accepted and what was not must be known.
    report::print(out, &report)?;
    ended?;
    Ok(report.exit_code())
}

async fn send_input(mesh: &Mesh, args: &Publish, report: &mut Report) -> Result<(), Fault> {
    match (&args.data, &args.file) {
        // One event, whatever white space it holds.
        (Some(data), _) if data.len() > LARGEST_EVENT => {
            report.refused.push((1, too_long()));
            Ok(())
        }
        (Some(data), _) if data.trim().is_empty() => Ok(()),
        (Some(data), _) => send(mesh, &args.topic, vec![(1, data.clone().into_bytes())], report).await,
        (None, Some(path)) if path.as_os_str() == "-" => {
            send_all(mesh, &args.topic, BufReader::new(tokio::io::stdin()), report).await
        }
        (None, Some(path)) => {
            let file =
                tokio::fs::File::open(path).await.map_err(|error| unreadable(&path.display(), &error))?;
            send_all(mesh, &args.topic, BufReader::with_capacity(64 * 1024, file), report).await
        }
        (None, None) => Err(empty()),
    }
}

/// Sends each line of `input` as an event.
pub(crate) async fn send_all(
    mesh: &Mesh,
    topic: &str,
    mut input: impl AsyncBufRead + Unpin,
    report: &mut Report,
) -> Result<(), Fault> {
    let (mut number, progress) = (0, progress("events sent"));
    let mut batch: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut bytes = 0;
    while let Some(line) = next_line(&mut input, &mut number).await? {
        match line {
            Line::Event(_, data) if data.iter().all(u8::is_ascii_whitespace) => {}
            Line::Event(number, data) => {
                bytes += data.len();
                batch.push((number, data));
            }
            Line::TooLong(number) => {
                report.refused.push((number, too_long()));
            }
        }
        if batch.len() >= BATCH_EVENTS || bytes >= BATCH_BYTES {
            send(mesh, topic, std::mem::take(&mut batch), report).await?;
            bytes = 0;
            progress.set_position(report.accepted);
        }
    }
    send(mesh, topic, batch, report).await?;
    report.refused.sort_by_key(|(line, _)| *line);
    progress.finish_and_clear();
    Ok(())
}

/// Waits until every accepted event has been processed.
pub(crate) async fn wait(mesh: &Mesh, topic: &str, report: &Report, deadline: Duration) -> Result<(), Fault> {
    let positions = report.last();
    if positions.is_empty() {
        return Ok(());
    }
    let until = tokio::time::Instant::now() + deadline;
    retrying(true, || async {
        let left = until.saturating_duration_since(tokio::time::Instant::now());
        let message = AwaitProcessedRequest { topic: topic.to_owned(), positions: positions.clone() };
        answer(mesh.processor.clone().await_processed(request_within(message, left)).await)
    })
    .await
    .map(|_| ())
    .map_err(|fault| match fault.code() {
        Code::DeadlineExceeded => Fault::new(
            Code::DeadlineExceeded,
            "STILL_PROCESSING",
            "the events are stored but not all processed yet: see `pathway executions`, or wait with a longer --timeout",
        ),
        _ => fault,
    })
}

async fn send(
    mesh: &Mesh,
    topic: &str,
    batch: Vec<(u64, Vec<u8>)>,
    report: &mut Report,
) -> Result<(), Fault> {
    if batch.is_empty() {
        return Ok(());
    }
    let event = |(number, data)| (number, Event { data, ..Event::default() });
    let mut left: Vec<(u64, Event)> = batch.into_iter().map(event).collect();
    while !left.is_empty() {
        let events = left.iter().map(|(_, event)| event.clone()).collect();
        // Whatever becomes of the answer, the events are appended once.
        let message = PublishRequest { topic: topic.to_owned(), events, request_id: request_id() };
        let call = || async { answer(mesh.processor.clone().publish(request(message.clone())).await) };
        let response = retrying(!report.is_empty(), call).await?;
        let (mut again, mut wait) = (Vec::new(), Duration::ZERO);
        for ((number, event), result) in left.into_iter().zip(response.results) {
            match result.result {
                Some(publish_result::Result::Accepted(position)) => report.accept(position),
                Some(publish_result::Result::Error(status)) => {
                    let fault = from_item_status(status);
                    // Too many of its key wait: it is sent again, in its order, when there is room.
                    match room_after(&fault) {
                        Some(after) => {
                            wait = wait.max(after);
                            again.push((number, event));
                        }
                        None => report.refused.push((number, fault)),
                    }
                }
                None => return Err(Fault::internal("a publish result without content")),
            }
        }
        tokio::time::sleep(wait).await;
        left = again;
    }
    Ok(())
}

/// Repeats a call while the service cannot be reached, and for as long as it says that it is full; only for calls that may be repeated. Where nobody is there and
/// nobody `was_there` before, nobody is waited for.
async fn retrying<T, F: Future<Output = Result<T, Fault>>>(
    was_there: bool,
    call: impl Fn() -> F,
) -> Result<T, Fault> {
    let (backoff, rng) = (Backoff::default(), Rng::system());
    let (mut attempt, mut was_there) = (0, was_there);
    loop {
        let answer = call().await;
        if let Some(after) = answer.as_ref().err().and_then(room_after) {
            tokio::time::sleep(after).await;
            continue;
        }
        match answer {
            Err(fault) if fault.reason() == NO_SERVER && !was_there => return Err(fault),
            Err(fault) if attempt + 1 < ATTEMPTS && fault.code() == Code::Unavailable => {
                // Whatever else it was, somebody was there: one who was there comes back.
                was_there = true;
                tokio::time::sleep(
                    fault
                        .retry_after()
                        .unwrap_or_else(|| backoff.delay(attempt, &rng).min(Duration::from_secs(3))),
                )
                .await;
                attempt += 1;
            }
            result => return result,
        }
    }
}

/// When there may be room for what was refused because too much waits. None for any other refusal: for a full disk, most of all, which nothing that goes on makes emptier.
fn room_after(fault: &Fault) -> Option<Duration> {
    let is_crowded = fault.code() == Code::ResourceExhausted && fault.reason() != STORE_FULL;
    fault.retry_after().filter(|_| is_crowded)
}

fn too_long() -> Fault {
    let message = "the event is longer than 1 MiB: make it smaller, or keep large data elsewhere";
    Fault::new(Code::InvalidArgument, "EVENT_TOO_LARGE", message)
}

fn empty() -> Fault {
    Fault::new(Code::InvalidArgument, "EMPTY_INPUT", "the input holds no event: give one JSON object a line")
}

fn unreadable(what: &impl std::fmt::Display, error: &std::io::Error) -> Fault {
    Fault::new(Code::InvalidArgument, "UNREADABLE_FILE", format!("cannot read {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_crowded_out_comes_again_and_a_full_disk_is_told() {
        let refused = |reason: &'static str| {
            Fault::new(Code::ResourceExhausted, reason, "full").with_retry_after(Duration::from_secs(1))
        };
        assert_eq!(room_after(&refused("TOPIC_FULL")), Some(Duration::from_secs(1)));
        assert_eq!(room_after(&refused("KEY_FULL")), Some(Duration::from_secs(1)));
        assert_eq!(room_after(&refused(STORE_FULL)), None);
        assert_eq!(room_after(&Fault::internal("x")), None);
    }
}
