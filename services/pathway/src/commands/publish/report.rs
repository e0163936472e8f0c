//! What became of events that were published.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::process::ExitCode;

use pathway_kernel::Fault;
use pathway_proto::pathway::processor::v1::{DeadLetter, EventPosition, ListDeadLettersRequest};
use pathway_rpc::from_item_status;
use serde_json::{Value, json};

use super::retrying;
use crate::client::{Mesh, answer, request};
use crate::output::Output;

/// What became of the events.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// How many are on disk.
    pub(crate) accepted: u64,
    /// Those that are not, by line.
    pub(crate) refused: Vec<(u64, Fault)>,
    /// Those that are on disk and have failed for good since; known where they were waited for.
    pub(super) failed: Vec<DeadLetter>,
    /// Where they are in each partition, in their order. Others' events are between them, but few, so that a long file takes little memory.
    places: BTreeMap<i32, Vec<Range<i64>>>,
}

// === impl Report ===

impl Report {
    /// Notes an event that is on disk.
    pub(crate) fn accept(&mut self, position: EventPosition) {
        self.accepted += 1;
        let (places, offset) = (self.places.entry(position.partition).or_default(), position.offset);
        match places.last_mut() {
            Some(last) if last.end == offset => last.end += 1,
            _ => places.push(offset..offset + 1),
        }
    }

    /// Whether nothing is known of any event.
    pub(super) fn is_empty(&self) -> bool {
        self.accepted == 0 && self.refused.is_empty()
    }

    /// The last event in each partition.
    pub(super) fn last(&self) -> Vec<EventPosition> {
        let last = |(&partition, places): (&i32, &Vec<Range<i64>>)| {
            places.last().map(|last| EventPosition { partition, offset: last.end - 1 })
        };
        self.places.iter().filter_map(last).collect()
    }

    fn has(&self, place: EventPosition) -> bool {
        let Some(places) = self.places.get(&place.partition) else { return false };
        let at = places.partition_point(|range| range.end <= place.offset);
        places.get(at).is_some_and(|range| range.contains(&place.offset))
    }

    /// Whether a place lies before all of ours in its partition.
    fn is_before(&self, place: EventPosition) -> bool {
        let first = self.places.get(&place.partition).and_then(|places| places.first());
        first.is_some_and(|first| place.offset < first.start)
    }

    /// Success where every event was accepted and none has failed.
    pub(super) fn exit_code(&self) -> ExitCode {
        if self.refused.is_empty() && self.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Which of the accepted events are dead letters by now. Letters are listed by the time at which their events were published, newest first; so nothing of ours comes
/// in a partition behind an event that is older than ours, however many others have failed meanwhile.
pub(crate) async fn failed(mesh: &Mesh, topic: &str, report: &Report) -> Result<Vec<DeadLetter>, Fault> {
    let (mut found, mut page_token) = (Vec::new(), String::new());
    let mut open: BTreeSet<i32> = report.places.keys().copied().collect();
    while !open.is_empty() {
        let message = ListDeadLettersRequest { page_size: 1000, page_token, ..Default::default() };
        let call =
            || async { answer(mesh.processor.clone().list_dead_letters(request(message.clone())).await) };
        let page = retrying(true, call).await?;
        for letter in page.dead_letters.into_iter().filter(|letter| letter.topic == topic) {
            let Some(place) = letter.position else { continue };
            if report.is_before(place) {
                open.remove(&place.partition);
            } else if report.has(place) {
                found.push(letter);
            }
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    Ok(found)
}

pub(super) fn print(out: &Output, report: &Report) -> Result<(), Fault> {
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
            let failed = report.failed.len();
            text.push_str(&format!("\nfailed {failed} for good: `pathway dead-letters` says why"));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(partition: i32, offset: i64) -> EventPosition {
        EventPosition { partition, offset }
    }

    #[test]
    fn a_report_knows_its_events_and_keeps_little_of_them() {
        let mut report = Report::default();
        for offset in (0..1_000).chain(1_005..2_000) {
            report.accept(at(3, offset));
        }
        report.accept(at(1, 7));
        assert_eq!((report.accepted, report.places[&3].len()), (1_996, 2));
        assert_eq!(report.last(), [at(1, 7), at(3, 1_999)]);
        let known = [at(3, 0), at(3, 999), at(3, 1_005), at(1, 7)];
        let others = [at(3, 1_000), at(3, 1_004), at(3, 2_000), at(1, 6), at(0, 0)];
        assert!(
            known.iter().all(|place| report.has(*place)) && !others.iter().any(|place| report.has(*place))
        );
        assert!(report.is_before(at(1, 6)) && !report.is_before(at(1, 7)) && !report.is_before(at(0, 0)));
    }
}
