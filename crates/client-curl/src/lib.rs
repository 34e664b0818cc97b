//! `client-curl`: libcurl as an engine, for programs that want what has carried most of the world's transfers, or need what only it
//! speaks to.
//!
//! ```no_run
//! use client_core::HttpClient;
//! use client_curl::{Curl, CurlProxy};
//!
//! # fn main() -> client_core::Result<()> {
//! let engine = Curl::builder().proxy(CurlProxy::new("socks5h://proxy.example:1080")).build();
//! let http = HttpClient::builder(engine).build()?;
//! let text = futures::executor::block_on(async { http.get("https://example.org/").send().await?.text().await })?;
//! # Ok(()) }
//! ```
//!
//! Its futures are driven by whatever there is: `futures::executor::block_on`, tokio, a GUI's loop.
//!
//! # How it works
//!
//! One thread per engine drives libcurl's multi interface. It begins with the first exchange, and ends when the engine is dropped or closed
//! and its last transfer is over. libcurl says which sockets it waits for, the thread waits for them, and so knows of each packet: the
//! socket limit is exact, also where libcurl has nothing to tell yet.
//!
//! - **Bodies are streamed both ways** through bridges, of 128 KiB down and 512 KiB up: where there is no room, libcurl is paused and reads no more from the
//!   socket. A request's body is polled by the task that drives the call, never by the thread: it may need that task's runtime.
//! - **Who waits is woken once** for all that a turn of the thread brings: tasks and the thread take turns of many exchanges, not of one.
//! - **Cancellation is drop:** it wakes the thread, which removes the transfer at once. HTTP/1.1 closes the connection, HTTP/2 resets the
//!   stream.
//! - **Policy is the core's.** libcurl follows no redirect, keeps no cookie, decodes no coding, reads no `.netrc`, asks no environment for a proxy,
//!   adds no `Accept`, `User-Agent` or `Expect`. Fields are sent in the user's order, with any bytes that HTTP allows; the target is sent as it
//!   was written.
//! - **A request is repeated** only where that is safe: on a kept connection that turned out dead before a byte of an answer, if the method is
//!   idempotent and its body in memory; and where a server of HTTP/2 said that it left the stream alone. libcurl itself is less careful; it is stopped.
//! - **What is received is judged here**, more strictly than libcurl does: status lines, fields, framing (RFC 9112 §6.3), each line of
//!   the chunked coding, all within [`Limits`](client_core::Limits).
//!
//! # Which libcurl
//!
//! By default libcurl, nghttp2 and a TLS library (rustls, by rustls-ffi) are built along and linked statically: nothing need be installed, a C
//! compiler will do. Without the feature `static` the system's libcurl is linked, if there is one. What it can do is asked of it at
//! run time (`curl_version_info`), and declared, or refused, accordingly: TLS, HTTP/2, Unix sockets, `https` proxies, client certificates.
//!
//! # What it can do
//!
//! HTTP/1.0, 1.1 and 2 (by ALPN and by prior knowledge, per request), proxies of every kind that libcurl knows, Unix sockets, TLS with chosen
//! roots and a client certificate, connect, socket and connection-request limits per request, trailers both ways, informational responses,
//! `Expect: 100-continue` (a wait of one second at most), `OPTIONS *`, answers before the end of an upload.
//!
//! # What is not declared, and why
//!
//! | capability | why not, and what it would take |
//! |---|---|
//! | `Http3` | the libcurl that is built along has no QUIC |
//! | `Upgrade`, `Tunnel` | libcurl hands out a connection only before a request, not after a response |
//! | `SpkiPins` | libcurl compares the server's own key only, not those of the verified chain, and with rustls none |
//! | `PoolStats` | libcurl does not tell what its pool holds |
//! | `WarmUp` | a connection that libcurl makes without a request (`CURLOPT_CONNECT_ONLY`) is none that it uses for another |
//! | `StrictHttp2` | nghttp2 leaves malformed fields out and goes on; libcurl takes `RST_STREAM` with `NO_ERROR` for the end of a body (where the length is known, that it is short is noticed), holds a server that sends too much back by not reading, and resets with `STREAM_CLOSED`. It would have to hand nghttp2's own callbacks on |
//! | `HeadProgress` | libcurl may read the beginning of a head in the step in which it sends the request, and tells of whole lines only: that an answer had begun is then not seen. All else is kept: bytes of a head count for the socket limit, and informational responses are counted |
//! | `Http2RequestTrailers` | libcurl sends trailers by the chunked coding only. With the version left open such a request speaks HTTP/1.1 |
//! | `ProxyAnswers` | libcurl takes a 1xx before the answer to CONNECT for the answer, and so for a refusal. It understands all others |
//! | `ClientIdentity` outside of Linux | libcurl's rustls reads keys from files only; a file in memory is Linux's. Another TLS library takes them from memory |
//!
//! # What is peculiar
//!
//! - libcurl looks at idle connections only when it needs one: what a server closes or says meanwhile is noticed then, and connections beyond
//!   their [`keep_alive`](CurlBuilder::keep_alive) stay open until then. A violation in HTTP/2 costs all idle connections.
//! - Where much still arrives of HTTP/2 bodies that were dropped unread, nghttp2 takes it for an attack and ends the connection: what else is on it
//!   fails, and what comes next is sent on another.
//! - That a kept connection died in the middle of a head is mostly seen without TLS, and never with it; where it is not, an idempotent request is repeated once (RFC 9110
//!   §9.2.2).
//! - With rustls the environment variable `SSLKEYLOGFILE` alone makes libcurl write session keys, whatever
//!   [`TlsConfig::key_log`](client_core::TlsConfig::key_log) says.
//! - A body with HEAD is refused.
//!
//! # The life of an exchange
//!
//! `exchange.rs` (the future) → `request.rs` (the plan) → `driver.rs` (the way to the thread) → `worker.rs` (the thread), which sets libcurl up by
//! `setup.rs` and `tls.rs`; libcurl calls `transfer.rs`, where `head.rs` and `chunked.rs` judge → `response.rs` → `download.rs` (the body).
//! `call.rs` is what both sides know; `raw.rs` is all of the unsafe code.

