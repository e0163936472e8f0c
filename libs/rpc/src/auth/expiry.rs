//! Streams end with the token that opened them.
//!
//! A stream is a permission that goes on, so it must not outlive what gave it. It ends with `UNAUTHENTICATED`, reason `TOKEN_EXPIRED`, and the `ErrorInfo`
//! says where to go on: its metadata has the fields of the request that begins behind the last message. Who has a new token loses and doubles nothing.

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio_stream::Stream;
use tonic::Status;
use tonic_types::StatusExt as _;

use super::{AuthError, Identity};
use crate::to_status;

/// Where to go on: fields of the request and their values.
pub type Position = BTreeMap<String, String>;

pin_project! {
    /// A stream that ends with its caller's token.
    pub struct Expiring<S, F> {
        #[pin]
        messages: S,
        expired: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
        note: F,
        position: Position,
        ended: bool,
    }
}

/// The same messages until the caller's token expires. `start` is where the stream begins; `note` moves the position behind a message.
pub fn expiring<S, M, F>(caller: Identity, messages: S, start: Position, note: F) -> Expiring<S, F>
where
    S: Stream<Item = Result<M, Status>>,
    F: FnMut(&M, &mut Position),
{
    // Boxed where there is something to wait for only.
    let expired =
        caller.ends().then(|| Box::pin(caller.expired()) as Pin<Box<dyn Future<Output = ()> + Send>>);
    Expiring { messages, expired, note, position: start, ended: false }
}

impl<S, M, F> Stream for Expiring<S, F>
where
    S: Stream<Item = Result<M, Status>>,
    F: FnMut(&M, &mut Position),
{
    type Item = Result<M, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        if *this.ended {
            return Poll::Ready(None);
        }
        if let Some(expired) = this.expired
            && expired.as_mut().poll(cx).is_ready()
        {
            *this.ended = true;
            return Poll::Ready(Some(Err(token_expired(std::mem::take(this.position)))));
        }
        let message = ready!(this.messages.poll_next(cx));
        if let Some(Ok(message)) = &message {
            (this.note)(message, this.position);
        }
        Poll::Ready(message)
    }
}

pub(super) fn token_expired(position: Position) -> Status {
    let status = to_status(&AuthError::Expired.into());
    let mut details = status.get_error_details();
    if let Some(info) = details.error_info() {
        let (reason, domain) = (info.reason.clone(), info.domain.clone());
        details.set_error_info(reason, domain, position.into_iter().collect::<HashMap<_, _>>());
    }
    Status::with_error_details(status.code(), status.message(), details)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pathway_kernel::{Clock, ManualClock};
    use tokio_stream::StreamExt as _;

    use super::*;
    use crate::Role;

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_with_its_token_and_says_where_to_go_on() {
        let manual = ManualClock::at(0);
        let caller = Identity::new(Role::User, "asha").until(Clock::manual(&manual), 60_000_000);
        let messages = tokio_stream::iter([Ok(7), Ok(8)]).chain(tokio_stream::pending());
        let start = Position::from([("after_sequence".to_owned(), "6".to_owned())]);
        let stream = expiring(caller, messages, start, |sequence: &i64, position| {
            position.insert("after_sequence".to_owned(), sequence.to_string());
        });
        tokio::pin!(stream);
        assert_eq!(stream.next().await.unwrap().unwrap(), 7);
        assert_eq!(stream.next().await.unwrap().unwrap(), 8);
        assert!(tokio::time::timeout(Duration::from_secs(600), stream.next()).await.is_err());
        manual.set(60_000_000);
        let ended = stream.next().await.unwrap().unwrap_err();
        assert_eq!(ended.code(), tonic::Code::Unauthenticated);
        let info = ended.get_error_details().error_info().cloned().unwrap();
        assert_eq!(info.reason, "TOKEN_EXPIRED");
        assert_eq!(info.metadata["after_sequence"], "8");
        assert!(stream.next().await.is_none());
    }
}
