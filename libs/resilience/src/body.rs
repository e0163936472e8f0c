//! A response body that tells how its call went.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::grpc;

/// What is told: once, at the first frame, or never if the body is dropped before.
pub trait Verdict {
    /// The call went well, or failed with a status.
    fn tell(self, failed: Option<i32>);
}

pin_project! {
    /// A body whose first frame settles how the call went, and whose end releases what was held for it.
    #[derive(Debug)]
    pub struct Observed<B, G> {
        #[pin]
        inner: B,
        guard: Option<G>,
    }
}

// === impl Observed ===

impl<B, G> Observed<B, G> {
    pub(crate) const fn new(inner: B, guard: Option<G>) -> Self {
        Self { inner, guard }
    }
}

impl<B: Default, G> Default for Observed<B, G> {
    fn default() -> Self {
        Self { inner: B::default(), guard: None }
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
        if let Some(guard) = this.guard.take() {
            guard.tell(match &frame {
                // A data frame is a sign of life; a stream may go on for hours.
                Some(Ok(frame)) => frame.trailers_ref().and_then(grpc::status).filter(|status| *status != 0),
                Some(Err(_)) => Some(grpc::UNAVAILABLE),
                None => None,
            });
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
