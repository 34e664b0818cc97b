//! `client-ureq`: the engine for programs without an async runtime: [ureq](https://docs.rs/ureq) on a bounded pool of threads, with few
//! dependencies and no tokio.
//!
//! ```no_run
//! use client_core::HttpClient;
//! use client_ureq::Ureq;
//!
//! # fn main() -> client_core::Result<()> {
//! let http = HttpClient::builder(Ureq::builder().max_threads(64).build()).build()?;
//! let text = futures::executor::block_on(async { http.get("https://example.org/").send().await?.text().await })?;
//! # Ok(()) }
//! ```
//!
//! Its futures are driven by whatever there is: `futures::executor::block_on`, tokio, a GUI's loop.
//!
//! # Threads
//!
//! An exchange holds a thread from the moment it gets a connection until its response's head is there. Of the body, what has arrived
//! by then is read at once; the rest is read by a thread whenever somebody waits for it, so that **a response that is not being
//! read costs no thread**. At most [`max_threads`](UreqBuilder::max_threads) are made, when there is work, and they end when there has
//! been none for [a while](UreqBuilder::thread_keep_alive), or the engine is closed or dropped. Exchanges beyond them wait in a fair
//! queue, which they can leave at any time; a few threads are kept for reading responses, so that uploads which are fed by downloads
//! cannot wait for themselves.
//!
//! - **Bodies are streamed both ways** through bounded bridges. A request's body is polled by the task that drives the call, never by a
//!   worker: it may need that task's runtime.
//! - **Cancellation frees the thread at once:** the socket is shut down under it. Two things the system does not let go of: a TCP connect
//!   (except on Linux, where it can be interrupted) lasts as long as its limit, and a name lookup goes on, on a thread of its own, one
//!   of at most `max_threads`.
//! - A name that is looked up takes a short-lived thread besides; time limits of whole calls share one.
//!
//! # What it can do
//!
//! HTTP/1.1 and 1.0, TLS with chosen roots, a client identity and pins, connect and socket timeouts per request, a limit for waiting for a
//! thread, `Expect: 100-continue` (a bounded wait of one second), informational responses, streamed uploads, response trailers, reuse
//! of connections, the remote address. A request on a pooled connection that the server closed at the same moment is repeated once, if
//! it is idempotent and its body is in memory; ureq itself repeats nothing.
//!
//! ureq's own policy is off: it follows no redirect, makes no error of a status, adds no `User-Agent`, `Accept` or `Accept-Encoding`,
//! asks no environment for a proxy. It cannot decode, transcode or keep cookies either, even if another crate of the program switches
//! on those features of ureq: it never sees the fields that would make it.
//!
//! # What it cannot do, and what it would take
//!
//! | not declared | why |
//! |---|---|
//! | `Http2`, `Http2PriorKnowledge`, `StrictHttp2`, `Http2RequestTrailers`, `Http3` | ureq speaks HTTP/1 only |
//! | `HttpProxy`, `HttpsProxy`, `SocksProxy`, `ProxyStatus`, `ProxyAnswers` | ureq knows CONNECT and SOCKS, but not the absolute form that a plain HTTP request needs (RFC 9112 §3.2.2), and its SOCKS sockets cannot be interrupted |
//! | `UnixSocket` | another kind of socket than TCP's in `dial.rs` |
//! | `AsteriskForm` | ureq takes the target from the URI, and a part of it (its cookie jar) panics at a URI with this one |
//! | `Upgrade`, `Tunnel` | ureq closes a connection that changes its protocol, and does not hand it out |
//! | `Duplex` | ureq reads the response when the request is sent. A refusal (4xx, 5xx) that comes earlier is read all the same: the upload is ended |
//! | `RequestTrailers` | ureq-proto ends a chunked body by itself |
//! | `PoolStats` | ureq does not tell what its pool holds |
//! | `WarmUp` | ureq makes a connection only with a request to send on it |
//!
//! Response heads have at most 128 fields: ureq's limit, below that of [`Limits`](client_core::Limits); more is
//! [`TooLarge`](client_core::ErrorKind::TooLarge). Addresses of a host are tried one after the other, without racing (RFC 8305).
//!
//! # The life of an exchange
//!
//! `exchange.rs` (the future and its job) → `request.rs` → `workers.rs` (a thread) → ureq, through our `dial.rs` (name, TCP), `tls.rs`
//! and `wire.rs` (each exchange's begin and end; `head.rs` and `chunked.rs` judge what it receives) → `response.rs` →
//! `download.rs` (the body).

mod builder;
mod call;
mod chunked;
mod connections;
mod dial;
mod download;
mod error;
mod exchange;
mod head;
mod names;
mod pieces;
mod request;
mod response;
mod socket;
mod timer;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
mod tls;
mod upload;
mod wire;
mod workers;

use client_core::{Body, Capabilities, Capability, Engine, Exchange, Mistake, Result, Timeouts, Timer};
use http::Response;
use ureq::Agent;

pub use builder::UreqBuilder;
use timer::ThreadTimer;
use workers::Workers;

/// The engine. See the [crate's documentation](crate).
///
/// Dropping it ends its threads once they are done; a response's body can still be read.
pub struct Ureq {
    /// Or what is wrong with the configuration: told when a client is built, and again by every exchange.
    agent: Result<Agent, Mistake>,
    timeouts: Timeouts,
    workers: Workers,
    timer: ThreadTimer,
}

const CAPABILITIES: Capabilities = Capabilities::NONE
    .with(Capability::Http1)
    .with(Capability::ExactHeaders)
    .with(Capability::ConnectTimeout)
    .with(Capability::SocketTimeout)
    .with(Capability::ConnectionRequestTimeout)
    .with(Capability::ExpectContinue)
    .with(Capability::Informational)
    .with(Capability::HeadProgress)
    .with(Capability::StreamingUpload)
    .with(Capability::ResponseTrailers)
    .with(Capability::RemoteAddr)
    .with(Capability::ConnectionReuse);

impl Ureq {
    /// An engine with default settings.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// An engine to be configured.
    pub fn builder() -> UreqBuilder {
        UreqBuilder::default()
    }
}

impl Default for Ureq {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine for Ureq {
    fn name(&self) -> &'static str {
        "ureq"
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES | tls::CAPABILITIES
    }

    fn timer(&self) -> &dyn Timer {
        &self.timer
    }

    async fn execute(&self, exchange: &mut Exchange) -> Result<Response<Body>> {
        let agent = self.agent.as_ref().map_err(Mistake::error)?;
        exchange::perform(exchange, self.timeouts, agent, &self.workers, &self.timer).await
    }

    fn check(&self) -> Result<()> {
        self.agent.as_ref().map(drop).map_err(Mistake::error)
    }

    /// Idle connections are closed at once, others after their exchange. Exchanges that have no connection yet fail with
    /// [`Closed`](client_core::ErrorKind::Closed).
    fn close(&self) {
        if let Ok(agent) = &self.agent {
            // Our connections do not register with the agent, so those in use are left alone.
            agent.clone().shutdown();
        }
        self.workers.close();
    }
}

impl Drop for Ureq {
    fn drop(&mut self) {
        self.workers.close();
        self.timer.close();
    }
}
