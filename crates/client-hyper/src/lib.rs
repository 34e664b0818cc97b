//! `client-hyper`: HTTP/1.1 on [hyper]'s client connections, and HTTP/2 on [h2], which hyper's are made of; the server chooses by ALPN. The
//! default engine, and the one with the most to configure.
//!
//! Names, dialing, TLS, proxies and the pool are `client-transport`'s: hyper's own pool is not used. One task drives each connection, on the
//! [`dispatcher`](HyperBuilder::dispatcher) or on the runtime of the call that made it; a call from another runtime gets a connection of its
//! own, so that a client survives its runtimes.
//!
//! Why HTTP/2 is not spoken by hyper itself, but as `client-h2` does it, on the same crate: hyper 1.12 does not tell of informational responses
//! over HTTP/2, so that they could neither be observed nor be limited, and `100 Continue` would go unheard; it takes a body that the server
//! reset (`NO_ERROR`, `CANCEL`) for a complete one; and it makes a tunnel of no other success than 200.
//!
//! ```no_run
//! use std::time::Duration;
//! use client_core::HttpClient;
//! use client_hyper::{Hyper, VersionPolicy};
//!
//! # fn main() -> client_core::Result<()> {
//! let engine = Hyper::builder()
//!     .max_connections(1000)
//!     .socket_timeout(Duration::from_secs(30))
//!     .version(VersionPolicy::Automatic)
//!     .customize_client(|connection| {
//!         connection.http1.title_case_headers(true);
//!         connection.http2.max_frame_size(1 << 20);
//!     })
//!     .build();
//! let http = HttpClient::builder(engine).build()?;
//! # Ok(()) }
//! ```
//!
//! There is no `follow_redirects` here: an engine performs one exchange, and redirects are the client's to follow, on every engine by the same
//! rules ([`client_core::Redirect`]).
//!
//! The life of an exchange in this crate: `config.rs` (what the user set) → `connection.rs` (connections as the transport's wire sees them) →
//! for HTTP/1.1, `driver.rs` (one exchange) → `upload.rs` (its body, as hyper takes it), `body.rs` (the response's), `error.rs` (what hyper's
//! errors mean); for HTTP/2, `client_h2::multiplexed`.

mod body;
mod config;
mod connection;
mod driver;
mod error;
mod head;
mod informational;
mod raw;
mod upload;

use client_core::{Body, Capabilities, Capability, Engine, Exchange, PoolStats, Result, Timer};
use client_transport::router::Router;
use client_transport::timer::TokioTimer;
use client_transport::wire::Wire;
use http::Response;

pub use config::{Connections, HyperBuilder, VersionPolicy};

use connection::Negotiated;

/// The engine. See the [crate's documentation](crate).
pub struct Hyper {
    router: Router,
    wire: Wire<Negotiated>,
    timer: TokioTimer,
    versions: VersionPolicy,
    /// What is wrong with the configuration: told when a client is built, and again by every exchange.
    mistake: Option<&'static str>,
}

impl Hyper {
    /// An engine with default settings.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// An engine to be configured.
    pub fn builder() -> HyperBuilder {
        HyperBuilder::default()
    }
}

impl Default for Hyper {
    fn default() -> Self {
        Self::new()
    }
}

const CAPABILITIES: Capabilities = Capabilities::NONE
    .with(Capability::Http1)
    .with(Capability::Http2)
    .with(Capability::Http2PriorKnowledge)
    .with(Capability::ConnectTimeout)
    .with(Capability::SocketTimeout)
    .with(Capability::ConnectionRequestTimeout)
    .with(Capability::HttpProxy)
    .with(Capability::SocksProxy)
    .with(Capability::Upgrade)
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

impl Engine for Hyper {
    fn name(&self) -> &'static str {
        "hyper"
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
        let versions = self.versions.of(&exchange);
        let route = self.router.route(exchange.request.uri(), exchange.request.extensions(), versions)?;
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
