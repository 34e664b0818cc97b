//! A connection between exchanges, and the protocol that makes and keeps it.

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use client_core::{Answer, ConnectionInfo, Exchange, Result};
use client_transport::dial;
use client_transport::pool::{Conn, Dialed, Sharing, Verdict};
use client_transport::route::Route;
use client_transport::stream::Stream;
use client_transport::wire::{Lease, Line, Protocol};
use http::HeaderValue;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use crate::driver::{self, Transfer};
use crate::pipeline::{self, Pipe};
use client_transport::silence::SocketTimeout;

/// HTTP/1.1 as the wire sees it.
#[derive(Debug)]
pub(crate) struct H1 {
    /// How many requests may be in line on a pipelined connection.
    pub(crate) pipeline_max_size: usize,
    /// The engine's own limit for silence.
    pub(crate) socket_timeout: SocketTimeout,
}

/// A connection that carries one exchange at a time. Idle, it holds no read buffer but for a block of half a KiB.
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    /// What was read and not yet decoded.
    pub(crate) read: BytesMut,
    block: Block,
    /// The exchange under way.
    pub(crate) transfer: Transfer,
    pub(crate) info: Arc<ConnectionInfo>,
    /// The proxy that requests are written to; `None` towards an origin, also through a tunnel.
    pub(crate) proxy: Option<Proxy>,
}

/// A proxy that forwards requests: it wants the whole URI (RFC 9112 §3.2.2), and may want credentials of its own.
pub(crate) struct Proxy {
    pub(crate) authorization: Option<HeaderValue>,
}

/// How much is read at a time to begin with, as hyper does.
pub(crate) const READ_SIZE: usize = 8 << 10;

impl Connection {
    /// Appends what the socket has to what was read, about `appetite` bytes at most.
    ///
    /// A small read goes by the stack: what is kept of it, in header values and pieces of a body, then keeps little more memory than its own, and a small
    /// block is cheaper to allocate than a large one, if one has to be allocated at all.
    pub(crate) fn poll_read(&mut self, appetite: usize, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if appetite <= READ_SIZE {
            let mut space = [MaybeUninit::uninit(); READ_SIZE];
            let mut buf = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
            match self.read.is_empty() {
                true => self.read = self.block.copy(buf.filled()),
                false => self.read.extend_from_slice(buf.filled()),
            }
            return Poll::Ready(Ok(buf.filled().len()));
        }
        if self.read.capacity() - self.read.len() < READ_SIZE / 2 {
            self.read.reserve(appetite);
        }
        pin!(self.stream.read_buf(&mut self.read)).poll(cx)
    }
}

/// Where the small reads of a connection lie, one behind the other, and from the front again once nobody holds any of them: most responses cost no
/// allocation then.
#[derive(Default)]
struct Block(BytesMut);

impl Block {
    const SIZE: usize = 512;

    /// These bytes, in the block, if they are few.
    fn copy(&mut self, bytes: &[u8]) -> BytesMut {
        if bytes.len() > Self::SIZE {
            return BytesMut::from(bytes);
        }
        if self.0.capacity() < bytes.len() && !self.0.try_reclaim(Self::SIZE) {
            self.0 = BytesMut::with_capacity(Self::SIZE);
        }
        self.0.extend_from_slice(bytes);
        self.0.split()
    }
}

impl Protocol for H1 {
    // Behind a pointer, as a lease is moved at every step of an exchange.
    type Exclusive = Box<Connection>;
    type Shared = Pipe;

    fn sharing(&self, route: &Route) -> Sharing {
        if route.is_pipelined() { Sharing::Expect } else { Sharing::Exclusive }
    }

