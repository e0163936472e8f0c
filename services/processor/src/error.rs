//! What can go wrong, in this service's words.

use std::time::Duration;

use pathway_engine::DefinitionError;
use pathway_kernel::{Code, Fault, Violation};
use pathway_store::StoreError;
use pathway_topics::TopicsError;

/// The reason by which whoever runs a replay knows that it is over.
pub(crate) const REPLAY_ENDED: &str = "REPLAY_ENDED";

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum ProcessorError {
    /// The request or an event is wrong.
    #[error("the input is not valid")]
    Invalid(Vec<Violation>),
    /// There is no such topic.
    #[error("there is no such topic")]
    UnknownTopic(String),
    /// There is no such dead letter.
    #[error("there is no dead letter with this id")]
    UnknownDeadLetter,
    /// There is no such execution.
    #[error("there is no execution with this id; old ones are removed")]
    UnknownExecution,
    /// The dead letter was redriven or discarded before.
    #[error("the dead letter was redriven or discarded before; it waits no more")]
    Resolved,
    /// The topic's pathways take no events.
    #[error(
        "the topic `{topic}` takes no events while its pathway is not active: `pathway pathways activate {pathway} VERSION`"
    )]
    InactiveTopic {
        /// The topic.
        topic: String,
        /// The pathway that would decide what it takes.
        pathway: String,
    },
    /// So many events wait that more would only wait longer.
    #[error("too many events wait in this topic: publish again later")]
    Overloaded {
        /// When there is likely to be room.
        retry_after: Duration,
    },
    /// So many events of one key wait that more would delay others.
    #[error("too many events of this key wait: publish again later")]
    Flood {
        /// When there is likely to be room.
        retry_after: Duration,
    },
    /// There is no such replay.
    #[error("there is no replay with this id; `pathway replays` lists those that there are")]
    UnknownReplay,
    /// The replay is over.
    #[error("the replay is over: it was cancelled, or has come to its end")]
    ReplayEnded,
    /// There is no such pathway.
    #[error("there is no pathway `{0}`; `pathway pathways` lists those that there are")]
    UnknownPathway(String),
    /// There is no such version of a pathway, or several begin like this.
    #[error(
        "{} of `{name}` begins with `{version}`; `pathway pathways show {name}` lists them",
        if *.ambiguous { "more than one version" } else { "no version" }
    )]
    UnknownVersion {
        /// The pathway.
        name: String,
        /// What was asked for.
        version: String,
        /// Whether there are several.
        ambiguous: bool,
    },
    /// The pathway takes no events.
    #[error("the pathway `{0}` is not active")]
    NotActive(String),
    /// A version reads another topic than those before it.
    #[error("this pathway reads the topic `{old}`; register one that reads `{new}` under another name")]
    TopicChanged {
        /// The topic so far.
        old: String,
        /// The topic of the new version.
        new: String,
    },
    /// A definition is wrong.
    #[error("the definition {file} is not valid: {}", list(.mistakes))]
    Definition {
        /// Its file's name, if it has one.
        file: String,
        /// Every mistake.
        mistakes: Vec<DefinitionError>,
    },
    /// A definition's file cannot be read.
    #[error("cannot read {path}: {error}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        error: String,
    },
    /// The service is ending.
    #[error("the service is ending")]
    Ending,
    /// The log failed.
    #[error("the log failed")]
    Topics(#[from] TopicsError),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// What is stored cannot be read: a defect.
    #[error("what is stored cannot be read")]
    Corrupt(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn list(errors: &[DefinitionError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// A mistake's path is the field; a file's name goes before it.
fn violations(file: &str, mistakes: &[DefinitionError]) -> Vec<Violation> {
    let violation = |mistake: &DefinitionError| {
        let path = if mistake.path.is_empty() { "definition" } else { mistake.path.as_str() };
        let field = if file.is_empty() { path.to_owned() } else { format!("{file}: {path}") };
        Violation::new(field, format!("{}; {} ({})", mistake.message, mistake.hint, mistake.code))
    };
    mistakes.iter().map(violation).collect()
}

// === impl ProcessorError ===

impl From<ProcessorError> for Fault {
    fn from(error: ProcessorError) -> Self {
        match error {
            ProcessorError::Invalid(violations) => Self::invalid(violations),
            ProcessorError::UnknownTopic(topic) => {
                let message =
                    format!("there is no topic `{topic}`; `pathway pathways` lists those that there are");
                Self::new(Code::NotFound, "UNKNOWN_TOPIC", message)
            }
            ProcessorError::UnknownDeadLetter => {
                Self::new(Code::NotFound, "UNKNOWN_DEAD_LETTER", error.to_string())
            }
            ProcessorError::UnknownExecution => {
                Self::new(Code::NotFound, "UNKNOWN_EXECUTION", error.to_string())
            }
            ProcessorError::Resolved => Self::new(Code::FailedPrecondition, "RESOLVED", error.to_string()),
            ProcessorError::Ending => Self::ending(),
            ProcessorError::InactiveTopic { .. } => {
                Self::new(Code::FailedPrecondition, "TOPIC_INACTIVE", error.to_string())
            }
            ProcessorError::Overloaded { retry_after } => {
                let message = error.to_string();
                Self::new(Code::ResourceExhausted, "TOPIC_FULL", message).with_retry_after(retry_after)
            }
            ProcessorError::Flood { retry_after } => {
                let message = error.to_string();
                Self::new(Code::ResourceExhausted, "KEY_FULL", message).with_retry_after(retry_after)
            }
            ProcessorError::UnknownPathway(_) => {
                Self::new(Code::NotFound, "UNKNOWN_PATHWAY", error.to_string())
            }
            ProcessorError::UnknownVersion { .. } => {
                Self::new(Code::NotFound, "UNKNOWN_VERSION", error.to_string())
            }
            ProcessorError::UnknownReplay => Self::new(Code::NotFound, "UNKNOWN_REPLAY", error.to_string()),
            ProcessorError::ReplayEnded => {
                Self::new(Code::FailedPrecondition, REPLAY_ENDED, error.to_string())
            }
            ProcessorError::NotActive(_) => {
                Self::new(Code::FailedPrecondition, "NOT_ACTIVE", error.to_string())
            }
            ProcessorError::TopicChanged { .. } => {
                Self::invalid(vec![Violation::new("on.topic", error.to_string())])
            }
            ProcessorError::Definition { file, mistakes } => Self::invalid(violations(&file, &mistakes)),
            ProcessorError::Unreadable { .. } => {
                Self::new(Code::FailedPrecondition, "UNREADABLE", error.to_string())
            }
            ProcessorError::Topics(error) => error.into(),
            ProcessorError::Store(error) => error.into(),
            ProcessorError::Corrupt(error) => Self::internal(error),
        }
    }
}
