//! Pathways: what was registered, and from which offsets on which version runs.

use std::collections::BTreeMap;

use pathway_store::{Row, StoreError, Tx, Val};
use pathway_topics::Topics;

use super::Store;
use crate::error::ProcessorError;

const ADD_VERSION: &str =
    "INSERT INTO pathway_versions (name, version, origin, definition, schemas, registered_at_us)
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name, version) DO NOTHING";
const LIST_VERSIONS: &str =
    "SELECT name, version, origin, definition, schemas, registered_at_us FROM pathway_versions
     WHERE ($1 = '' OR name = $1) ORDER BY name, registered_at_us DESC, version";
const LIST_NAMES: &str = "SELECT DISTINCT name FROM pathway_versions WHERE name > $1 ORDER BY name LIMIT $2";
const LIST_ACTIVATIONS: &str =
    "SELECT sequence, name, version, topic, starts, activated_at_us FROM pathway_activations
     WHERE ($1 = '' OR name = $1) ORDER BY sequence";
const GENERATION: &str = "SELECT COALESCE(MAX(sequence), 0) FROM pathway_activations";
const LATEST: &str =
    "SELECT version, topic FROM pathway_activations WHERE name = $1 ORDER BY sequence DESC LIMIT 1";
const ADD_ACTIVATION: &str =
    "INSERT INTO pathway_activations (sequence, name, version, topic, starts, activated_at_us)
     SELECT COALESCE(MAX(sequence), 0) + 1, $1, $2, $3, $4, $5 FROM pathway_activations
     WHERE TRUE ON CONFLICT (sequence) DO NOTHING";
/// How often an activation tries again after another of the same moment took its number.
const TRIES: usize = 16;

/// A version as it was registered; it never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) origin: Origin,
    /// The definition, YAML.
    pub(crate) definition: String,
    /// The JSON Schemas that it refers to, by file name.
    pub(crate) schemas: BTreeMap<String, String>,
    pub(crate) registered_at_us: i64,
}

/// Where a version came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It ships with the processor.
    Shipped,
    /// A file that the processor was started with.
    File,
    /// The API.
    Api,
}

/// A change of the version that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Activation {
    pub(crate) sequence: i64,
    pub(crate) name: String,
    /// The version from then on; none where the pathway took no more events.
    pub(crate) version: Option<String>,
    pub(crate) topic: String,
    /// For each partition the first offset that it decides.
    pub(crate) starts: Vec<i64>,
    pub(crate) activated_at_us: i64,
}

/// Where an activation begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// With the first event that the topic ever had.
    Beginning,
    /// With the next event that is published.
    Next,
}

// === impl Store ===

impl Store {
    /// Keeps a version; false where it was kept before.
    pub(crate) async fn add_version(&self, version: &Version) -> Result<bool, ProcessorError> {
        let schemas =
            serde_json::to_string(&version.schemas).map_err(|error| ProcessorError::Corrupt(error.into()))?;
        let row: Vec<Val> = vec![
            Val::from(&version.name),
            Val::from(&version.version),
            version.origin.name().into(),
            Val::from(&version.definition),
            schemas.into(),
            version.registered_at_us.into(),
        ];
        self.db.write(move |tx| Ok(tx.execute(ADD_VERSION, &row)? > 0)).await
    }

    /// The versions of one pathway, or of all where `name` is empty: by name, the newest first.
    pub(crate) async fn versions(&self, name: &str) -> Result<Vec<Version>, ProcessorError> {
        self.db.query(LIST_VERSIONS, vec![name.into()]).await?.iter().map(version).collect()
    }

    /// At most so many names of pathways behind one, in order.
    pub(crate) async fn names(&self, after: &str, limit: i64) -> Result<Vec<String>, ProcessorError> {
        let rows = self.db.query(LIST_NAMES, vec![after.into(), limit.into()]).await?;
        rows.iter().map(|row| Ok(row.text(0)?.to_owned())).collect()
    }

    /// What was activated, oldest first.
    pub(crate) async fn activations(&self, name: &str) -> Result<Vec<Activation>, ProcessorError> {
        self.db.query(LIST_ACTIVATIONS, vec![name.into()]).await?.iter().map(activation).collect()
    }

