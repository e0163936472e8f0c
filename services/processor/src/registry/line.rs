//! One pathway through time: which version runs which offsets.

use std::sync::Arc;

use pathway_engine::{DefinitionError, Pathway};

use crate::store::Activation;

/// A pathway and the versions that events are still waiting for.
#[derive(Debug)]
pub(crate) struct Line {
    name: String,
    topic: String,
    /// In the order of their activation. Never empty.
    stretches: Vec<Stretch>,
}

/// The events from one activation to the next.
#[derive(Debug)]
pub(crate) struct Stretch {
    /// For each partition the first offset.
    pub(crate) starts: Vec<i64>,
    /// The version that runs them; none where the pathway takes no events.
    pub(crate) version: Option<String>,
    /// That version, or why this build cannot run it.
    pub(crate) pathway: Option<Result<Arc<Pathway>, Vec<DefinitionError>>>,
}

// === impl Line ===

impl Line {
    pub(crate) const fn new(name: String, topic: String, stretches: Vec<Stretch>) -> Self {
        Self { name, topic, stretches }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }

    /// The version that takes the events that are published now.
    pub(crate) fn active_version(&self) -> Option<&str> {
        self.stretches.last()?.version.as_deref()
    }

    /// What takes the events that are published now, where this build can run it.
    pub(crate) fn active(&self) -> Option<&Arc<Pathway>> {
        self.stretches.last()?.pathway.as_ref()?.as_ref().ok()
    }

    /// What runs the event at an offset, and the first offset that something else runs.
    pub(crate) fn at(&self, partition: i32, offset: i64) -> (&Stretch, i64) {
        let start = |stretch: &Stretch| {
            usize::try_from(partition).ok().and_then(|at| stretch.starts.get(at).copied()).unwrap_or(0)
        };
        // Where two begin at one offset, the later one decides it.
        let later = self.stretches.iter().rposition(|stretch| start(stretch) <= offset).unwrap_or(0);
        let until = self.stretches[later + 1..].iter().map(start).find(|next| *next > offset);
        (&self.stretches[later], until.unwrap_or(i64::MAX))
    }

    /// A version that is in use.
    pub(super) fn version(&self, version: &str) -> Option<Arc<Pathway>> {
        let stretch = self.stretches.iter().find(|stretch| stretch.version.as_deref() == Some(version))?;
        stretch.pathway.as_ref()?.as_ref().ok().map(Arc::clone)
    }
}

/// The activations that still decide something: a later one may begin before everything that waits, in every partition.
pub(super) fn needed(mut activations: Vec<Activation>, committed: &[i64]) -> Vec<Activation> {
    let decides_all = |activation: &Activation| {
        committed.iter().zip(&activation.starts).all(|(committed, start)| start <= committed)
    };
    let first = activations.iter().rposition(decides_all).unwrap_or(0);
    activations.split_off(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(starts: &[(Option<&str>, [i64; 2])]) -> Line {
        let stretches = starts.iter().map(|(version, starts)| Stretch {
            starts: starts.to_vec(),
            version: version.map(str::to_owned),
            pathway: None,
        });
        Line::new("p".to_owned(), "t".to_owned(), stretches.collect())
    }

    fn at(line: &Line, partition: i32, offset: i64) -> (Option<&str>, i64) {
        let (stretch, until) = line.at(partition, offset);
        (stretch.version.as_deref(), until)
    }

    #[test]
    fn an_offset_decides_the_version() {
        let line = line(&[(Some("a"), [0, 0]), (Some("b"), [5, 0]), (None, [5, 7]), (Some("c"), [9, 7])]);
        assert_eq!(at(&line, 0, 0), (Some("a"), 5));
        assert_eq!(at(&line, 0, 4), (Some("a"), 5));
        assert_eq!(at(&line, 0, 5), (None, 9), "the version between ran nothing here");
        assert_eq!(at(&line, 0, 9), (Some("c"), i64::MAX));
        assert_eq!(at(&line, 1, 0), (Some("b"), 7));
        assert_eq!(at(&line, 1, 7), (Some("c"), i64::MAX));
        assert_eq!(line.active_version(), Some("c"));
    }

    #[test]
    fn what_decides_nothing_any_more_is_left_out() {
        let activation = |sequence, starts: [i64; 2]| Activation {
            sequence,
            name: "p".to_owned(),
            version: Some(sequence.to_string()),
            topic: "t".to_owned(),
            starts: starts.to_vec(),
            activated_at_us: 0,
        };
        let all = vec![activation(1, [0, 0]), activation(2, [5, 0]), activation(3, [9, 7])];
        let kept = |committed: [i64; 2]| {
            needed(all.clone(), &committed).iter().map(|kept| kept.sequence).collect::<Vec<_>>()
        };
        assert_eq!(kept([0, 0]), [1, 2, 3]);
        assert_eq!(kept([4, 9]), [1, 2, 3]);
        assert_eq!(kept([5, 0]), [2, 3]);
        assert_eq!(kept([9, 7]), [3]);
    }
}
