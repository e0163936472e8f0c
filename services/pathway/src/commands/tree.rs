//! An execution as a tree: each node under the last that it waited for, with when it began and how long it took.

use std::fmt::Write as _;

use pathway_proto::pathway::processor::v1::{Execution, NodeStatus, Pathway, PathwayNode};

use super::executions::{milliseconds, node_status, status_name, trace_url};
use crate::output::instant;

/// How wide the longest bar is.
const WIDTH: i64 = 24;

/// The whole tree.
pub(crate) fn tree(execution: &Execution, pathway: &Pathway) -> String {
    let version: String = execution.pathway_version.chars().take(12).collect();
    let position = execution.position.unwrap_or_default();
    let mut text = format!(
        "{} {} {} in {}\nevent {} of {}, partition {} offset {}, key {}\n",
        execution.pathway,
        version,
        status_name(execution),
        milliseconds(execution.duration_us),
        execution.event_id,
        execution.topic,
        position.partition,
        position.offset,
        execution.partition_key,
    );
    let _ = writeln!(text, "began {}", instant(execution.started_at_us));
    if !execution.trace_id.is_empty() {
        let _ = writeln!(
            text,
            "trace {}",
            trace_url(&execution.trace_id).as_deref().unwrap_or(&execution.trace_id)
        );
    }
    let roots = children(None, pathway);
    branch(&roots, "", execution, pathway, &mut text);
    text
}

/// The nodes that hang under `parent`: those for which it is the last that they wait for.
fn children<'a>(parent: Option<&str>, pathway: &'a Pathway) -> Vec<&'a PathwayNode> {
    let last_need = |node: &PathwayNode| {
        // The nodes come in the order in which they run.
        let needed = pathway.nodes.iter().filter(|other| node.needs.contains(&other.name));
        needed.map(|other| other.name.clone()).next_back()
    };
    pathway.nodes.iter().filter(|node| last_need(node).as_deref() == parent).collect()
}

fn branch(nodes: &[&PathwayNode], indent: &str, execution: &Execution, pathway: &Pathway, text: &mut String) {
    for (index, node) in nodes.iter().enumerate() {
        let is_last = index + 1 == nodes.len();
        let (twig, below) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let _ = writeln!(text, "{indent}{twig}{}", line(node, execution));
        branch(&children(Some(&node.name), pathway), &format!("{indent}{below}"), execution, pathway, text);
    }
}

fn line(node: &PathwayNode, execution: &Execution) -> String {
    let Some(run) = execution.nodes.iter().find(|run| run.node == node.name) else {
        return format!("· {} ({}) not reached", node.name, node.tool);
    };
    let mark = match run.status() {
        NodeStatus::Succeeded => "✓",
        NodeStatus::Failed => "✗",
        NodeStatus::Skipped => "○",
        NodeStatus::FellBack => "↷",
        NodeStatus::Reused => "↺",
        NodeStatus::Unspecified => "?",
    };
    let mut line = format!("{mark} {} ({}) {}", node.name, node.tool, node_status(run).replace('_', " "));
    if !run.error_code.is_empty() {
        let _ = write!(line, " {}", run.error_code);
    }
    if run.attempts > 1 {
        let _ = write!(line, ", attempt {}", run.attempts);
    }
    if run.attempts > 0 {
        let (from, took) = (milliseconds(run.started_after_us), milliseconds(run.duration_us));
        let _ = write!(line, "  +{from}  {took}  {}", bar(run.duration_us, execution.duration_us));
    }
    line
}

/// A bar as long as the node's share of the whole.
fn bar(part: i64, whole: i64) -> String {
    let length = (part.saturating_mul(WIDTH) / whole.max(1)).clamp(1, WIDTH);
    "▪".repeat(usize::try_from(length).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use pathway_proto::pathway::processor::v1::{ExecutionStatus, NodeRun};

    use super::*;

    fn node(name: &str, needs: &[&str]) -> PathwayNode {
        let needs = needs.iter().map(|need| (*need).to_owned()).collect();
        PathwayNode { name: name.to_owned(), tool: "t".to_owned(), needs }
    }

    fn run(name: &str, status: NodeStatus, attempts: i32) -> NodeRun {
        let (node, status) = (name.to_owned(), status.into());
        NodeRun { node, status, attempts, duration_us: 1_000, started_after_us: 500, ..NodeRun::default() }
    }

    #[test]
    fn each_node_hangs_under_the_last_that_it_waited_for() {
        let pathway = Pathway {
            nodes: vec![
                node("a", &[]),
                node("b", &["a"]),
                node("c", &["a"]),
                node("d", &["b", "c"]),
                node("e", &["d"]),
            ],
            ..Pathway::default()
        };
        let execution = Execution {
            pathway: "p".to_owned(),
            pathway_version: "0123456789abcdef".to_owned(),
            event_id: "1".to_owned(),
            topic: "t".to_owned(),
            partition_key: "u".to_owned(),
            status: ExecutionStatus::Failed.into(),
            nodes: vec![
                run("a", NodeStatus::Reused, 0),
                run("b", NodeStatus::Skipped, 0),
                run("c", NodeStatus::Succeeded, 2),
                NodeRun { error_code: "NOT_FOUND".to_owned(), ..run("d", NodeStatus::Failed, 1) },
            ],
            duration_us: 4_000,
            ..Execution::default()
        };
        let expected = "\
p 0123456789ab failed in 4.0 ms
event 1 of t, partition 0 offset 0, key u
began 1970-01-01T00:00:00Z
└─ ↺ a (t) reused
   ├─ ○ b (t) skipped
   └─ ✓ c (t) succeeded, attempt 2  +0.5 ms  1.0 ms  ▪▪▪▪▪▪
      └─ ✗ d (t) failed NOT_FOUND  +0.5 ms  1.0 ms  ▪▪▪▪▪▪
         └─ · e (t) not reached
";
        assert_eq!(tree(&execution, &pathway), expected);
    }
}
