//! HTTP/2 as the wire sees it: every connection is shared.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use client_core::{Answer, ConnectionInfo, Exchange, Result};
use client_transport::dial;
use client_transport::pool::{Conn, Dialed, Sharing};
use client_transport::route::{Alpn, Route};
use client_transport::wire::{Lease, Line, Protocol};
use h2::client::Builder;

use crate::multiplexed::{self, Connection, Manner};

/// HTTP/2 and nothing else.
pub(crate) struct Http2 {
    pub(crate) manner: Manner,
    pub(crate) customize_client: Option<Arc<CustomizeClient>>,
}

/// A change to h2's settings of a connection.
pub(crate) type CustomizeClient = dyn Fn(&mut Builder) + Send + Sync;

impl Protocol for Http2 {
    type Exclusive = Infallible;
    type Shared = Connection;

    fn sharing(&self, _: &Route) -> Sharing {
        Sharing::Expect
    }

    async fn handshake(&self, dialed: dial::Dialed, route: &Route, line: Line<Self>) -> Result<Dialed<Infallible, Connection>> {
        if route.origin().is_secure() && dialed.alpn != Some(Alpn::Http2) {
            return Err(multiplexed::not_http2(dialed.alpn));
        }
        let mut builder = multiplexed::builder();
        if let Some(customize) = &self.customize_client {
            customize(&mut builder);
        }
        let (handle, capacity) = multiplexed::start(builder, dialed, &self.manner, line).await?;
        Ok(Dialed::Shared { handle, capacity })
    }

    fn is_alive(&self, conn: &mut Conn<Infallible, Connection>, _: bool) -> bool {
        conn.shared_mut().is_alive()
    }

    fn info<'a>(&self, conn: &'a Conn<Infallible, Connection>) -> &'a ConnectionInfo {
        match conn {
            Conn::Exclusive(never) => match *never {},
            Conn::Shared(connection) => connection.info(),
        }
    }

    fn exchange(
        &self,
        mut lease: Lease<Self>,
        exchange: &mut Exchange,
        answer: &mut Answer,
    ) -> impl Future<Output = Result<()>> + Send {
        let connection = lease.conn_mut().shared_mut().clone();
        multiplexed::exchange(lease, connection, exchange, answer, &self.manner)
    }
}
