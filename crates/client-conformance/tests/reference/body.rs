//! The response's body, which owns its connection until the end; and the raw stream after an upgrade.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use client_core::{Error, Phase, Result};
use futures_util::io::{AsyncRead, AsyncWrite};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::io::ReadBuf;
use tokio::sync::OwnedSemaphorePermit;

use super::{Lease, Pool, classify};

pub(super) struct LeasedBody {
    incoming: Incoming,
    /// Gone once it is given back.
    lease: Option<Lease>,
    key: String,
    pool: Arc<Pool>,
    permit: Option<OwnedSemaphorePermit>,
}

impl LeasedBody {
    pub(super) fn new(incoming: Incoming, lease: Lease, key: String, pool: Arc<Pool>, permit: OwnedSemaphorePermit) -> Self {
        let mut body = Self {
            incoming,
            lease: Some(lease),
            key,
            pool,
            permit: Some(permit),
        };
        if body.incoming.is_end_stream() {
            body.give_back();
        }
        body
    }

    fn give_back(&mut self) {
        // An answer before the end of the upload: the connection is lost, and closed by dropping it.
        if let Some(lease) = self.lease.take().filter(|lease| lease.upload.load(Ordering::Acquire)) {
            lease.silence.set(None);
            let key = std::mem::take(&mut self.key);
            self.pool.with(|idle| idle.entry(key).or_default().push(lease));
        }
        self.permit = None;
    }
}

impl Body for LeasedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        Poll::Ready(match frame {
            None => {
                self.give_back();
                None
            }
            Some(Ok(frame)) => Some(Ok(frame)),
            Some(Err(error)) => {
                let lease = self.lease.take();
                self.permit = None;
                lease.map(|lease| Err(classify(&error, &lease.silence, Phase::Body)))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// A request's body, which tells when hyper is done with it.
pub(super) struct Upload {
    body: client_core::Body,
    done: Arc<AtomicBool>,
}

impl Upload {
    pub(super) fn new(body: client_core::Body, done: &Arc<AtomicBool>) -> Self {
        Self {
            body,
            done: Arc::clone(done),
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Release);
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A tokio stream with the traits of the contract.
pub(super) struct TokioCompat<S>(S);

impl<S> TokioCompat<S> {
    pub(super) fn new(stream: S) -> Self {
        Self(stream)
    }
}

impl<S: tokio::io::AsyncRead + Unpin> AsyncRead for TokioCompat<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut buf))?;
        Poll::Ready(Ok(buf.filled().len()))
    }
}

impl<S: tokio::io::AsyncWrite + Unpin> AsyncWrite for TokioCompat<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
