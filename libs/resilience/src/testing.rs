//! What the tests of several layers use.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, Response};
use http_body::{Body, Frame};

use crate::{Contract, Observed, Safety, Verdict};

/// A body of frames that are there at once.
#[derive(Debug, Default)]
pub(crate) struct Frames(VecDeque<Frame<&'static [u8]>>);

/// Methods named `Idempotent` and `Read` are so; no error says anything; a header has the seconds of a `RetryInfo`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TestContract;

/// An answer that is its head.
pub(crate) fn answer(status: i32, headers: &[(&'static str, &'static str)]) -> Response<Frames> {
    let mut response = Response::builder().header("grpc-status", status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Frames::default()).unwrap()
}

// === impl TestContract ===

impl<E> Contract<E> for TestContract {
    fn safety(&self, path: &str) -> Safety {
        match path.rsplit('/').next() {
            Some("Idempotent") => Safety::Idempotent,
            Some("Read") => Safety::Read,
            _ => Safety::Unknown,
        }
    }

    fn is_unserved(&self, _: &E) -> bool {
        false
    }

    fn retry_info(&self, headers: &HeaderMap) -> Option<Duration> {
        headers.get("test-retry-info")?.to_str().ok()?.parse().ok().map(Duration::from_secs)
    }
}

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
