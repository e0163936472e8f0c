//! Accepting connections while the process may open no more files.
//!
//! A connection that cannot be accepted for want of a file stays in the system's queue, and the listener stays ready; so who simply asks again asks as fast as
//! the machine can, and takes the time of the calls whose end would free a file. This waits a moment in between.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Sleep;
use tokio_stream::Stream;

/// What a listener accepts, without haste where it cannot.
#[derive(Debug)]
pub(crate) struct Patient<S> {
    inner: S,
    pause: Option<Pin<Box<Sleep>>>,
}

/// How long to wait before it is tried again.
const PAUSE: Duration = Duration::from_millis(100);
/// The numbers, on Linux, of: too many open files of the process, of the system, no memory, no buffers.
const EXHAUSTED: [i32; 4] = [24, 23, 12, 105];

// === impl Patient ===

impl<S> Patient<S> {
    pub(crate) const fn new(inner: S) -> Self {
        Self { inner, pause: None }
    }
}

impl<S, T> Stream for Patient<S>
where
    S: Stream<Item = io::Result<T>> + Unpin,
{
    type Item = io::Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match ready!(Pin::new(&mut self.inner).poll_next(cx)) {
                Some(Err(error)) if error.raw_os_error().is_some_and(|code| EXHAUSTED.contains(&code)) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "cannot accept a connection now"
                    );
                    self.pause = Some(Box::pin(tokio::time::sleep(PAUSE)));
                }
                accepted => return Poll::Ready(accepted),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;
    use tokio_stream::StreamExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_waits_where_there_are_no_files_left_and_nowhere_else() {
        let refused = |code| Err(io::Error::from_raw_os_error(code));
        let mut accepted =
            Patient::new(tokio_stream::iter([Ok(1), refused(24), refused(24), Ok(2), refused(103)]));
        let begun = Instant::now();
        assert_eq!(accepted.next().await.unwrap().unwrap(), 1);
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert_eq!(accepted.next().await.unwrap().unwrap(), 2);
        assert_eq!(begun.elapsed(), 2 * PAUSE);
        assert_eq!(accepted.next().await.unwrap().unwrap_err().raw_os_error(), Some(103));
        assert!(accepted.next().await.is_none());
    }
}