    async fn handshake(&self, dialed: dial::Dialed, route: &Route, _: Line<Self>) -> Result<Dialed<Box<Connection>, Pipe>> {
        let connection = Connection {
            stream: dialed.stream,
            read: BytesMut::new(),
            block: Block::default(),
            transfer: Transfer::none(),
            info: Arc::new(dialed.info),
            proxy: route.absolute_form().then(|| Proxy {
                authorization: route.proxy_authorization().cloned(),
            }),
        };
        Ok(match route.is_pipelined() {
            false => Dialed::Exclusive(Box::new(connection)),
            true => Dialed::Shared {
                handle: Pipe::new(connection),
                capacity: self.pipeline_max_size,
            },
        })
    }

    fn is_alive(&self, conn: &mut Conn<Box<Connection>, Pipe>, must_be_sure: bool) -> bool {
        match conn {
            Conn::Exclusive(connection) => !connection.stream.is_stale(must_be_sure),
            Conn::Shared(pipe) => pipe.is_alive(must_be_sure),
        }
    }

    fn info<'a>(&self, conn: &'a Conn<Box<Connection>, Pipe>) -> &'a ConnectionInfo {
        match conn {
            Conn::Exclusive(connection) => &connection.info,
            Conn::Shared(pipe) => pipe.info(),
        }
    }

    /// No `async fn`: its future, a part of every call's, would hold the lease twice.
    fn exchange(
        &self,
        lease: Lease<Self>,
        exchange: &mut Exchange,
        answer: &mut Answer,
    ) -> impl Future<Output = Result<()>> + Send {
        let limit = self.socket_timeout;
        async move {
            if let Conn::Shared(pipe) = lease.conn() {
                let pipe = pipe.clone();
                return Box::pin(pipeline::exchange(lease, pipe, exchange, answer, limit)).await;
            }
            let mut lease = Exclusive::new(lease, exchange);
            if let Err(error) = lease.conn().begin(exchange, limit) {
                lease.finish(Verdict::Reuse { keep_alive: None });
                return Err(error);
            }
            let head = lease.conn().perform(exchange).await?;
            driver::respond(lease, head, answer);
            Ok(())
        }
    }
}

/// A lease of a connection that nobody shares; made only where that has been looked at.
pub(crate) struct Exclusive(Lease<H1>);

impl Exclusive {
    /// Tells the exchange which connection it goes on.
    fn new(lease: Lease<H1>, exchange: &mut Exchange) -> Self {
        let (is_reused, mut lease) = (lease.is_reused(), Self(lease));
        let info = &mut lease.conn().info;
        // It changes once in the life of a connection.
        if info.reused != is_reused {
            Arc::make_mut(info).reused = is_reused;
        }
        exchange.connection = Some(Arc::clone(info));
        lease
    }

    pub(crate) fn shown(&self) -> &Connection {
        match self.0.conn() {
            Conn::Exclusive(connection) => connection,
            Conn::Shared(_) => unreachable!("a connection never changes its shape"),
        }
    }

    pub(crate) fn conn(&mut self) -> &mut Connection {
        match self.0.conn_mut() {
            Conn::Exclusive(connection) => connection,
            Conn::Shared(_) => unreachable!("a connection never changes its shape"),
        }
    }

    pub(crate) fn finish(self, verdict: Verdict) {
        self.0.finish(verdict);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_used_again_once_nobody_holds_any_of_it() {
        let mut block = Block::default();
        let first = block.copy(&[1; 200]);
        let begin = first.as_ptr();
        let second = block.copy(&[2; 200]);
        assert_eq!(second.as_ptr(), begin.wrapping_add(200), "behind the first");
        // No room, and both are held: another block.
        let third = block.copy(&[3; 200]);
        assert_eq!((&first[..], &second[..], &third[..]), (&[1; 200][..], &[2; 200][..], &[3; 200][..]));
        assert!(!(begin..begin.wrapping_add(Block::SIZE)).contains(&third.as_ptr()));
        let begin = third.as_ptr();
        drop(third);
        block.copy(&[4; 200]);
        assert_eq!(block.copy(&[5; 200]).as_ptr(), begin, "from the front");
        assert_eq!(block.copy(&[6; 600]), [6; 600][..]);
    }
}
