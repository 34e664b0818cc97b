//! The raw stream that an upgrade or a CONNECT hands out (RFC 9110 §7.8, §9.3.6).

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};

/// A connection that no longer speaks HTTP. Reads begin with whatever the server sent right after its response.
///
/// Runtime-neutral: it implements the [`futures_io`] traits; with tokio, use `tokio_util::compat`.
pub struct Upgraded(Pin<Box<dyn Stream>>);

trait Stream: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

impl Upgraded {
    /// For engines: a stream that is now the user's.
    pub fn new(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        Self(Box::pin(stream))
    }
}

impl AsyncRead for Upgraded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.0.as_mut().poll_read(cx, buf)
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.0.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_close(cx)
    }
}

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgraded").finish_non_exhaustive()
    }
}

/// How an engine passes the stream on: in the extensions of the 101 response, or of the 2xx response to a CONNECT.
/// [`Response::upgrade`](crate::Response::upgrade) takes it out. The stream is there once; clones share it.
#[derive(Clone, Debug)]
pub struct OnUpgrade(Arc<Mutex<Option<Upgraded>>>);

impl OnUpgrade {
    /// A stream to be taken once.
    pub fn new(stream: Upgraded) -> Self {
        Self(Arc::new(Mutex::new(Some(stream))))
    }

    /// The stream, unless it has been taken.
    pub fn take(&self) -> Option<Upgraded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
