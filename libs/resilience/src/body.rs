//! A response body that tells how its call went.
//!
//! The status of a gRPC call comes in the trailers, behind its messages; only an error that is told at once comes in the head. So a unary call is settled by its
//! end. A stream is settled by its first message: it is alive, and may go on for hours.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::grpc;

/// What is told: once, or never if the body is dropped before.
pub trait Verdict {
    /// The call went well, or failed with a status.
    fn tell(self, failed: Option<i32>);
}

pin_project! {
    /// A body that tells how its call went as soon as that is known.
    #[derive(Debug)]
    pub struct Observed<B, G> {
        #[pin]
        inner: B,
        guard: Option<G>,
        is_stream: bool,
    }
}

// === impl Observed ===

impl<B, G> Observed<B, G> {
    pub(crate) const fn new(inner: B, guard: Option<G>, is_stream: bool) -> Self {
        Self { inner, guard, is_stream }
    }
}

impl<B: Default, G> Default for Observed<B, G> {
    fn default() -> Self {
        Self { inner: B::default(), guard: None, is_stream: false }
    }
}

impl<B: Body, G: Verdict> Body for Observed<B, G> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(cx));
        let settled = match &frame {
            Some(Ok(frame)) => match frame.trailers_ref() {
                Some(trailers) => Some(grpc::status(trailers).filter(|status| *status != 0)),
                None if *this.is_stream => Some(None),
                None => None,
            },
            Some(Err(_)) => Some(Some(grpc::UNAVAILABLE)),
            None => Some(None),
        };
        if let Some(failed) = settled
            && let Some(guard) = this.guard.take()
        {
            guard.tell(failed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
