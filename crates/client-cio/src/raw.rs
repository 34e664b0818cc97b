//! The raw stream of an upgraded connection: what was read ahead comes first. It keeps its place in the pool's limits until dropped.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Buf;
use futures_io::{AsyncRead, AsyncWrite};
use tokio::io::ReadBuf;

use crate::connection::{Connection, Exclusive};

/// A connection that no longer speaks HTTP.
pub(crate) struct RawStream(Exclusive);

impl RawStream {
    pub(crate) fn new(lease: Exclusive) -> Self {
        Self(lease)
    }

    fn conn(&mut self) -> &mut Connection {
        self.0.conn()
    }
}

impl AsyncRead for RawStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let conn = self.conn();
        if !conn.read.is_empty() {
            let n = conn.read.len().min(buf.len());
            conn.read.copy_to_slice(&mut buf[..n]);
            return Poll::Ready(Ok(n));
        }
        let mut buf = ReadBuf::new(buf);
        let read = tokio::io::AsyncRead::poll_read(Pin::new(&mut conn.stream), cx, &mut buf);
        read.map_ok(|()| buf.filled().len())
    }
}

impl AsyncWrite for RawStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        tokio::io::AsyncWrite::poll_write(Pin::new(&mut self.conn().stream), cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        tokio::io::AsyncWrite::poll_flush(Pin::new(&mut self.conn().stream), cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        tokio::io::AsyncWrite::poll_shutdown(Pin::new(&mut self.conn().stream), cx)
    }
}
