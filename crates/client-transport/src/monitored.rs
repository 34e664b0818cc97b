//! A byte stream that one drives, and others keep an eye on: how much has passed, when it was last heard of, and its end.
//!
//! Owns counters and the right to close. Protocols must never enter.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::stream::Stream;

/// A stream, shared between the one that drives it and those that watch. Clones are the same stream.
#[derive(Clone, Debug)]
pub struct Monitored(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// `None` once it has been closed. Nobody waits for this lock longer than a system call takes.
    stream: Mutex<Option<Stream>>,
    is_write_vectored: bool,
    read: AtomicU64,
    written: AtomicU64,
    began: Instant,
    /// When the last byte came, in nanoseconds since the beginning, where somebody asks for it: looking at the clock is not free.
    last_read: Option<AtomicU64>,
}

/// How much has passed at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes that were read.
    pub read: u64,
    /// Bytes that were written.
    pub written: u64,
}

impl Monitored {
    /// Begins to watch how much passes.
    pub fn new(stream: Stream) -> Self {
        Self::watch(stream, None)
    }

    /// The same, and when.
    pub fn timed(stream: Stream) -> Self {
        Self::watch(stream, Some(AtomicU64::new(0)))
    }

    fn watch(stream: Stream, last_read: Option<AtomicU64>) -> Self {
        Self(Arc::new(Shared {
            is_write_vectored: stream.is_write_vectored(),
            stream: Mutex::new(Some(stream)),
            read: AtomicU64::new(0),
            written: AtomicU64::new(0),
            began: Instant::now(),
            last_read,
        }))
    }

    /// How much has passed so far.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            read: self.0.read.load(Ordering::Relaxed),
            written: self.0.written.load(Ordering::Relaxed),
        }
    }

    /// When a byte last came; when the watch began, if none did, or if it is not [`timed`](Self::timed).
    pub fn last_read(&self) -> Instant {
        let nanos = self.0.last_read.as_ref().map_or(0, |last| last.load(Ordering::Relaxed));
        self.0.began + Duration::from_nanos(nanos)
    }

    /// As [`Stream::is_stale`]; true once closed. The one that drives it has to be woken before it can wait for bytes again: whoever uses
    /// the connection does that by sending something.
    pub fn is_stale(&self, must_be_sure: bool) -> bool {
        self.lock().as_mut().is_none_or(|stream| stream.is_stale(must_be_sure))
    }

    /// Closes it, whoever drives it. At once, even if that one's runtime stands still.
    pub fn close(&self) {
        let stream = self.lock().take();
        drop(stream);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Stream>> {
        self.0.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, act: impl FnOnce(Pin<&mut Stream>) -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match &mut *self.lock() {
            Some(stream) => act(Pin::new(stream)),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncRead for Monitored {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(self.with(|stream| stream.poll_read(cx, buf)))?;
        let new = buf.filled().len() - before;
        self.0.read.fetch_add(new as u64, Ordering::Relaxed);
        if let Some(last) = self.0.last_read.as_ref().filter(|_| new > 0) {
            // 584 years.
            last.store(self.0.began.elapsed().as_nanos() as u64, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Monitored {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(self.with(|stream| stream.poll_write(cx, buf)))?;
        self.0.written.fetch_add(written as u64, Ordering::Relaxed);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = ready!(self.with(|stream| stream.poll_write_vectored(cx, bufs)))?;
        self.0.written.fetch_add(written as u64, Ordering::Relaxed);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_that_is_timed_knows_when_it_was_last_heard_of() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let (began, minute) = (Instant::now(), Duration::from_secs(60));
        let watched = Monitored::timed(Stream::boxed(ours));
        let mut driven = watched.clone();
        tokio::time::advance(minute).await;
        theirs.write_all(b"HTTP").await.unwrap();
        assert_eq!(driven.read(&mut [0; 8]).await.unwrap(), 4);
        tokio::time::advance(minute).await;
        driven.write_all(b"ab").await.unwrap();
        assert_eq!(watched.last_read(), began + minute);
    }

    #[tokio::test]
    async fn counts_and_closes_from_outside() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let watched = Monitored::new(Stream::boxed(ours));
        let mut driven = watched.clone();
        theirs.write_all(b"HTTP").await.unwrap();
        let mut buf = [0; 8];
        assert_eq!(driven.read(&mut buf).await.unwrap(), 4);
        driven.write_all(b"ab").await.unwrap();
        assert_eq!(watched.traffic(), Traffic { read: 4, written: 2 });
        watched.close();
        assert!(watched.is_stale(true));
        assert_eq!(driven.read(&mut buf).await.unwrap_err().kind(), io::ErrorKind::NotConnected);
        let mut rest = Vec::new();
        theirs.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"ab");
    }
}
