//! What can go wrong, in this service's words.

use pathway_engine::DefinitionError;
use pathway_kernel::{Code, Fault, Violation};
use pathway_store::StoreError;
use pathway_topics::TopicsError;

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
    /// The dead letter was redriven or discarded before.
    #[error("the dead letter was redriven or discarded before; it waits no more")]
    Resolved,
    /// A pathway that ships cannot be used.
    #[error("a pathway's definition is not valid: {}", list(.0))]
    Definition(Vec<DefinitionError>),
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
            ProcessorError::Resolved => Self::new(Code::FailedPrecondition, "RESOLVED", error.to_string()),
            ProcessorError::Ending => {
                Self::new(Code::Unavailable, "ENDING", "the service is ending; call again")
            }
            ProcessorError::Definition(_) => {
                let message = error.to_string();
                Self::new(Code::FailedPrecondition, "INVALID_DEFINITION", message)
            }
            ProcessorError::Topics(error) => error.into(),
            ProcessorError::Store(error) => error.into(),
            ProcessorError::Corrupt(error) => Self::internal(error),
        }
    }
}
