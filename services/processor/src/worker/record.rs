//! What a batch leaves behind: executions and dead letters.

use std::sync::Arc;

use pathway_engine::{EventOutcome, Failure, Node, NodeRun, NodeStatus, Pathway};
use pathway_kernel::{Code, Fault, stable_id};
use serde_json::{Map, Value};

use super::event::Event;
use super::trace::BatchTrace;
use super::{Worker, micros};
use crate::store::{DeadLetter, Ended, Execution, NodeRecord, ReplayStep, Status};

/// What the executions of one batch have in common.
pub(super) struct Run<'a> {
    pub(super) worker: &'a Worker,
    pub(super) version: &'a str,
    pub(super) started_at_us: i64,
    pub(super) duration_us: i64,
    pub(super) attempts: i32,
    pub(super) trace: &'a BatchTrace,
}

// === impl Run ===

impl Run<'_> {
    /// How often a node was tried, those tries included after which the batch was parked.
    fn tries(&self, in_this_run: u32) -> i32 {
        let in_this_run = i32::try_from(in_this_run).unwrap_or(i32::MAX);
        if in_this_run == 0 { 0 } else { (self.attempts - 1).saturating_add(in_this_run) }
    }

    /// How long after it was accepted an event's notices were stored; none where it caused none. What is replayed is told to nobody anew.
    pub(super) fn alert_delay(&self, event: &Event, outcome: &EventOutcome, nodes: &[&str]) -> Option<i64> {
        let sent = |run: &&NodeRun| run.status == NodeStatus::Succeeded && nodes.contains(&run.node.as_str());
        let run = outcome.nodes.iter().filter(|_| self.worker.replay.is_none()).find(sent)?;
        let stored_at_us = self.started_at_us + micros(run.started_after + run.duration);
        Some(stored_at_us - event.stored.appended_at_us)
    }

    pub(super) fn execution(&self, event: &Event, outcome: &EventOutcome) -> Execution {
        let nodes = outcome.nodes.iter().map(|run| NodeRecord {
            node: run.node.clone(),
            status: NodeRecord::status_code(run.status),
            attempts: self.tries(run.attempts),
            duration_us: micros(run.duration),
            error_code: run.error.map(Code::name).unwrap_or_default().to_owned(),
            started_after_us: micros(run.started_after),
        });
        Execution {
            id: event.execution_id,
            pathway: self.worker.pathway.clone(),
            version: self.version.to_owned(),
            event_id: event.envelope.id.clone(),
            topic: self.worker.topic.clone(),
            partition: event.stored.partition,
            offset: event.stored.offset,
            status: if outcome.failure.is_none() { Status::Succeeded } else { Status::Failed },
            nodes: nodes.collect(),
            started_at_us: self.started_at_us,
            duration_us: self.duration_us,
            trace_id: self.trace.of(&event.envelope),
            partition_key: event.key.clone(),
            error_code: outcome
                .failure
                .as_ref()
                .map(|failure| failure.fault.code().name())
                .unwrap_or_default()
                .to_owned(),
        }
    }

    pub(super) fn dead_letter(
        &self,
        event: Event,
        failure: Failure,
        answers: Map<String, Value>,
    ) -> DeadLetter {
        let id = event.execution_id.to_string();
        let trace_id = self.trace.of(&event.envelope);
        DeadLetter {
            id: stable_id(event.stored.appended_at_us, &["dead letter", id.as_str()]),
            execution_id: event.execution_id,
            pathway: self.worker.pathway.clone(),
            version: self.version.to_owned(),
            topic: self.worker.topic.clone(),
            partition: event.stored.partition,
            offset: event.stored.offset,
            event: event.envelope,
            node: failure.node,
            code: failure.fault.code(),
            reason: failure.fault.reason().to_owned(),
            message: failure.fault.message().to_owned(),
            violations: failure.fault.violations().to_vec(),
            attempts: self.attempts,
            failed_at_us: self.worker.processing.clock.now_us(),
            trace_id,
            answers,
            resolution: None,
        }
    }
}

// === impl Worker ===

impl Worker {
    /// Makes room for more events of these keys. The pathway that lets events in counts them out; a replay does not.
    fn release(&self, executions: &[Execution]) {
        let known = self.processing.registry.known();
        if known.of_topic(&self.topic).next().is_some_and(|line| line.name() == self.group) {
            let keys = executions.iter().map(|execution| execution.partition_key.as_str());
            self.processing.admission.release(&self.topic, keys);
        }
    }

    /// Keeps what a batch left behind, with the offset.
    pub(super) async fn end(
        &self,
        next: i64,
        executions: Vec<Execution>,
        dead_letters: Vec<DeadLetter>,
        done: i64,
    ) -> Result<(), Fault> {
        let executions = Arc::new(executions);
        let ended = Ended {
            topic: self.topic.clone(),
            group: self.group.clone(),
            partition: self.partition,
            next,
            executions: Arc::clone(&executions),
            dead_letters,
            replay: self.replay.map(|id| ReplayStep { id, done }),
        };
        self.processing.store.end(ended).await?;
        self.processing.topics.notify_committed(&self.topic, &self.group, self.partition, next);
        self.release(&executions);
        self.processing.ends.tell(executions);
        Ok(())
    }
}

/// The nodes that send notices.
pub(super) fn alerts(pathway: &Pathway) -> Vec<&str> {
    let nodes = pathway.definition().nodes().iter();
    nodes.filter(|node| node.tool() == "notifications.send").map(Node::name).collect()
}
