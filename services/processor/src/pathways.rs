//! The definitions that a processor starts with: those that ship, and those of its directory.

use std::collections::BTreeMap;
use std::path::Path;

use pathway_engine::Definition;

use crate::config::TopicsSettings;
use crate::error::ProcessorError;
use crate::processing::Processing;
use crate::store::{Origin, Start};

const TRANSACTIONS: &str = include_str!("../pathways/transactions.yaml");
const TRANSACTION_SCHEMA: &str = include_str!("../pathways/transaction.schema.json");

/// A definition in files.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The file's name; empty where it came through the API.
    pub(crate) file: String,
    pub(crate) origin: Origin,
    /// YAML.
    pub(crate) definition: String,
    /// The JSON Schemas beside it, by file name.
    pub(crate) schemas: BTreeMap<String, String>,
}

const NOTIFICATIONS: &str = include_str!("../pathways/notifications.yaml");
const NOTIFICATION_SCHEMA: &str = include_str!("../pathways/notification.schema.json");
const ANALYTICS: &str = include_str!("../pathways/analytics.yaml");
const ANALYTICS_SCHEMA: &str = include_str!("../pathways/analytics.schema.json");

/// All that ship.
fn shipped() -> Vec<Source> {
    let ships = |file: &str, definition: &str, schema: (&str, &str)| Source {
        file: file.to_owned(),
        origin: Origin::Shipped,
        definition: definition.to_owned(),
        schemas: BTreeMap::from([(schema.0.to_owned(), schema.1.to_owned())]),
    };
    vec![
        ships("transactions.yaml", TRANSACTIONS, ("transaction.schema.json", TRANSACTION_SCHEMA)),
        ships("notifications.yaml", NOTIFICATIONS, ("notification.schema.json", NOTIFICATION_SCHEMA)),
        ships("analytics.yaml", ANALYTICS, ("analytics.schema.json", ANALYTICS_SCHEMA)),
    ]
}

/// The topic of a pathway: its definition's, unless it ships and the configuration calls its topic something else.
pub(crate) fn topic_of(definition: &Definition, origin: Origin, names: &TopicsSettings) -> String {
    match (origin, definition.name()) {
        (Origin::Shipped, "transactions") => names.transactions.clone(),
        (Origin::Shipped, "notifications") => names.notifications.clone(),
        (Origin::Shipped, "analytics") => names.analytics.clone(),
        _ => definition.topic().to_owned(),
    }
}

/// All of a directory: each `*.yaml` and `*.yml`, with every `*.json` as a schema.
fn of_directory(directory: &Path) -> Result<Vec<Source>, ProcessorError> {
    let unreadable = |path: &Path, error: std::io::Error| ProcessorError::Unreadable {
        path: path.display().to_string(),
        error: error.to_string(),
    };
    let (mut definitions, mut schemas) = (BTreeMap::new(), BTreeMap::new());
    for entry in std::fs::read_dir(directory).map_err(|error| unreadable(directory, error))? {
        let path = entry.map_err(|error| unreadable(directory, error))?.path();
        let files = match path.extension().and_then(|extension| extension.to_str()) {
            Some("yaml" | "yml") => &mut definitions,
            Some("json") => &mut schemas,
            _ => continue,
        };
        let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
        if let Some(name) = path.file_name().and_then(|name| name.to_str()) {
            files.insert(name.to_owned(), text);
        }
    }
    let source =
        |(file, definition)| Source { file, origin: Origin::File, definition, schemas: schemas.clone() };
    Ok(definitions.into_iter().map(source).collect())
}

/// Registers what the processor starts with and activates it where nobody has decided otherwise.
///
/// - A file of the directory is active after a start. Whoever keeps definitions in files expects them to run.
/// - What ships is active until somebody activates a version of their own; then a new release registers its version and leaves theirs active.
pub(crate) async fn start(processing: &Processing, directory: &Path) -> Result<(), ProcessorError> {
    let mut sources = shipped();
    if !directory.as_os_str().is_empty() {
        sources.extend(of_directory(directory)?);
    }
    for source in sources {
        let kept = processing.keep(source).await?;
        let origin = kept.version.origin;
        let activations = processing.store.activations(&kept.version.name).await?;
        let versions = processing.store.versions(&kept.version.name).await?;
        let ships = |active: &str| {
            versions.iter().any(|kept| kept.version == active && kept.origin == Origin::Shipped)
        };
        let begin = match (activations.last(), origin) {
            // What ships made its topic, so no event of it was ever meant for somebody else.
            (None, Origin::Shipped) => Some(Start::Beginning),
            // The configuration gave the topic another name.
            (Some(last), Origin::Shipped) if last.topic != kept.topic => Some(Start::Beginning),
            (Some(last), Origin::Shipped) => {
                last.version.as_deref().is_some_and(ships).then_some(Start::Next)
            }
            (_, _) => Some(Start::Next),
        };
        if let Some(begin) = begin {
            processing.let_run(&kept, begin).await?;
        }
    }
    Ok(())
}
