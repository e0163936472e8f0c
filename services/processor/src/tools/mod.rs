//! What pathways use: the peers, this service itself, and the outside.
//!
//! Each tool of a peer turns the JSON of a pathway into the messages of one peer's API and back. A call that fails as a whole is the engine's to judge; an
//! item that is refused is that item's failure alone.

mod analytics;
mod datasync;
mod grpc;
mod home;
mod http;
mod notifications;
mod pathway;
mod publish;
mod record;
mod stated;
mod transaction;

use std::time::Duration;

use pathway_engine::CallContext;
use pathway_kernel::{Code, Fault};
use pathway_rpc::from_status;
use serde_json::Value;
use tokio::time::Instant;
use tonic::{Request, Status};

pub(crate) use analytics::AnalyticsApply;
pub(crate) use datasync::DatasyncWrite;
pub(crate) use grpc::GrpcCall;
pub(crate) use home::Home;
pub(crate) use http::{HttpRequest, Secrets};
pub(crate) use notifications::NotificationsSend;
pub(crate) use pathway::SubPathway;
pub(crate) use publish::Publish;
pub(crate) use record::AnalyticsRecord;
pub(crate) use transaction::Reader;

/// How long a peer may take over a batch.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// The most items that a peer takes at once.
const MOST_ITEMS: usize = 4096;

/// A request that nobody works for once the pathway has stopped waiting.
fn request<T>(message: T, context: &CallContext) -> Request<T> {
    let left = context.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let mut request = Request::new(message);
    request.set_timeout(left.map_or(ANSWER_WITHIN, |left| left.min(ANSWER_WITHIN)));
    request
}

/// A peer's refusal of a whole call. Where it refuses *us*, the events are not to blame: somebody has to set a secret right, and they wait until then.
fn from_peer(status: Status) -> Fault {
    let fault = from_status(status);
    if matches!(fault.code(), Code::Unauthenticated | Code::PermissionDenied) {
        let message = "a peer does not accept our token: both need the same security.secret, or a token_file";
        return Fault::new(Code::Unavailable, "PEER_REFUSES_US", message).with_source(fault);
    }
    fault
}

/// A defect of the peer's: it did not answer as many results as there were items, or one without content.
fn no_answer() -> Fault {
    Fault::internal("a peer left an item without an answer")
}

/// Text under `key`; empty where there is none.
fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}
