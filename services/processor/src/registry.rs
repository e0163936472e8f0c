//! Which version of which pathway runs an event.
//!
//! # Why by offset, and not "the newest"
//!
//! A run must stay on the version that it began with, whatever is activated meanwhile, and a run may begin again: after a crash, or because a peer
//! was away. "The version that is active now" would then be another one, and half of the steps of each would have been done. So an activation
//! does not say "now". It says, for each partition, *from which offset on*: those offsets are the partitions' ends, read and kept in the transaction
//! of the activation while appends wait. The version of an event is a function of its offset, and neither a crash nor an activation changes it.
//!
//! # Why a worker asks after it has read
//!
//! A worker may read an event an instant after an activation was committed and before this process knows of it. So it asks for the state *after* it has read
//! its events. Where other processes may activate too, that is a look at the number of the last activation. Where this process is alone, it is less: whoever
//! activates [says so before](Registry::changing), so while nobody has, the state that is known is the right one.

mod line;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pathway_engine::{DefinitionError, Pathway, Tools};
use pathway_topics::Topics;
use serde_json::Value;
use tokio::sync::watch;

use crate::error::ProcessorError;
use crate::store::{Activation, Store, Version};
pub(crate) use line::{Line, Stretch};

/// The pathways that run; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Registry {
    store: Store,
    topics: Topics,
    tools: Tools,
    snapshot: watch::Sender<Arc<Snapshot>>,
    /// How many activations of this process are on their way.
    changing: Arc<AtomicUsize>,
}

/// An activation on its way, from before its transaction until its effect is known.
#[derive(Debug)]
#[must_use = "without `through` workers look at the store for ever"]
pub(crate) struct Changing(Arc<AtomicUsize>);

/// The pathways that ran, run or are to run, as of one moment.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    generation: i64,
    /// In the order of their first activation.
    lines: Vec<Arc<Line>>,
}

// === impl Registry ===

impl Registry {
    pub(crate) async fn open(store: Store, topics: Topics, tools: Tools) -> Result<Self, ProcessorError> {
        let registry =
            Self { store, topics, tools, snapshot: watch::Sender::default(), changing: Arc::default() };
        registry.reload().await?;
        Ok(registry)
    }

    /// The state that this process knows of.
    pub(crate) fn known(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.borrow())
    }

    /// The state that decides every event that was read before this was called.
    pub(crate) async fn current(&self) -> Result<Arc<Snapshot>, ProcessorError> {
        let is_alone = !self.store.db().is_shared();
        // Asked before what is known: an activation makes its effect known first, and only then says that it is through.
        let is_settled = is_alone && self.changing.load(Ordering::SeqCst) == 0;
        let known = self.known();
        if is_settled || self.store.generation().await? == known.generation {
            Ok(known)
        } else {
            self.reload().await
        }
    }

    /// To be called before an activation, and kept until the state has been read anew after it.
    pub(crate) fn changing(&self) -> Changing {
        self.changing.fetch_add(1, Ordering::SeqCst);
        Changing(Arc::clone(&self.changing))
    }

    /// Wakes whenever the state has changed.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.subscribe()
    }

    /// Reads the state anew.
    pub(crate) async fn reload(&self) -> Result<Arc<Snapshot>, ProcessorError> {
        let activations = self.store.activations("").await?;
        let generation = activations.last().map_or(0, |last| last.sequence);
        let versions = self.store.versions("").await?;
        let mut by_name: Vec<(String, Vec<Activation>)> = Vec::new();
        for activation in activations {
            match by_name.iter_mut().find(|(name, _)| *name == activation.name) {
                Some((_, theirs)) => theirs.push(activation),
                None => by_name.push((activation.name.clone(), vec![activation])),
            }
        }
        let known = self.known();
        let mut lines = Vec::with_capacity(by_name.len());
        for (name, activations) in by_name {
            lines.push(Arc::new(self.line(&known, name, activations, &versions).await?));
        }
        let snapshot = Arc::new(Snapshot { generation, lines });
        self.snapshot.send_if_modified(|current| {
            // Two may read at once, and the older reading may come last.
            let newer = snapshot.generation >= current.generation;
            if newer {
                *current = Arc::clone(&snapshot);
            }
            newer
        });
        Ok(self.known())
    }

    /// A version with its tools: the one that is in use, or it is compiled.
    pub(crate) fn ready(&self, version: &Version) -> Result<Arc<Pathway>, Vec<DefinitionError>> {
        let in_use = self.known().line(&version.name).and_then(|line| line.version(&version.version));
        in_use.map_or_else(|| self.compile(version).map(Arc::new), Ok)
    }

    fn compile(&self, version: &Version) -> Result<Pathway, Vec<DefinitionError>> {
        compile(&version.definition, &version.schemas, &self.tools)
    }

    async fn line(
        &self,
        known: &Snapshot,
        name: String,
        mut activations: Vec<Activation>,
        versions: &[Version],
    ) -> Result<Line, ProcessorError> {
        let topic = activations.last().map(|last| last.topic.clone()).unwrap_or_default();
        activations.retain(|activation| activation.topic == topic);
        self.topics.open(&topic).await?;
        let mut committed = Vec::with_capacity(usize::try_from(self.topics.partitions()).unwrap_or_default());
        for partition in 0..self.topics.partitions() {
            committed.push(self.topics.committed(&topic, &name, partition).await?);
        }
        let before = known.line(&name);
        let stretch = |activation: Activation| {
            let pathway = activation.version.as_ref().map(|version| {
                let in_use = before.and_then(|line| line.version(version));
                in_use.map_or_else(|| self.find_and_compile(&name, version, versions), Ok)
            });
            Stretch { starts: activation.starts, version: activation.version, pathway }
        };
        let stretches = line::needed(activations, &committed).into_iter().map(stretch).collect();
        Ok(Line::new(name, topic, stretches))
    }

    fn find_and_compile(
        &self,
        name: &str,
        version: &str,
        versions: &[Version],
    ) -> Result<Arc<Pathway>, Vec<DefinitionError>> {
        let found = versions.iter().find(|kept| kept.name == name && kept.version == version);
        let missing = || {
            vec![DefinitionError {
                code: "UNKNOWN_VERSION",
                path: String::new(),
                message: format!("the version {version} of `{name}` is not in the store"),
                hint: "register it again".to_owned(),
            }]
        };
        self.compile(found.ok_or_else(missing)?).map(Arc::new)
    }
}

// === impl Changing ===

impl Changing {
    /// The state has been read anew. Where that never comes, because the caller went away in between, workers go on looking at the store: it costs them a
    /// little, and is always right.
    pub(crate) fn through(self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// All pathways, in the order of their first activation.
    pub(crate) fn lines(&self) -> &[Arc<Line>] {
        &self.lines
    }

    /// The pathway of this name.
    pub(crate) fn line(&self, name: &str) -> Option<&Arc<Line>> {
        self.lines.iter().find(|line| line.name() == name)
    }

    /// The pathways that a topic triggers. The first of them that is active decides what the topic takes, and its key.
    pub(crate) fn of_topic<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = &'a Arc<Line>> {
        self.lines.iter().filter(move |line| line.topic() == topic)
    }
}

/// Parses a definition and joins it with its tools.
pub(crate) fn compile(
    definition: &str,
    schemas: &BTreeMap<String, String>,
    tools: &Tools,
) -> Result<Pathway, Vec<DefinitionError>> {
    let schema = |name: &str| schemas.get(name).and_then(|text| serde_json::from_str::<Value>(text).ok());
    Pathway::parse(definition, &schema, tools)
}
