//! Connections between exchanges, and the protocol that makes and keeps them: of HTTP/1.1 one is exclusive, of HTTP/2 shared.

use std::sync::Arc;

use client_core::{Answer, ConnectionInfo, Error, ErrorKind, Exchange, Limits, Phase, Result};
use client_h2::multiplexed::{self, Connection, Manner};
use client_transport::dial;
use client_transport::monitored::Monitored;
use client_transport::pool::{CloseReason, Conn, Dialed, Sharing, Verdict};
use client_transport::route::{Alpn, Route, Versions};
use client_transport::wire::{Lease, Line, Protocol};
use http::HeaderValue;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::config::{Connections, CustomizeClient};
use crate::drive::Drive;
use crate::driver::Transfer;
use crate::head::HostField;
use crate::informational::Mailbox;
use crate::upload::Outgoing;
use crate::{driver, error};

/// HTTP/1.1 or HTTP/2, as the server chooses.
pub(crate) struct Negotiated {
    pub(crate) manner: Manner,
    pub(crate) customize_client: Option<Arc<CustomizeClient>>,
}

/// A connection of HTTP/1.1. Dropped, it is closed.
pub(crate) struct Http1 {
    pub(crate) sender: http1::SendRequest<Outgoing>,
    pub(crate) drive: Drive,
    pub(crate) stream: Monitored,
    /// Of the exchange that it carries.
    pub(crate) info: Arc<ConnectionInfo>,
    /// The proxy that requests are written to; `None` towards an origin, also through a tunnel.
    pub(crate) proxy: Option<Proxy>,
    pub(crate) mailbox: Mailbox,
    pub(crate) host: HostField,
    pub(crate) transfer: Transfer,
}

/// A proxy that forwards requests: it wants the whole URI (RFC 9112 §3.2.2), and may want credentials of its own.
pub(crate) struct Proxy {
    pub(crate) authorization: Option<HeaderValue>,
}

impl Protocol for Negotiated {
    /// On the heap: a lease passes through many hands.
    type Exclusive = Box<Http1>;
    type Shared = Connection;

    fn sharing(&self, route: &Route) -> Sharing {
        match route.versions() {
            Versions::Http1 => Sharing::Exclusive,
            Versions::Http2 => Sharing::Expect,
            Versions::Any if route.origin().is_secure() => Sharing::Expect,
            Versions::Any => Sharing::Exclusive,
        }
    }

    async fn handshake(&self, dialed: dial::Dialed, route: &Route, line: Line<Self>) -> Result<Dialed<Box<Http1>, Connection>> {
        let is_http2 = match (route.versions(), dialed.alpn) {
            (Versions::Http1, _) => false,
            (_, Some(Alpn::Http2)) => true,
            (Versions::Any, _) => false,
            (Versions::Http2, _) if !route.origin().is_secure() => true,
            (Versions::Http2, chosen) => return Err(multiplexed::not_http2(chosen)),
        };
        let connections = self.builders(route);
        if is_http2 {
            let (handle, capacity) = multiplexed::start(connections.http2, dialed, &self.manner, line).await?;
            return Ok(Dialed::Shared { handle, capacity });
        }
        let stream = Monitored::new(dialed.stream);
        let made = connections.http1.handshake(TokioIo::new(stream.clone())).await;
        let (sender, connection) = made.map_err(|error| {
            let message = format!("the connection broke before it could be used: {}", error::cause(&error));
            Error::new(ErrorKind::Connect, message).with_phase(Phase::Connect).with_source(error)
        })?;
        Ok(Dialed::Exclusive(Box::new(Http1 {
            sender,
            drive: Drive::new(connection.with_upgrades()),
            mailbox: Mailbox::new(stream.clone()),
            stream,
            info: Arc::new(dialed.info),
            proxy: route.absolute_form().then(|| Proxy {
                authorization: route.proxy_authorization().cloned(),
            }),
            host: HostField::default(),
            transfer: Transfer::none(),
        })))
    }

    fn is_alive(&self, conn: &mut Conn<Box<Http1>, Connection>, must_be_sure: bool) -> bool {
        match conn {
            Conn::Exclusive(http1) => !http1.sender.is_closed() && !http1.stream.is_stale(must_be_sure),
            Conn::Shared(http2) => http2.is_alive(),
        }
    }

    fn info<'a>(&self, conn: &'a Conn<Box<Http1>, Connection>) -> &'a ConnectionInfo {
        match conn {
            Conn::Exclusive(http1) => &http1.info,
            Conn::Shared(http2) => http2.info(),
        }
    }

    #[expect(clippy::manual_async_fn, reason = "an async fn would hold its large argument twice")]
    fn exchange(
        &self,
        lease: Lease<Self>,
        exchange: &mut Exchange,
        answer: &mut Answer,
    ) -> impl Future<Output = Result<()>> + Send {
        async move {
            match lease.conn() {
                Conn::Exclusive(_) => driver::exchange(Exclusive(lease), exchange, answer, &self.manner).await,
                Conn::Shared(connection) => {
                    let connection = connection.clone();
                    multiplexed::exchange(lease, connection, exchange, answer, &self.manner).await
                }
            }
        }
    }
}

/// How many header fields hyper reads of a response. It makes room for all of them each time, which has its price: 256, the default of
/// [`Limits`], is what most calls get. Those that allow more go by connections of their own; their limits are checked afterwards.
pub(crate) fn fields_to_read(limits: &Limits) -> u16 {
    const USUAL: usize = 256;
    // A `HeaderMap` holds no 32,768.
    const MOST: usize = 1 << 14;
    limits.max_head_fields().checked_next_power_of_two().unwrap_or(MOST).clamp(USUAL, MOST) as u16
}

impl Negotiated {
    /// Our settings, then the user's.
    fn builders(&self, route: &Route) -> Connections {
        let mut http1 = http1::Builder::new();
        // "MUST replace each received obs-fold with one or more SP octets" (RFC 9112 §5.2): hyper does, where it is allowed to see one.
        http1.allow_obsolete_multiline_headers_in_responses(true);
        if let Some(fields) = route.head_fields() {
            http1.max_headers(fields.into());
        }
        let mut connections = Connections {
            http1,
            http2: multiplexed::builder(),
        };
        if let Some(customize) = &self.customize_client {
            customize(&mut connections);
        }
        connections
    }
}

/// A lease of a connection of HTTP/1.1; made only where that has been looked at.
pub(crate) struct Exclusive(Lease<Negotiated>);

impl Exclusive {
    pub(crate) fn http1(&self) -> &Http1 {
        match self.0.conn() {
            Conn::Exclusive(http1) => http1,
            Conn::Shared(_) => unreachable!("a connection never changes its shape"),
        }
    }

    pub(crate) fn http1_mut(&mut self) -> &mut Http1 {
        match self.0.conn_mut() {
            Conn::Exclusive(http1) => http1,
            Conn::Shared(_) => unreachable!("a connection never changes its shape"),
        }
    }

    pub(crate) fn is_reused(&self) -> bool {
        self.0.is_reused()
    }

    /// The exchange is over, and nothing is kept of it.
    pub(crate) fn finish(mut self, verdict: Verdict) {
        let http1 = self.http1_mut();
        http1.transfer.end();
        let verdict = match verdict {
            Verdict::Reuse { .. } if http1.drive.has_ended() => Verdict::Close(CloseReason::PeerClosed),
            verdict => verdict,
        };
        self.0.finish(verdict);
    }
}
