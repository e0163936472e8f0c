//! An answer's body, at whose end the call ends.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::Code;

use super::call::{Call, status};

pin_project! {
    /// A body that is read within its call's span, and ends the call.
    #[derive(Debug)]
    pub struct Ended<B> {
        #[pin]
        inner: B,
        call: Option<Call>,
    }
}

// === impl Ended ===

impl<B> Ended<B> {
    /// The body of a call that is still under way, or of none.
    pub(super) const fn new(inner: B, call: Option<Call>) -> Self {
        Self { inner, call }
    }
}

impl<B: Body> Body for Ended<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = {
            let _entered = this.call.as_ref().map(|call| call.span.enter());
            ready!(this.inner.poll_frame(cx))
        };
        let code = match &frame {
            Some(Ok(frame)) => frame.trailers_ref().map(|trailers| status(trailers).unwrap_or(Code::Unknown)),
            // It broke off on its way.
            Some(Err(_)) => Some(Code::Unavailable),
            // An answer without a status is none.
            None => Some(Code::Unknown),
        };
        if let Some(code) = code
            && let Some(mut call) = this.call.take()
        {
            call.end(code);
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
