//! Registering and activating pathways.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pathway_engine::Pathway;
use tracing::Instrument as _;

use super::Processing;
use crate::error::ProcessorError;
use crate::pathways::{Source, topic_of};
use crate::registry::compile;
use crate::store::{Activation, Origin, Start, Version};

/// A version that is kept, and what it is made of.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) version: Version,
    pub(crate) pathway: Arc<Pathway>,
    pub(crate) topic: String,
    /// Whether it was not kept before.
    pub(crate) created: bool,
}

/// Versions that steps have asked for, by pathway and whole version.
pub(crate) type Pinned = HashMap<(String, String), Arc<Pathway>>;

/// A pathway through time.
#[derive(Debug)]
pub(crate) struct History {
    /// The version that was asked for.
    pub(crate) chosen: Kept,
    /// All, newest first.
    pub(crate) versions: Vec<Version>,
    /// Oldest first.
    pub(crate) activations: Vec<Activation>,
}

/// What the store has of a pathway.
struct Found {
    /// The version that was asked for.
    chosen: Version,
    versions: Vec<Version>,
    activations: Vec<Activation>,
}

/// How many versions are kept ready for steps; beyond that they are compiled again as they are asked for.
const MOST_PINNED: usize = 256;

// === impl Processing ===

impl Processing {
    /// A version, named in full or by its beginning, ready to be run: a step that names one asks for it with every batch.
    pub(crate) async fn pinned(&self, name: &str, version: &str) -> Result<Arc<Pathway>, ProcessorError> {
        let find =
            |version: &str| lock(&self.pinned).get(&(name.to_owned(), version.to_owned())).map(Arc::clone);
        // Known by its whole version alone: that never means another one, and a beginning may.
        if let Some(pathway) = find(version) {
            return Ok(pathway);
        }
        let Found { chosen, .. } = self.find(name, version).await?;
        if let Some(pathway) = find(&chosen.version) {
            return Ok(pathway);
        }
        let pathway = self.ready(&chosen)?;
        let mut pinned = lock(&self.pinned);
        if pinned.len() >= MOST_PINNED {
            pinned.clear();
        }
        pinned.insert((name.to_owned(), chosen.version), Arc::clone(&pathway));
        Ok(pathway)
    }

    /// Checks a definition; nothing is kept.
    pub(crate) fn validate(&self, source: Source) -> Result<Kept, ProcessorError> {
        let pathway = compile(&source.definition, &source.schemas, &self.tools)
            .map_err(|mistakes| ProcessorError::Definition { file: source.file, mistakes })?;
        let definition = pathway.definition();
        let topic = topic_of(definition, source.origin, &self.topic_names);
        // What a run leaves behind is kept under the topic; another one would begin anew under an old name.
        if let Some(line) = self.registry.known().line(definition.name())
            && line.topic() != topic
            && source.origin != Origin::Shipped
        {
            return Err(ProcessorError::TopicChanged { old: line.topic().to_owned(), new: topic });
        }
        let mut schemas = source.schemas;
        schemas.retain(|name, _| source.definition.contains(name.as_str()));
        let version = Version {
            name: definition.name().to_owned(),
            version: definition.version().to_owned(),
            origin: source.origin,
            definition: source.definition,
            schemas,
            registered_at_us: self.clock.now_us(),
        };
        Ok(Kept { version, pathway: Arc::new(pathway), topic, created: false })
    }

    /// Checks a definition and keeps it.
    pub(crate) async fn keep(&self, source: Source) -> Result<Kept, ProcessorError> {
        let mut kept = self.validate(source)?;
        kept.created = self.store.add_version(&kept.version).await?;
        if !kept.created {
            // Registered before, perhaps from elsewhere: what is kept never changes.
            let versions = self.store.versions(&kept.version.name).await?;
            let before = versions.into_iter().find(|before| before.version == kept.version.version);
            kept.version = before.unwrap_or(kept.version);
        }
        Ok(kept)
    }

    /// Lets a version run events; answers the version that did before.
    pub(crate) async fn let_run(&self, kept: &Kept, start: Start) -> Result<Option<String>, ProcessorError> {
        self.topics.open(&kept.topic).await?;
        let (name, version) = (&kept.version.name, &kept.version.version);
        let previous = self.switch(name, Some(version), &kept.topic, start).await?;
        if previous.as_ref() != Some(version) {
            tracing::info!(pathway = name, version, "activated a pathway");
        }
        Ok(previous)
    }

