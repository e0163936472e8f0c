//! What the tests of several layers use.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use http_body::{Body, Frame};

use crate::{Observed, Verdict};

/// A body of frames that are there at once.
#[derive(Debug, Default)]
pub(crate) struct Frames(VecDeque<Frame<&'static [u8]>>);

// === impl Frames ===

impl Frames {
    pub(crate) fn of(frames: impl IntoIterator<Item = Frame<&'static [u8]>>) -> Self {
        Self(frames.into_iter().collect())
    }
}

impl Body for Frames {
    type Data = &'static [u8];
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }
}

impl<G: Verdict + Unpin> Observed<Frames, G> {
    pub(crate) async fn next(&mut self) -> Option<Result<Frame<&'static [u8]>, Infallible>> {
        std::future::poll_fn(|cx| pin!(&mut *self).poll_frame(cx)).await
    }
}
