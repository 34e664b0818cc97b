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
//! The life of an exchange in this crate: `config.rs` (what the user set) → `protocol.rs` (connections as the transport's wire sees them) →
//! `multiplexed/driver.rs` (one exchange) → `multiplexed/upload.rs` (its sending side). What moves a connection's frames is in
//! `multiplexed/frames.rs`. `multiplexed` is also how `client-hyper` speaks HTTP/2.

mod config;
#[doc(hidden)]
pub mod multiplexed;
mod protocol;

use client_core::{Body, Capabilities, Capability, Engine, Exchange, PoolStats, Result, Timer};
use client_transport::route::Versions;
use client_transport::router::Router;
use client_transport::timer::TokioTimer;
use client_transport::wire::Wire;
use http::Response;

pub use config::H2Builder;

use protocol::Http2;

/// The engine. See the [crate's documentation](crate).
pub struct H2 {
    router: Router,
    wire: Wire<Http2>,
    timer: TokioTimer,
    /// What is wrong with the configuration: told when a client is built, and again by every exchange.
    mistake: Option<&'static str>,
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

const CAPABILITIES: Capabilities = Capabilities::NONE
    .with(Capability::Http2)
    .with(Capability::Http2PriorKnowledge)
    .with(Capability::ConnectTimeout)
    .with(Capability::SocketTimeout)
    .with(Capability::ConnectionRequestTimeout)
    .with(Capability::HttpProxy)
    .with(Capability::SocksProxy)
    .with(Capability::Tunnel)
    .with(Capability::AsteriskForm)
    .with(Capability::ExpectContinue)
    .with(Capability::Informational)
    .with(Capability::StreamingUpload)
    .with(Capability::Duplex)
    .with(Capability::RequestTrailers)
    .with(Capability::ResponseTrailers)
    .with(Capability::RemoteAddr)
    .with(Capability::ConnectionReuse)
    .with(Capability::PoolStats);

/// What needs the feature `tls`.
const WITH_TLS: Capabilities = CAPABILITIES
    .with(Capability::Tls)
    .with(Capability::CustomRoots)
    .with(Capability::ClientIdentity)
    .with(Capability::SpkiPins)
    .with(Capability::HttpsProxy);

impl Engine for H2 {
    fn name(&self) -> &'static str {
        "h2"
    }

    fn capabilities(&self) -> Capabilities {
        if cfg!(feature = "tls") { WITH_TLS } else { CAPABILITIES }
    }

    fn timer(&self) -> &dyn Timer {
        &self.timer
    }

    async fn execute(&self, exchange: Exchange) -> Result<Response<Body>> {
        if let Some(mistake) = self.mistake {
            return Err(config::invalid(mistake));
        }
        let route = self.router.route(exchange.request.uri(), exchange.request.extensions(), Versions::Http2)?;
        self.wire.execute(route, exchange).await.1
    }

    fn check(&self) -> Result<()> {
        config::check(self.mistake, &self.router)
    }

    fn close(&self) {
        self.wire.close();
    }

    fn pool(&self) -> Option<PoolStats> {
        Some(self.wire.stats())
    }
}
