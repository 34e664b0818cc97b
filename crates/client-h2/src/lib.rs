//! `client-h2`: HTTP/2 (RFC 9113) and nothing else, on the [`h2`] crate: many calls at a time on one connection.
//!
//! Over TLS HTTP/2 is agreed upon by ALPN; without TLS it is spoken by prior knowledge (RFC 9113 §3.3). A server that speaks something else is
//! an error of kind [`Protocol`](client_core::ErrorKind::Protocol) that says so; there is no fallback. Names, dialing, TLS, proxies and the pool are
//! `client-transport`'s.
//!
//! ```no_run
//! use std::time::Duration;
//! use client_core::HttpClient;
//! use client_h2::H2;
//!
//! # fn main() -> client_core::Result<()> {
//! let engine = H2::builder().max_connections_per_route(4).ping_interval(Duration::from_secs(20)).build();
//! let http = HttpClient::builder(engine).build()?;
//! # Ok(()) }
//! ```
//!
//! - A connection carries as many calls as the server allows (`MAX_CONCURRENT_STREAMS`, 100 until it has said so, as in Go); then another one
//!   is opened, within the limits, or the call waits its turn. Calls that begin together share one dial.
//! - A request that the server has not acted on (GOAWAY, `REFUSED_STREAM`) is repeated elsewhere. Any other reset is an error of its call alone.
//! - A call that is dropped resets its stream, and gives back what it held of the connection's window.
//! - Server push is switched off. Priorities are not sent.
//! - One task drives each connection, on the [`dispatcher`](H2Builder::dispatcher) or on the runtime of the call that made it; a call sends its
//!   own body and reads its own response.
//!
//! # What is not declared, and why
//!
//! | capability | why not, and what it would take |
//! |---|---|
//! | `Http1` | one version, and no fallback, is the point of it; `client-hyper` speaks both |
//! | `Upgrade` | HTTP/2 has none (RFC 9113 §8.6); extended CONNECT (RFC 8441) would need an API of its own |
//! | `Http3` | it would take QUIC, and a transport over UDP |
//!
//! The life of an exchange in this crate: `config.rs` (what the user set) → `protocol.rs` (connections as the transport's wire sees them) →
//! `multiplexed/driver.rs` (one exchange) → `multiplexed/upload.rs` (its sending side). What moves a connection's frames is in
//! `multiplexed/frames.rs`. `multiplexed` is also how `client-hyper` speaks HTTP/2.

mod config;
#[doc(hidden)]
pub mod multiplexed;
mod protocol;

use client_core::{Answer, Capabilities, Capability, Engine, Exchange, Result};
use client_transport::engine_on_transport;
use client_transport::route::Versions;
use client_transport::transport::{self, Transport};

pub use config::H2Builder;

use protocol::Http2;

/// The engine. See the [crate's documentation](crate).
pub struct H2 {
    transport: Transport<Http2>,
}

impl H2 {
    /// An engine with default settings.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// An engine to be configured.
    pub fn builder() -> H2Builder {
        H2Builder::default()
    }
}

impl Default for H2 {
    fn default() -> Self {
        Self::new()
    }
}

const CAPABILITIES: Capabilities = transport::CAPABILITIES
    .with(Capability::Http2)
    .with(Capability::ExactHeaders)
    .with(Capability::Http2PriorKnowledge)
    .with(Capability::StrictHttp2)
    .with(Capability::SocketTimeout)
    .with(Capability::Tunnel)
    .with(Capability::AsteriskForm)
    .with(Capability::ExpectContinue)
    .with(Capability::Informational)
    .with(Capability::HeadProgress)
    .with(Capability::StreamingUpload)
    .with(Capability::Duplex)
    .with(Capability::RequestTrailers)
    .with(Capability::Http2RequestTrailers)
    .with(Capability::ResponseTrailers);

impl Engine for H2 {
    fn name(&self) -> &'static str {
        "h2"
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn execute_into(&self, exchange: &mut Exchange, answer: &mut Answer) -> impl Future<Output = Result<()>> + Send {
        self.transport.execute(exchange, answer, Versions::Http2)
    }

    async fn warm_up(&self, exchange: Exchange) -> Result<()> {
        self.transport.warm_up(exchange, Versions::Http2).await
    }

    engine_on_transport!();
}
