//! A tunnel in a stream (RFC 9113 §8.5): what a CONNECT hands out. It keeps its place on the connection until dropped.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use client_transport::wire::{Lease, Protocol};
use futures_io::{AsyncRead, AsyncWrite};
use h2::{Reason, RecvStream, SendStream};

use super::connection::Call;

/// Both directions of a stream.
pub(super) struct Tunnel<P: Protocol> {
    send: SendStream<Bytes>,
    receive: RecvStream,
    /// What was received and not yet read.
    rest: Bytes,
    _call: Call,
    _lease: Lease<P>,
}

impl<P: Protocol> Tunnel<P> {
    pub(super) fn new(send: SendStream<Bytes>, receive: RecvStream, call: Call, lease: Lease<P>) -> Self {
        Self {
            send,
            receive,
            rest: Bytes::new(),
            _call: call,
            _lease: lease,
        }
    }
}

impl<P: Protocol> AsyncRead for Tunnel<P> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        while self.rest.is_empty() {
            match ready!(self.receive.poll_data(cx)) {
                Some(Ok(data)) => self.rest = data,
                // RFC 9113 §8.5: "A TCP connection error is signaled with RST_STREAM"; a stream that was cancelled has just ended.
                Some(Err(error)) if error.reason() == Some(Reason::CANCEL) => return Poll::Ready(Ok(0)),
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                None => return Poll::Ready(Ok(0)),
            }
        }
        let n = self.rest.len().min(buf.len());
        self.rest.copy_to_slice(&mut buf[..n]);
        // Only what has been read makes room for more.
        self.receive.flow_control().release_capacity(n).map_err(broken)?;
        Poll::Ready(Ok(n))
    }
}

impl<P: Protocol> AsyncWrite for Tunnel<P> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.send.reserve_capacity(buf.len());
        let capacity = match self.send.capacity() {
            0 => match ready!(self.send.poll_capacity(cx)) {
                Some(capacity) => capacity.map_err(broken)?,
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            },
            capacity => capacity,
        };
        let n = capacity.min(buf.len());
        self.send.send_data(Bytes::copy_from_slice(&buf[..n]), false).map_err(broken)?;
        Poll::Ready(Ok(n))
    }

    /// The connection's task sends as soon as it can.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.send.send_data(Bytes::new(), true).map_err(broken))
    }
}

fn broken(error: h2::Error) -> io::Error {
    match error.is_io() {
        true => error.into_io().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into()),
        false => io::Error::other(error),
    }
}
