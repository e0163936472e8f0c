//! `pathway publish`: events into a topic.
//!
//! Lines are read one by one and sent in batches, so that a file of any length needs little memory. Whether an event is good is the
//! service's decision; only its size is checked here, because a longer one is not even read. An event's id is its idempotency key, so a
//! batch whose answer was lost is sent again without a second effect.

use std::collections::{BTreeMap, HashSet};
use std::process::ExitCode;
use std::time::Duration;

use pathway_kernel::{Backoff, Code, Fault, Rng};
use pathway_proto::pathway::processor::v1::{
    AwaitProcessedRequest, DeadLetter, Event, EventPosition, ListDeadLettersRequest, PublishRequest,
    publish_result,
};
use pathway_rpc::from_item_status;
use serde_json::{Value, json};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, BufReader};

use crate::cli::Publish;
use crate::client::{Mesh, answer, request, request_id, request_within};
use crate::output::{Output, progress};

/// The largest event that a topic takes.
const LARGEST_EVENT: usize = 1024 * 1024;
/// How many events travel together, at most.
const BATCH_EVENTS: usize = 512;
/// How many bytes travel together, at most (one event more may be on board).
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// How often a batch is sent again while the service cannot be reached.
const ATTEMPTS: u32 = 8;

/// What became of the events.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// How many are on disk.
    pub(crate) accepted: u64,
    /// Those that are not, by line.
    pub(crate) refused: Vec<(u64, Fault)>,
    /// Those that are on disk and have failed for good since; known where they were waited for.
    failed: Vec<DeadLetter>,
    last: BTreeMap<i32, i64>,
    positions: HashSet<(i32, i64)>,
}

/// A line of the input: its event, or why it holds none.
enum Line {
    Event(u64, Vec<u8>),
    TooLong(u64),
}

// === impl Report ===

impl Report {
    /// Notes an event that is on disk.
    pub(crate) fn accept(&mut self, position: EventPosition) {
        self.accepted += 1;
        let last = self.last.entry(position.partition).or_insert(position.offset);
        *last = position.offset.max(*last);
        self.positions.insert((position.partition, position.offset));
    }
}

