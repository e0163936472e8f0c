//! Traces behind a topic.
//!
//! An event lies in the topic with the context of its publish, and its trace is to lead on from there: through the pathway's nodes to each service and its
//! store. But nodes run once for a batch, and so do the calls below them; they have one place in one trace.
//!
//! | the events of a batch that are kept belong to | then the batch's span |
//! |---|---|
//! | one publish, such as a batch of one | continues its trace: all that is done for the batch is part of it |
//! | several | begins a trace of its own with a link to each; each event's own trace gets a span with its nodes, linked to the batch's |
//! | none | is not kept either, and nothing is said about any event |
//!
//! What an event's own trace shows of its nodes is what its history knows; their times are given afterwards, so nothing is made for an event while it runs.
//! Whether an event is kept is one look at one character.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    Link, Span as _, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SdkTracer;
use pathway_engine::{EventOutcome, NodeRun, NodeStatus};
use pathway_kernel::Fault;
use pathway_telemetry::{SPANS, kept_trace, link, note, set_parent};
use tracing::{Span, field};

use super::Worker;
use super::event::Event;
use crate::events::Envelope;

/// What a trace shows of a batch.
pub(super) struct BatchTrace {
    pub(super) span: Span,
    /// Its events belong to several traces, none of which it continues.
    apart: bool,
    /// The batch's own trace, where it is kept.
    trace_id: String,
}

/// The most links of a span; the SDK drops what is beyond.
const LINKS: usize = 128;

// === impl BatchTrace ===

impl BatchTrace {
    pub(super) fn begin(worker: &Worker, events: &[Event], attempt: u32) -> Self {
        let span = span(worker, events.len(), attempt);
        if span.is_disabled() {
            return Self { span, apart: false, trace_id: String::new() };
        }
        let mut seen = HashSet::new();
        let envelopes = || events.iter().map(|event| &event.envelope);
        let kept: Vec<&Envelope> = envelopes()
            .filter(|envelope| kept_trace(&envelope.traceparent).is_some())
            .filter(|envelope| seen.insert(envelope.traceparent.as_str()))
            .collect();
        match kept.as_slice() {
            // Whoever published decided that nothing is kept; or nobody did, then the batch does.
            [] => {
                if let Some(published) = envelopes().find(|envelope| !envelope.traceparent.is_empty()) {
                    set_parent(&span, &published.trace());
                }
            }
            [one] => set_parent(&span, &one.trace()),
            several => several.iter().take(LINKS).for_each(|envelope| link(&span, &envelope.trace())),
        }
        let is_recorded = pathway_telemetry::is_recorded(&span);
        let trace_id = if is_recorded { pathway_telemetry::trace_id(&span) } else { String::new() };
        Self { apart: kept.len() > 1, trace_id, span }
    }

    /// The trace that shows what was done for an event; empty where none does.
    pub(super) fn of(&self, event: &Envelope) -> String {
        match kept_trace(&event.traceparent) {
            Some(own) if !self.span.is_disabled() => own.to_owned(),
            _ => self.trace_id.clone(),
        }
    }

    /// Something that may pass stopped the batch: it will be run again.
    pub(super) fn parked(&self, fault: &Fault) {
        self.span.record("otel.status_code", "ERROR");
        self.span.record("error.type", fault.code().name());
        note(&self.span, "parked", || vec![KeyValue::new("pathway.reason", fault.reason().to_owned())]);
    }

    /// What became of an event of the batch, which began at `started_at_us` and took `duration_us`.
    pub(super) fn ended(
        &self,
        worker: &Worker,
        event: &Event,
        outcome: &EventOutcome,
        started_at_us: i64,
        duration_us: i64,
    ) {
        if self.span.is_disabled() || (outcome.failure.is_none() && !self.apart) {
            return;
        }
        let failed = || outcome.failure.as_ref().map(|failure| about(&failure.node, &failure.fault));
        if let Some(about) = failed() {
            note(&self.span, "dead letter", || about);
        }
        let tracer = worker.processing.telemetry.tracer().filter(|_| self.apart);
        let Some(tracer) = tracer.filter(|_| kept_trace(&event.envelope.traceparent).is_some()) else {
            return;
        };
        let begun = SystemTime::UNIX_EPOCH + micros(started_at_us);
        let batch = pathway_telemetry::context(&self.span).span().span_context().clone();
        let attributes = vec![
            KeyValue::new("messaging.system", "pathway"),
            KeyValue::new("messaging.operation.name", "process"),
            KeyValue::new("messaging.operation.type", "process"),
            KeyValue::new("messaging.destination.name", worker.topic.clone()),
            KeyValue::new("messaging.consumer.group.name", worker.group.clone()),
            KeyValue::new("pathway.name", worker.pathway.clone()),
        ];
        let builder = tracer
            .span_builder(format!("process {}", worker.topic))
            .with_kind(SpanKind::Consumer)
            .with_start_time(begun)
            .with_attributes(attributes)
            .with_links(vec![Link::with_context(batch.clone())]);
        let mut span = tracer.build_with_context(builder, &event.envelope.trace().context());
        if let Some(about) = failed() {
            span.add_event("dead letter", about);
            span.set_status(Status::error(""));
        }
        let parent = Context::new().with_remote_span_context(span.span_context().clone());
        for run in &outcome.nodes {
            node(tracer, &parent, &batch, begun, run);
        }
        span.end_with_timestamp(begun + micros(duration_us));
    }
}

fn span(worker: &Worker, events: usize, attempt: u32) -> Span {
    // No child of the worker's span, which lasts as long as the process.
    tracing::info_span!(
        target: SPANS,
        parent: None,
        "process",
        otel.name = format!("process {}", worker.topic),
        otel.kind = "consumer",
        otel.status_code = field::Empty,
        messaging.system = "pathway",
        messaging.operation.name = "process",
        messaging.operation.type = "process",
        messaging.destination.name = worker.topic,
        messaging.destination.partition.id = worker.partition.to_string(),
        messaging.consumer.group.name = worker.group,
        messaging.batch.message_count = events,
        pathway.name = worker.pathway,
        pathway.attempt = attempt,
        error.type = field::Empty,
    )
}

/// A node of an event's own trace.
fn node(tracer: &SdkTracer, parent: &Context, batch: &SpanContext, begun: SystemTime, run: &NodeRun) {
    let started = begun + run.started_after;
    let attributes = vec![
        KeyValue::new("pathway.node", run.node.clone()),
        KeyValue::new("pathway.node.attempts", i64::from(run.attempts)),
    ];
    let builder = tracer
        .span_builder(run.node.clone())
        .with_start_time(started)
        .with_attributes(attributes)
        .with_links(vec![Link::with_context(batch.clone())]);
    let mut span = tracer.build_with_context(builder, parent);
    if let Some(code) = run.error {
        span.set_attribute(KeyValue::new("error.type", code.name()));
    }
    if run.status == NodeStatus::Failed {
        span.set_status(Status::error(""));
    }
    span.end_with_timestamp(started + run.duration);
}

/// Where and why an event failed, without what was in it.
fn about(node: &str, fault: &Fault) -> Vec<KeyValue> {
    vec![
        KeyValue::new("pathway.node", node.to_owned()),
        KeyValue::new("error.type", fault.code().name()),
        KeyValue::new("pathway.reason", fault.reason().to_owned()),
    ]
}

fn micros(us: i64) -> Duration {
    Duration::from_micros(u64::try_from(us).unwrap_or(0))
}
