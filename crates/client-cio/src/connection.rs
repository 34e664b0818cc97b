//! A connection between exchanges, and the protocol that makes and keeps it.

use bytes::BytesMut;
use client_core::{Body, ConnectionInfo, Exchange, Result};
use client_transport::dial;
use client_transport::pool::{Conn, Dialed, Sharing, Verdict};
use client_transport::route::Route;
use client_transport::stream::Stream;
use client_transport::wire::{Lease, Line, Protocol};
use http::{HeaderValue, Response};

use crate::driver;
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

/// A connection that carries one exchange at a time. Idle, it holds no read buffer.
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    /// What was read and not yet decoded.
    pub(crate) read: BytesMut,
    /// What the head of a request is written into; kept for the next one.
    pub(crate) head: Vec<u8>,
    pub(crate) info: ConnectionInfo,
    /// The proxy that requests are written to; `None` towards an origin, also through a tunnel.
    pub(crate) proxy: Option<Proxy>,
}

/// A proxy that forwards requests: it wants the whole URI (RFC 9112 §3.2.2), and may want credentials of its own.
pub(crate) struct Proxy {
    pub(crate) authorization: Option<HeaderValue>,
}

impl Protocol for H1 {
    type Exclusive = Connection;
    type Shared = Pipe;

    fn sharing(&self, route: &Route) -> Sharing {
        if route.is_pipelined() { Sharing::Expect } else { Sharing::Exclusive }
    }

    async fn handshake(&self, dialed: dial::Dialed, route: &Route, _: Line<Self>) -> Result<Dialed<Connection, Pipe>> {
        let connection = Connection {
            stream: dialed.stream,
            read: BytesMut::new(),
            head: Vec::new(),
            info: dialed.info,
            proxy: route.absolute_form().then(|| Proxy {
                authorization: route.proxy_authorization().cloned(),
            }),
        };
        Ok(match route.is_pipelined() {
            false => Dialed::Exclusive(connection),
            true => Dialed::Shared {
                handle: Pipe::new(connection),
                capacity: self.pipeline_max_size,
            },
        })
    }

    fn is_alive(&self, conn: &mut Conn<Connection, Pipe>, must_be_sure: bool) -> bool {
        match conn {
            Conn::Exclusive(connection) => !connection.stream.is_stale(must_be_sure),
            Conn::Shared(pipe) => pipe.is_alive(must_be_sure),
        }
    }

    fn info<'a>(&self, conn: &'a Conn<Connection, Pipe>) -> &'a ConnectionInfo {
        match conn {
            Conn::Exclusive(connection) => &connection.info,
            Conn::Shared(pipe) => pipe.info(),
        }
    }

    async fn exchange(&self, lease: Lease<Self>, exchange: &mut Exchange) -> Result<Response<Body>> {
        match lease.conn() {
            Conn::Exclusive(_) => driver::exchange(Exclusive(lease), exchange, self.socket_timeout).await,
            Conn::Shared(pipe) => {
                let pipe = pipe.clone();
                pipeline::exchange(lease, pipe, exchange, self.socket_timeout).await
            }
        }
    }
}

/// A lease of a connection that nobody shares; made only where that has been looked at.
pub(crate) struct Exclusive(Lease<H1>);

impl Exclusive {
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
