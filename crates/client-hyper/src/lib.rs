//! `client-hyper`: HTTP/1.1 on [hyper]'s client connections, and HTTP/2 on [h2], which hyper's are made of; the server chooses by ALPN. The
//! default engine, and the one with the most to configure.
//!
//! Names, dialing, TLS, proxies and the pool are `client-transport`'s: hyper's own pool is not used. A connection of HTTP/1.1 is driven by the task of the
//! call that uses it, one of HTTP/2 by a task of its own, on the [`dispatcher`](HyperBuilder::dispatcher) or on the runtime of the call that made it; a
//! call from another runtime gets a connection of its own, so that a client survives its runtimes.
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
//! An engine performs one exchange: redirects are the client's to follow, on every engine by the same rules ([`client_core::Redirect`]).
//! [`follow_redirects`](HyperBuilder::follow_redirects) is for those who use the engine alone.
//!
//! Of all capabilities one is not declared: `Http3`. It would take QUIC, and a transport over UDP.
//!
//! The life of an exchange in this crate: `config.rs` (what the user set) → `connection.rs` (connections as the transport's wire sees them) →
//! for HTTP/1.1, `driver.rs` (one exchange) → `drive.rs` (hyper's connection, polled along) → `upload.rs` (its body, as hyper takes it), `body.rs` (the response's), `error.rs` (what hyper's
//! errors mean); for HTTP/2, `client_h2::multiplexed`.

mod body;
mod config;
mod connection;
mod drive;
mod driver;
mod error;
mod head;
mod informational;
mod raw;
mod upload;

use client_core::{Answer, Capabilities, Capability, Engine, Exchange, Redirect, Result};
use client_transport::engine_on_transport;
use client_transport::route::{Route, Versions};
use client_transport::transport::{self, Transport};

pub use config::{Connections, HyperBuilder, VersionPolicy};

use connection::Negotiated;

/// The engine. See the [crate's documentation](crate).
pub struct Hyper {
    transport: Transport<Negotiated>,
    versions: VersionPolicy,
    /// `None`: they are the client's to follow.
    redirects: Option<Redirect>,
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

    #[expect(clippy::manual_async_fn, reason = "an async fn would hold its arguments twice")]
    fn perform(&self, exchange: &mut Exchange, answer: &mut Answer) -> impl Future<Output = Result<()>> + Send {
        async move {
            let route = self.route(exchange)?;
            self.transport.wire().execute(&route, exchange, answer).await
        }
    }

    fn route(&self, exchange: &Exchange) -> Result<Route> {
        let versions = self.versions.of(exchange);
        let route = self.transport.route(exchange, versions)?;
        Ok(match versions {
            Versions::Http2 => route,
            Versions::Http1 | Versions::Any => route.reading(connection::fields_to_read(&exchange.limits)),
        })
    }

    async fn follow(&self, redirects: &Redirect, exchange: &mut Exchange, answer: &mut Answer) -> Result<()> {
        let mut following = redirects.begin(exchange);
        loop {
            let performed = self.perform(exchange, answer).await;
            if following.answered(exchange, performed, answer)? {
                return Ok(());
            }
        }
    }
}

impl Default for Hyper {
    fn default() -> Self {
        Self::new()
    }
}

const CAPABILITIES: Capabilities = transport::CAPABILITIES
    .with(Capability::Http1)
    .with(Capability::ExactHeaders)
    .with(Capability::Http2)
    .with(Capability::Http2PriorKnowledge)
    .with(Capability::StrictHttp2)
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
    .with(Capability::Http2RequestTrailers)
    .with(Capability::ResponseTrailers);

impl Engine for Hyper {
    fn name(&self) -> &'static str {
        "hyper"
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    #[expect(clippy::manual_async_fn, reason = "an async fn would hold its arguments twice")]
    fn execute_into(&self, exchange: &mut Exchange, answer: &mut Answer) -> impl Future<Output = Result<()>> + Send {
        async move {
            match &self.redirects {
                None => self.perform(exchange, answer).await,
                Some(redirects) => Box::pin(self.follow(redirects, exchange, answer)).await,
            }
        }
    }

    async fn warm_up(&self, mut exchange: Exchange) -> Result<()> {
        let route = self.route(&exchange)?;
        self.transport.wire().warm_up(&route, &mut exchange).await
    }

    engine_on_transport!();
}
