//! `client-cio`: our own HTTP/1.1 engine, the small and fast one.
//!
//! A pure codec (`h1`: bytes in, events out) and one driver that runs on the caller's task: no task and no channel per connection, one
//! write and one read for a small request. Connections are kept alive and reused; names, dialing, TLS and the pool are
//! `client-transport`'s.
//!
//! ```no_run
//! use std::time::Duration;
//! use client_cio::Cio;
//! use client_core::HttpClient;
//!
//! # fn main() -> client_core::Result<()> {
//! let engine = Cio::builder()
//!     .max_connections(1000)
//!     .endpoint(|e| e.max_connections_per_route(100).keep_alive(Duration::from_secs(5)).connect_attempts(5))
//!     .build();
//! let http = HttpClient::builder(engine).build()?;
//! # Ok(()) }
//! ```
//!
//! # What is not declared, and why
//!
//! | capability | why not, and what it would take |
//! |---|---|
//! | `Http2`, `Http2PriorKnowledge`, `StrictHttp2`, `Http2RequestTrailers` | one codec, that of HTTP/1.1, is the point of it; `client-hyper` speaks both |
//! | `Http3` | it would take QUIC, and a transport over UDP |
//!
//! The life of an exchange in this crate: `config.rs` (what the user set) → `connection.rs` (the protocol as the transport's wire sees
//! it) → `driver.rs` (one exchange) → `upload.rs` (its sending side) and `h1/` (its syntax).

mod config;
mod connection;
mod driver;
#[doc(hidden)]
pub mod h1;
mod pipeline;
mod raw;
mod upload;

use std::fmt;
use std::future::Future;

use client_core::{Answer, Capabilities, Capability, Engine, ErrorKind, Event, Exchange, Result, Sent};
use client_transport::engine_on_transport;
use client_transport::route::{Route, Versions};
use client_transport::transport::{self, Transport};

pub use config::{CioBuilder, Endpoint};
use connection::H1;

/// The engine. See the [crate's documentation](crate).
pub struct Cio {
    transport: Transport<H1>,
    pipelining: bool,
}

impl Cio {
    /// An engine with default settings.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// An engine to be configured.
    pub fn builder() -> CioBuilder {
        CioBuilder::default()
    }
}

impl Cio {
    /// On a connection that others share. Whoever loses it to another's mistake goes on alone: the request is safe (RFC 9110 §9.2.1).
    async fn in_line(&self, route: &Route, exchange: &mut Exchange, answer: &mut Answer) -> Result<()> {
        let wire = self.transport.wire();
        match wire.execute(&route.clone().pipelined(), exchange, answer).await {
            Err(error) if error.kind() == ErrorKind::Closed && error.sent() == Sent::Maybe => {
                exchange.trace.emit(&Event::Retried { reason: &error });
                wire.execute(route, exchange, answer).await
            }
            answer => answer,
        }
    }
}

impl fmt::Debug for Cio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cio").field("pipelining", &self.pipelining).finish_non_exhaustive()
    }
}

impl Default for Cio {
    fn default() -> Self {
        Self::new()
    }
}

const CAPABILITIES: Capabilities = transport::CAPABILITIES
    .with(Capability::Http1)
    .with(Capability::ExactHeaders)
    .with(Capability::SocketTimeout)
    .with(Capability::Upgrade)
    .with(Capability::Tunnel)
    .with(Capability::AsteriskForm)
    .with(Capability::ExpectContinue)
    .with(Capability::Informational)
    .with(Capability::HeadProgress)
    .with(Capability::StreamingUpload)
    .with(Capability::Duplex)
    .with(Capability::RequestTrailers)
    .with(Capability::ResponseTrailers);

impl Engine for Cio {
    fn name(&self) -> &'static str {
        "cio"
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    #[expect(clippy::manual_async_fn, reason = "an async fn would hold its arguments twice")]
    fn execute_into(&self, exchange: &mut Exchange, answer: &mut Answer) -> impl Future<Output = Result<()>> + Send {
        async move {
            let route = self.transport.route(exchange, Versions::Http1)?;
            if self.pipelining && pipeline::is_eligible(&exchange.request) {
                // On the heap: it is large, and few use it.
                return Box::pin(self.in_line(&route, exchange, answer)).await;
            }
            self.transport.wire().execute(&route, exchange, answer).await
        }
    }

    async fn warm_up(&self, mut exchange: Exchange) -> Result<()> {
        let route = self.transport.route(&exchange, Versions::Http1)?;
        // As a request without a body would go.
        let route = if self.pipelining { route.pipelined() } else { route };
        self.transport.wire().warm_up(&route, &mut exchange).await
    }

    engine_on_transport!();
}
