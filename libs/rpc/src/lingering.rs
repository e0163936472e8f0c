//! A connection that is closed so that its last words arrive.
//!
//! A socket that is closed while bytes lie unread in it answers with a reset, and a reset makes the other side's system throw away what its process has not read yet: the last answers, and the word
//! that the connection ends. Somebody who calls without pause has always sent something more. So the writing half is closed first, and what still comes is read and dropped until
//! the other side has closed too, or a moment has passed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// A connection with its first bytes, which is closed in two steps.
#[derive(Debug)]
pub(crate) struct Lingering<T> {
    inner: T,
    first: [u8; OPENING],
    filled: usize,
    taken: usize,
    closing: Closing,
}

#[derive(Debug)]
enum Closing {
    Open,
    /// The other side may still read and be about to close.
    Half(Pin<Box<Sleep>>),
    Closed,
}

/// How HTTP/2 begins. Of another protocol, the first byte that differs is enough.
const PREFACE: &[u8; OPENING] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const OPENING: usize = 24;
/// How long the other side may take to close.
const LINGER: Duration = Duration::from_secs(1);

// === impl Lingering ===

impl<T: AsyncRead + Unpin> Lingering<T> {
    pub(crate) const fn new(inner: T) -> Self {
        Self { inner, first: [0; OPENING], filled: 0, taken: 0, closing: Closing::Open }
    }

    /// Reads so much that the protocol is known; false where the other side has closed before.
    pub(crate) async fn open(&mut self) -> io::Result<bool> {
        while self.filled < OPENING && self.first[..self.filled] == PREFACE[..self.filled] {
            match self.inner.read(&mut self.first[self.filled..]).await? {
                0 => return Ok(false),
                read => self.filled += read,
            }
        }
        Ok(true)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Lingering<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let first = &this.first[this.taken..this.filled];
        if first.is_empty() {
            return Pin::new(&mut this.inner).poll_read(cx, buffer);
        }
        let count = first.len().min(buffer.remaining());
        buffer.put_slice(&first[..count]);
        this.taken += count;
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            match &mut this.closing {
                // ## Open => Half
                Closing::Open => {
                    ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
                    this.closing = Closing::Half(Box::pin(tokio::time::sleep(LINGER)));
                }

                // ## Half => (Half | Closed)
                Closing::Half(patience) => {
                    if patience.as_mut().poll(cx).is_pending() {
                        let mut dropped = [0; 4096];
                        let mut buffer = ReadBuf::new(&mut dropped);
                        let read = ready!(Pin::new(&mut this.inner).poll_read(cx, &mut buffer));
                        if read.is_ok() && !buffer.filled().is_empty() {
                            continue;
                        }
                    }
                    this.closing = Closing::Closed;
                }

                Closing::Closed => return Poll::Ready(Ok(())),
            }
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt as _, duplex};
    use tokio::time::Instant;
    use tokio_test::{assert_pending, assert_ready_ok, task};

    use super::*;

    #[tokio::test]
    async fn the_first_bytes_are_there_to_be_read_again() {
        for sent in [&PREFACE[..], b"GET / HTTP/1.1\r\n\r\n", b"PRIX"] {
            let (mut theirs, ours) = duplex(64);
            let mut ours = Lingering::new(ours);
            theirs.write_all(sent).await.unwrap();
            assert!(ours.open().await.unwrap());
            drop(theirs);
            let mut read = Vec::new();
            ours.read_to_end(&mut read).await.unwrap();
            assert_eq!(read, sent);
        }
        let (theirs, ours) = duplex(64);
        drop(theirs);
        assert!(!Lingering::new(ours).open().await.unwrap(), "who has said nothing is not served");
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_closed_when_the_other_side_has_closed_or_after_a_moment() {
        let (mut theirs, ours) = duplex(64);
        let mut ours = Lingering::new(ours);
        theirs.write_all(b"one call more").await.unwrap();
        let mut closing = task::spawn(ours.shutdown());
        assert_pending!(closing.poll());
        assert_eq!(theirs.read(&mut [0; 8]).await.unwrap(), 0, "it says at once that nothing more will come");
        drop(theirs);
        assert_ready_ok!(closing.poll());

        let (_silent, ours) = duplex(64);
        let begun = Instant::now();
        Lingering::new(ours).shutdown().await.unwrap();
        assert_eq!(begun.elapsed(), LINGER);
    }
}