    /// Lets a version run events, or none; answers the one that did before.
    ///
    /// It goes to its end also where the caller goes away, and what stands is read anew also where it fails: until then, every batch of every worker looks at the store.
    async fn switch(
        &self,
        name: &str,
        version: Option<&str>,
        topic: &str,
        start: Start,
    ) -> Result<Option<String>, ProcessorError> {
        let (processing, now_us) = (self.clone(), self.clock.now_us());
        let (name, version, topic) = (name.to_owned(), version.map(str::to_owned), topic.to_owned());
        let run = async move {
            let Self { store, topics, registry, .. } = &processing;
            let changing = registry.changing();
            let activated = store.activate(topics, &name, version.as_deref(), &topic, start, now_us).await;
            registry.reload().await?;
            changing.through();
            activated
        };
        tokio::spawn(run.in_current_span()).await.unwrap_or(Err(ProcessorError::Ending))
    }

    /// Whether this version takes the events that are published now, as far as this process knows.
    pub(crate) fn runs(&self, kept: &Kept) -> bool {
        let known = self.registry.known();
        let active = known.line(&kept.version.name).and_then(|line| line.active_version());
        active == Some(kept.version.version.as_str())
    }

    /// Activates a version, named in full or by the beginning that no other version has.
    pub(crate) async fn activate(
        &self,
        name: &str,
        version: &str,
    ) -> Result<(Kept, Option<String>), ProcessorError> {
        let kept = self.pathway(name, version).await?.chosen;
        let previous = self.let_run(&kept, Start::Next).await?;
        Ok((kept, previous))
    }

    /// Lets a pathway take no more events; answers the version that took them.
    pub(crate) async fn deactivate(&self, name: &str) -> Result<String, ProcessorError> {
        let current = self.registry.current().await?;
        let Some(line) = current.line(name) else {
            // Registered or not, it takes no events.
            let is_known = !self.store.versions(name).await?.is_empty();
            let name = name.to_owned();
            return Err(if is_known {
                ProcessorError::NotActive(name)
            } else {
                ProcessorError::UnknownPathway(name)
            });
        };
        let previous = self.switch(name, None, line.topic(), Start::Next).await?;
        let previous = previous.ok_or_else(|| ProcessorError::NotActive(name.to_owned()))?;
        tracing::info!(pathway = name, version = previous, "deactivated a pathway");
        Ok(previous)
    }

    /// A pathway's versions and activations. An empty `version` means the active one, or the newest where none is active.
    pub(crate) async fn pathway(&self, name: &str, version: &str) -> Result<History, ProcessorError> {
        let Found { chosen, versions, activations } = self.find(name, version).await?;
        let pathway = self.ready(&chosen)?;
        let topic = topic_of(pathway.definition(), chosen.origin, &self.topic_names);
        let chosen = Kept { version: chosen, pathway, topic, created: false };
        Ok(History { chosen, versions, activations })
    }

    async fn find(&self, name: &str, version: &str) -> Result<Found, ProcessorError> {
        let versions = self.store.versions(name).await?;
        if name.is_empty() || versions.is_empty() {
            return Err(ProcessorError::UnknownPathway(name.to_owned()));
        }
        let activations = self.store.activations(name).await?;
        let active = activations.last().and_then(|last| last.version.as_deref());
        let asked = match (version, active) {
            ("", Some(active)) => active,
            (asked, _) => asked,
        };
        let mut found = versions.iter().filter(|kept| kept.version.starts_with(asked));
        let chosen = match (found.next(), found.next()) {
            (Some(newest), _) if asked.is_empty() => newest,
            (Some(only), None) => only,
            (first, _) => {
                let (name, version) = (name.to_owned(), version.to_owned());
                return Err(ProcessorError::UnknownVersion { name, version, ambiguous: first.is_some() });
            }
        };
        Ok(Found { chosen: chosen.clone(), versions, activations })
    }

    fn ready(&self, version: &Version) -> Result<Arc<Pathway>, ProcessorError> {
        let wrong = |mistakes| ProcessorError::Definition { file: String::new(), mistakes };
        self.registry.ready(version).map_err(wrong)
    }

    /// At most so many pathways behind a name, each in its active version, or its newest where none is active; and whether there are more.
    pub(crate) async fn pathways(
        &self,
        after: &str,
        limit: i64,
    ) -> Result<(Vec<(Kept, bool)>, bool), ProcessorError> {
        let mut names = self.store.names(after, limit.saturating_add(1)).await?;
        let size = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = names.len() > size;
        names.truncate(size);
        self.registry.current().await?;
        let mut pathways = Vec::with_capacity(names.len());
        for name in names {
            let chosen = self.pathway(&name, "").await?.chosen;
            let active = self.runs(&chosen);
            pathways.push((chosen, active));
        }
        Ok((pathways, has_more))
    }
}

fn lock(pinned: &Mutex<Pinned>) -> MutexGuard<'_, Pinned> {
    pinned.lock().unwrap_or_else(PoisonError::into_inner)
}