pub(crate) async fn run(mesh: &Mesh, out: &Output, args: &Publish) -> Result<ExitCode, Fault> {
    let mut report = Report::default();
    let mut ended = send_input(mesh, args, &mut report).await;
    if ended.is_ok() && report.accepted == 0 && report.refused.is_empty() {
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
    print(out, &report)?;
    ended?;
    Ok(if report.refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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

/// Which of the accepted events are dead letters by now. They are the newest, so reading ends with the first page that has none of them.
pub(crate) async fn failed(mesh: &Mesh, topic: &str, report: &Report) -> Result<Vec<DeadLetter>, Fault> {
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let message = ListDeadLettersRequest { page_size: 1000, page_token, ..Default::default() };
        let call =
            || async { answer(mesh.processor.clone().list_dead_letters(request(message.clone())).await) };
        let page = retrying(call).await?;
        let is_ours = |letter: &DeadLetter| {
            let is_among = |place: EventPosition| report.positions.contains(&(place.partition, place.offset));
            letter.topic == topic && letter.position.is_some_and(is_among)
        };
        let before = found.len();
        found.extend(page.dead_letters.into_iter().filter(is_ours));
        page_token = page.next_page_token;
        if page_token.is_empty() || found.len() == before {
            return Ok(found);
        }
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
    let positions = report
        .last
        .iter()
        .map(|(&partition, &offset)| EventPosition { partition, offset })
        .collect::<Vec<_>>();
    if positions.is_empty() {
        return Ok(());
    }
    let until = tokio::time::Instant::now() + deadline;
    retrying(|| async {
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
        let response = retrying(call).await?;
        let (mut again, mut wait) = (Vec::new(), Duration::ZERO);
        for ((number, event), result) in left.into_iter().zip(response.results) {
            match result.result {
                Some(publish_result::Result::Accepted(position)) => report.accept(position),
                Some(publish_result::Result::Error(status)) => {
                    let fault = from_item_status(status);
                    // Too many of its key wait: it is sent again, in its order, when there is room.
                    match fault.retry_after().filter(|_| fault.code() == Code::ResourceExhausted) {
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

/// Repeats a call while the service cannot be reached, and for as long as it says that it is full; only for calls that may be repeated.
async fn retrying<T, F: Future<Output = Result<T, Fault>>>(call: impl Fn() -> F) -> Result<T, Fault> {
    let (backoff, rng) = (Backoff::default(), Rng::system());
    let mut attempt = 0;
    loop {
        match call().await {
            Err(fault) if fault.code() == Code::ResourceExhausted && fault.retry_after().is_some() => {
                tokio::time::sleep(fault.retry_after().unwrap_or_default()).await;
            }
            Err(fault) if attempt + 1 < ATTEMPTS && fault.code() == Code::Unavailable => {
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

/// Reads a line without ever holding more of it than an event may have.
async fn next_line(input: &mut (impl AsyncBufRead + Unpin), number: &mut u64) -> Result<Option<Line>, Fault> {
    let mut data = Vec::new();
    let (mut seen, mut too_long) = (false, false);
    loop {
        let chunk = input.fill_buf().await.map_err(|error| unreadable(&"the input", &error))?;
        if chunk.is_empty() {
            break;
        }
        if !seen {
            *number += 1;
            seen = true;
        }
        let (part, used, ended) = match chunk.iter().position(|&byte| byte == b'\n') {
            Some(at) => (&chunk[..at], at + 1, true),
            None => (chunk, chunk.len(), false),
        };
        too_long |= data.len() + part.len() > LARGEST_EVENT;
        if !too_long {
            data.extend_from_slice(part);
        }
        input.consume(used);
        if ended {
            break;
        }
    }
    Ok(match (seen, too_long) {
        (false, _) => None,
        (true, true) => Some(Line::TooLong(*number)),
        (true, false) => Some(Line::Event(*number, data)),
    })
}

fn print(out: &Output, report: &Report) -> Result<(), Fault> {
    let refused: Vec<Value> = report
        .refused
        .iter()
        .map(|(line, fault)| {
            let violations: Vec<Value> = fault
                .violations()
                .iter()
                .map(|violation| json!({"field": violation.field, "description": violation.description}))
                .collect();
            json!({"line": line, "reason": fault.message(), "violations": violations})
        })
        .collect();
    let event_id =
        |letter: &DeadLetter| letter.event.as_ref().map(|event| event.id.clone()).unwrap_or_default();
    let failed: Vec<Value> = report
        .failed
        .iter()
        .map(|letter| {
            let fault = from_item_status(letter.error.clone().unwrap_or_default());
            json!({"event_id": event_id(letter), "node": letter.node, "reason": fault.message()})
        })
        .collect();
    let document = json!({"accepted": report.accepted, "refused": refused, "failed": failed});
    out.answer(&document, || {
        let mut text = format!("accepted {}, refused {}", report.accepted, report.refused.len());
        for (line, fault) in &report.refused {
            text.push_str(&format!("\n  line {line}: {}", fault.message()));
        }
        if !report.failed.is_empty() {
            text.push_str(&format!("\nfailed {}: `pathway dead-letters` says why", report.failed.len()));
        }
        text
    })
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

    async fn lines(input: &[u8]) -> Vec<(u64, Option<usize>)> {
        let (mut input, mut number, mut lines) = (BufReader::with_capacity(7, input), 0, Vec::new());
        while let Some(line) = next_line(&mut input, &mut number).await.unwrap() {
            lines.push(match line {
                Line::Event(number, data) => (number, Some(data.len())),
                Line::TooLong(number) => (number, None),
            });
        }
        lines
    }

    #[tokio::test]
    async fn lines_are_counted_also_without_a_last_newline() {
        assert_eq!(lines(b"{}\n\n{\"a\":1}").await, [(1, Some(2)), (2, Some(0)), (3, Some(7))]);
        assert_eq!(lines(b"").await, []);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_named_and_its_neighbours_are_read() {
        let mut input = vec![b'x'; 10 * LARGEST_EVENT];
        input.extend_from_slice(b"\n{}\n");
        assert_eq!(lines(&input).await, [(1, None), (2, Some(2))]);
    }
}