mod builder;
mod call;
mod chunked;
mod download;
mod driver;
mod error;
mod exchange;
mod head;
#[cfg_attr(not(target_os = "linux"), path = "no_identity.rs")]
mod identity;
mod progress;
mod raw;
mod request;
mod response;
mod setup;
mod timer;
mod tls;
mod transfer;
mod upload;
mod worker;

use client_core::{Body, Capabilities, Capability, Engine, Exchange, Mistake, Result, Timeouts, Timer};
use curl::Version;
use http::Response;

pub use builder::{CurlBuilder, CurlProxy};
use driver::Driver;
use timer::NoTimer;

/// The engine. See the [crate's documentation](crate).
///
/// Dropping it ends its thread once its transfers are over; a response's body can still be read.
pub struct Curl {
    /// Or what is wrong with the configuration: told when a client is built, and again by every exchange.
    driver: Result<Driver, Mistake>,
    timeouts: Timeouts,
}

const NAME: &str = "curl";

/// What every libcurl can do that this crate can be built with.
const ALWAYS: Capabilities = Capabilities::NONE
    .with(Capability::Http1)
    .with(Capability::ExactHeaders)
    .with(Capability::ConnectTimeout)
    .with(Capability::SocketTimeout)
    .with(Capability::ConnectionRequestTimeout)
    .with(Capability::HttpProxy)
    .with(Capability::ProxyStatus)
    .with(Capability::SocksProxy)
    .with(Capability::AsteriskForm)
    .with(Capability::ExpectContinue)
    .with(Capability::Informational)
    .with(Capability::StreamingUpload)
    .with(Capability::Duplex)
    .with(Capability::RequestTrailers)
    .with(Capability::ResponseTrailers)
    .with(Capability::RemoteAddr)
    .with(Capability::ConnectionReuse);

fn capabilities() -> Capabilities {
    let version = Version::get();
    [
        (version.feature_http2(), Capability::Http2PriorKnowledge),
        (version.feature_http2() && version.feature_ssl(), Capability::Http2),
        (version.feature_https_proxy(), Capability::HttpsProxy),
        (version.feature_unix_domain_socket(), Capability::UnixSocket),
    ]
    .into_iter()
    .filter(|(can, _)| *can)
    .fold(ALWAYS | tls::capabilities(), |all, (_, one)| all.with(one))
}

impl Curl {
    /// An engine with default settings.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// An engine to be configured.
    pub fn builder() -> CurlBuilder {
        CurlBuilder::default()
    }
}

impl Default for Curl {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine for Curl {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        capabilities()
    }

    fn timer(&self) -> &dyn Timer {
        match &self.driver {
            Ok(driver) => driver,
            Err(_) => &NoTimer,
        }
    }

    async fn execute(&self, exchange: &mut Exchange) -> Result<Response<Body>> {
        let driver = self.driver.as_ref().map_err(Mistake::error)?;
        exchange::perform(exchange, self.timeouts, driver).await
    }

    fn check(&self) -> Result<()> {
        self.driver.as_ref().map(drop).map_err(Mistake::error)
    }

    fn close(&self) {
        if let Ok(driver) = &self.driver {
            driver.retire();
        }
    }
}

impl Drop for Curl {
    fn drop(&mut self) {
        if let Ok(driver) = &self.driver {
            driver.retire();
        }
    }
}