    /// The number of the last activation. Whoever read events before asking knows of every activation that decides them.
    pub(crate) async fn generation(&self) -> Result<i64, ProcessorError> {
        let rows = self.db.query(GENERATION, Vec::new()).await?;
        Ok(rows.first().map_or(Ok(0), |row| row.i64(0))?)
    }

    /// Lets `version` run the events of `topic` from `start` on; answers the version that ran before. A version that runs already goes on.
    pub(crate) async fn activate(
        &self,
        topics: &Topics,
        name: &str,
        version: Option<&str>,
        topic: &str,
        start: Start,
        now_us: i64,
    ) -> Result<Option<String>, ProcessorError> {
        let (topics, name, topic) = (topics.clone(), name.to_owned(), topic.to_owned());
        let version = version.unwrap_or_default().to_owned();
        // Locking: appends to the topic wait, so that no event lies between the ends that are read and the activation.
        self.db
            .write_locking(move |tx| {
                let ends = topics.hold_ends_in(tx, &topic)?;
                let latest = latest(tx, &name)?;
                let previous = latest.as_ref().map(|(version, _)| version.clone()).filter(|v| !v.is_empty());
                if latest.as_ref() == Some(&(version.clone(), topic.clone())) {
                    return Ok(previous);
                }
                let starts = match start {
                    Start::Beginning => vec![0; ends.len()],
                    Start::Next => ends,
                };
                if latest.is_none_or(|(_, old)| old != topic) {
                    for (partition, next) in (0_i32..).zip(&starts) {
                        Topics::commit_in(tx, &topic, &name, partition, *next)?;
                    }
                }
                add_activation(tx, &name, &version, &topic, &starts, now_us)?;
                Ok(previous)
            })
            .await
    }
}

// === impl Origin ===

impl Origin {
    const ALL: [Self; 3] = [Self::Shipped, Self::File, Self::Api];

    const fn name(self) -> &'static str {
        match self {
            Self::Shipped => "shipped",
            Self::File => "file",
            Self::Api => "api",
        }
    }
}

fn latest(tx: &mut Tx<'_>, name: &str) -> Result<Option<(String, String)>, StoreError> {
    let rows = tx.query(LATEST, &[name.into()])?;
    rows.first().map(|row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned()))).transpose()
}

fn add_activation(
    tx: &mut Tx<'_>,
    name: &str,
    version: &str,
    topic: &str,
    starts: &[i64],
    now_us: i64,
) -> Result<(), ProcessorError> {
    let starts = serde_json::to_string(starts).map_err(|error| ProcessorError::Corrupt(error.into()))?;
    let row: [Val; 5] = [name.into(), version.into(), topic.into(), starts.into(), now_us.into()];
    for _ in 0..TRIES {
        if tx.execute(ADD_ACTIVATION, &row)? > 0 {
            return Ok(());
        }
    }
    Err(ProcessorError::Store(StoreError::Unavailable("others activate pathways all the time".into())))
}

fn version(row: &Row) -> Result<Version, ProcessorError> {
    let origin = row.text(2)?;
    Ok(Version {
        name: row.text(0)?.to_owned(),
        version: row.text(1)?.to_owned(),
        origin: Origin::ALL.into_iter().find(|known| known.name() == origin).unwrap_or(Origin::Api),
        definition: row.text(3)?.to_owned(),
        schemas: serde_json::from_str(row.text(4)?).map_err(|error| ProcessorError::Corrupt(error.into()))?,
        registered_at_us: row.i64(5)?,
    })
}

fn activation(row: &Row) -> Result<Activation, ProcessorError> {
    Ok(Activation {
        sequence: row.i64(0)?,
        name: row.text(1)?.to_owned(),
        version: Some(row.text(2)?.to_owned()).filter(|version| !version.is_empty()),
        topic: row.text(3)?.to_owned(),
        starts: serde_json::from_str(row.text(4)?).map_err(|error| ProcessorError::Corrupt(error.into()))?,
        activated_at_us: row.i64(5)?,
    })
}
