//! A request body that can be sent again.
//!
//! # Why not around the typed call
//! A message can be cloned and a body cannot, so the obvious place to try again is around the generated client's method. But then each of a hundred call sites has to remember
//! it, and what happens below (another address, a hedge) cannot use it. A unary call's body, though, is one message that is there from the first poll on, in
//! reference-counted bytes: to keep it costs a count. So it is taken in before the call is sent, and what is not there at once, a stream of requests, is passed on as it comes and
//! sent once.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// What was there at once, and the rest, where there is one.
    #[derive(Debug)]
    pub struct Replay<B> {
        frames: VecDeque<Bytes>,
        #[pin]
        rest: Option<B>,
    }
}

/// A request that is there as a whole, to be sent again.
#[derive(Debug, Clone)]
pub struct Kept {
    head: Request<()>,
    frames: VecDeque<Bytes>,
}

/// The most frames that are taken in: a message is one, and what has many is a stream.
const MOST_FRAMES: usize = 8;

// === impl Replay ===

impl<B> Replay<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    /// Takes in what is there.
    pub fn new(mut body: B) -> Self {
        let mut frames = VecDeque::new();
        // Whoever sends the rest polls it again with a waker of its own.
        let mut cx = Context::from_waker(Waker::noop());
        while frames.len() < MOST_FRAMES {
            if body.is_end_stream() {
                return Self { frames, rest: None };
            }
            match Pin::new(&mut body).poll_frame(&mut cx) {
                Poll::Ready(None) => return Self { frames, rest: None },
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => frames.push_back(data),
                    // A request of gRPC has no trailers; what has some is not ours to take apart.
                    Err(_) => break,
                },
                // It comes again where the rest is polled, or the connection notices.
                Poll::Ready(Some(Err(_))) | Poll::Pending => break,
            }
        }
        Self { frames, rest: Some(body) }
    }
}

impl<B: Body<Data = Bytes>> Body for Replay<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.project();
        if let Some(data) = this.frames.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        this.rest.as_pin_mut().map_or(Poll::Ready(None), |rest| rest.poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let known: u64 = self.frames.iter().map(|data| data.len() as u64).sum();
        match &self.rest {
            None => SizeHint::with_exact(known),
            Some(_) => SizeHint::new(),
        }
    }
}

// === impl Kept ===

impl Kept {
    /// What is kept of a request; none where a part of its body is not there yet.
    #[must_use]
    pub fn of<B>(request: &Request<Replay<B>>) -> Option<Self> {
        if request.body().rest.is_some() {
            return None;
        }
        Some(Self { head: copy(request), frames: request.body().frames.clone() })
    }

    /// Its head.
    #[must_use]
    pub const fn head(&self) -> &Request<()> {
        &self.head
    }

    /// The request once more.
    #[must_use]
    pub fn again<B>(&self) -> Request<Replay<B>> {
        copy(&self.head).map(|()| Replay { frames: self.frames.clone(), rest: None })
    }
}

fn copy<B>(request: &Request<B>) -> Request<()> {
    let mut copy = Request::new(());
    request.method().clone_into(copy.method_mut());
    request.uri().clone_into(copy.uri_mut());
    *copy.version_mut() = request.version();
    request.headers().clone_into(copy.headers_mut());
    request.extensions().clone_into(copy.extensions_mut());
    copy
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Channel, Full};

    use super::*;

    #[tokio::test]
    async fn a_message_is_sent_as_often_as_it_must_be() {
        let request = Request::post("/a/B")
            .header("x", "y")
            .body(Replay::new(Full::new(Bytes::from("message"))))
            .unwrap();
        let kept = Kept::of(&request).unwrap();
        for _ in 0..2 {
            let copy = kept.again::<Full<Bytes>>();
            assert_eq!((copy.uri().path(), copy.headers()["x"].as_bytes()), ("/a/B", &b"y"[..]));
            assert_eq!(copy.body().size_hint().exact(), Some(7));
            assert_eq!(copy.into_body().collect().await.unwrap().to_bytes(), "message");
        }
    }

    #[tokio::test]
    async fn what_comes_piece_by_piece_is_sent_once_and_whole() {
        let (mut sender, body) = Channel::<Bytes>::new(4);
        sender.send_data(Bytes::from("first ")).await.unwrap();
        let request = Request::new(Replay::new(body));
        assert!(Kept::of(&request).is_none());
        sender.send_data(Bytes::from("second")).await.unwrap();
        drop(sender);
        assert_eq!(request.into_body().collect().await.unwrap().to_bytes(), "first second");
    }
}
