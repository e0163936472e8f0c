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

/// A defect of the peer's: it left an item without an answer.
fn no_answer() -> Fault {
    Fault::internal("a peer left an item without an answer")
}

/// Sends the items that could be read, as many at once as a peer takes, and brings what it answers to each back to its place.
///
/// A call with more or fewer answers than items is a defect of the peer's, and nobody knows which answer is whose: the call has failed as a whole, or a user would
/// get what belongs to another one.
async fn in_calls<T, R, F: Future<Output = Result<Vec<R>, Fault>>>(
    read: Vec<Result<T, Fault>>,
    call: impl Fn(Vec<T>) -> F,
) -> Result<Vec<Result<R, Fault>>, Fault> {
    let mut slots = Vec::with_capacity(read.len());
    let mut good = Vec::with_capacity(read.len());
    for item in read {
        slots.push(item.map(|item| good.push(item)));
    }
    let mut results = Vec::with_capacity(good.len());
    while !good.is_empty() {
        let rest = good.split_off(good.len().min(MOST_ITEMS));
        let items = std::mem::replace(&mut good, rest);
        let count = items.len();
        let answered = call(items).await?;
        if answered.len() != count {
            let what = format!("a peer answered {} results for {count} items", answered.len());
            return Err(Fault::internal(what));
        }
        results.extend(answered);
    }
    let mut results = results.into_iter();
    Ok(slots.into_iter().map(|slot| slot.and_then(|()| results.next().ok_or_else(no_answer))).collect())
}

/// Text under `key`; empty where there is none.
fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_answer_comes_back_to_its_item() {
        let wrong = || Err(Fault::internal("cannot be read"));
        let mut read: Vec<Result<usize, Fault>> = (0..=2 * MOST_ITEMS).map(Ok).collect();
        read[1] = wrong();
        let answers = in_calls(read, |items: Vec<usize>| async move {
            assert!(items.len() <= MOST_ITEMS);
            Ok(items.into_iter().map(|item| item * 2).collect::<Vec<_>>())
        });
        let answers = answers.await.unwrap();
        assert!(answers[1].is_err());
        let mut good = answers.iter().enumerate().filter(|(at, _)| *at != 1);
        assert!(good.all(|(at, answer)| answer.as_ref().is_ok_and(|answer| *answer == at * 2)));
        assert_eq!(answers.len(), 2 * MOST_ITEMS + 1);
    }

    #[tokio::test]
    async fn an_answer_too_few_or_too_many_is_nobodys() {
        for change in [-1_isize, 1] {
            let read: Vec<Result<usize, Fault>> = (0..2 * MOST_ITEMS).map(Ok).collect();
            let answers = in_calls(read, |items: Vec<usize>| async move {
                Ok(vec![0_u8; items.len().checked_add_signed(change).unwrap()])
            });
            assert!(answers.await.is_err(), "{change}");
        }
    }
}
