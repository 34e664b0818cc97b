//! `client-reqwest`: [reqwest] as an engine, its own configuration within reach.
//!
//! For programs that know and like reqwest: everything its `ClientBuilder` can do is a closure away ([`ReqwestBuilder::config`]), while
//! requests, plugins, errors and tests are those of every other engine.
//!
//! ```
//! use std::time::Duration;
//! use client_core::HttpClient;
//! use client_reqwest::Reqwest;
//!
//! # fn main() -> client_core::Result<()> {
//! let engine = Reqwest::builder()
//!     .config(|reqwest| reqwest.pool_max_idle_per_host(8).tcp_keepalive(Duration::from_secs(30)))
//!     .build();
//! let http = HttpClient::builder(engine).build()?;
//! # Ok(()) }
//! ```
//!
//! # What stays reqwest's, and what does not
//!
//! Connections, their pool, proxies, names and local addresses are configured by reqwest's own methods, and have its defaults.
//! `connector_layer` adds a tower layer around each connect: the counterpart of a network interceptor, as a plugin is that of an
//! interceptor around the call.
//!
//! Policy is the core's, and is switched off in reqwest after the closure has run: redirects, retries of its own, `Referer`, content
//! codings. Proxies of the environment are used only with [`ReqwestBuilder::system_proxy`]. What remains to the closure's author: a cookie store (a
//! method that exists only with reqwest's own feature `cookies`, which this crate leaves alone), default headers, and reqwest's own
//! time limits, which strike besides ours. TLS is set by [`ReqwestBuilder::tls`]; of reqwest's own TLS methods only `tls_info`
//! and `tls_backend_preconfigured` have an effect.
//!
//! **What it adds:** reqwest's client sends `accept: */*` with a request that has no `Accept`, and offers no way to leave it out
//! ([reqwest#2279](https://github.com/seanmonstar/reqwest/issues/2279)): every builder begins with it, and `default_headers` replaces and never
//! removes. It means what its absence means (RFC 9110 §12.5.1), yet who signs all fields of a request has to know, so that
//! `ExactHeaders` is not declared. Nothing else is added but what the protocol needs.
//!
//! A body of HTTP/2 that the server ends by `RST_STREAM` with `NO_ERROR` is an error here, as it is on every engine: hyper ends it as if it were whole,
//! but the stream itself still says that it was not.
//!
//! # Proxies
//!
//! HTTP and HTTPS proxies are reqwest's own, set per client: `config(|reqwest| reqwest.proxy(..))`, or [`ReqwestBuilder::system_proxy`]. Per request
//! there is no way but a client for each, which reqwest would need to take from a request's extensions. One TLS configuration is for
//! proxies and origins alike. Of a proxy that refuses a tunnel hyper-util does not tell the status (only a 407 is told apart): that it refused
//! is told, as [`ErrorKind::Proxy`]. It takes a 204 or a 1xx for a refusal, and drops what a proxy sends along with its answer; and the time
//! that the proxy takes is told as that of connecting (`ProxyStatus`, `ProxyAnswers` below).
//!
//! # Time limits
//!
//! reqwest knows them per client; here they are per request, without a client for each. `connect` is a layer around the connector that
//! finds the call it dials for; name, TCP and proxy are one phase, as reqwest does not tell them apart. `socket` is watched from
//! outside: bytes of the request as hyper takes them (in pieces of at most 16 KiB), the response's head as a whole, and each piece of its
//! body. None is set by default.
//!
//! Two corners: a head that trickles in counts as silence until it is whole (`HeadProgress` below); and a call for HTTP/2 by prior knowledge that waits while
//! another call connects to the same server is bounded by that call's connect limit.
//!
//! Of the [limits](client_core::Limits) all but one are held, by looking at what hyper has read: it reads at most 512 fields (more with
//! `http1_max_headers`) and about 400 KiB. Informational responses are the exception: hyper skips them unseen, in bounded memory, so that
//! a server which sends them without end is stopped by a time limit only, and late, as hyper reads much of a flood before it lets a timer have its turn; set
//! one for the request as a whole. For the same reason an idempotent
//! request under which a kept connection dies is repeated once, on another, even if the response's head had begun to arrive (RFC 9110 §9.2.2
//! allows it, as no response could be read); any other is an error.
//!
//! # What is not declared, and why
//!
//! | capability | why not, and what it would take |
//! |---|---|
//! | `ExactHeaders` | `accept: */*`, see above; reqwest would need a way to take it out of its default headers |
//! | `Http3` | experimental in reqwest, behind `--cfg reqwest_unstable` |
//! | `ConnectionRequestTimeout` | reqwest's pool has no limit, so nobody waits for it |
//! | `Tunnel` | reqwest connects to the host in the URL; another authority than that cannot be asked for |
//! | `AsteriskForm` | reqwest's URL is always absolute; hyper-util would need to take the target from elsewhere |
//! | `ExpectContinue` | hyper's client does not wait for the 100; it would need to tell when it came |
//! | `HeadProgress` | hyper reads a head, and any 1xx before it, within itself; its connection would have to say what it has read |
//! | `ProxyStatus` | hyper-util's tunnel keeps the status to itself, and reqwest's connector does not say when it asks; its error would have to hold the one, and a callback tell the other |
//! | `ProxyAnswers` | hyper-util's tunnel knows 200, 407 and nothing else, and forgets what it has read beyond the head |
//! | `Informational` | hyper tells through request extensions, which reqwest does not pass on |
//! | `PoolStats`, `WarmUp` | hyper-util's pool is closed: it neither tells what it holds nor takes a connection without a request |
//! | `UnixSocket` | reqwest's is one for a whole client; `config(..)` can set it |
//! | `SocksProxy` | it works through `config` (feature `socks`, which is on), but not as far as is promised elsewhere: hyper-util's SOCKS knows no IPv6 literals, no names of 253 bytes, no user of SOCKS4, and either asks for credentials or not |
//!
//! With [`ReqwestBuilder::preconfigured`] less is declared, as less can be imposed: no HTTP/2 on demand, no connect limit, no TLS settings.
//!
//! # Runtimes
//!
//! It works on tokio: on the runtime of whoever calls, or on the one given to [`ReqwestBuilder::dispatcher`], and then under any executor.
//! It may be used from several runtimes, one after another or in turns: each has connections of its own, as they live and die with
//! their runtime.
//!
//! The life of an exchange in this crate: `request.rs` → `clients.rs` (reqwest, imposed upon) with `connector.rs` and `upload.rs` as its
//! two ends → `response.rs`; `call.rs` is what they all tell; `error.rs` says what went wrong.

mod call;
mod clients;
mod connector;
mod error;
#[cfg(feature = "http2")]
mod http2;
#[cfg(not(feature = "http2"))]
#[path = "no_http2.rs"]
mod http2;
mod request;
mod response;
mod runtime;
mod stream;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod tls;
mod upload;

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use client_core::{
    ANSWERED, Answer, Body, Capabilities, Capability, Engine, Error, ErrorKind, Event, Exchange, Phase, Result, Sent, Timer,
    TlsConfig,
};
use http::{Method, Response};
use tokio::runtime::Handle;

use self::call::{Call, Silence, Wanted};
use self::clients::{Clients, Protocol, Recipe, Source};
use self::runtime::Dispatcher;

pub use reqwest;

/// The engine. See the [crate's documentation](crate).
#[derive(Debug)]
pub struct Reqwest {
    clients: Clients,
    dispatcher: Dispatcher,
    /// Settings that a given client comes too late for.
    has_useless_settings: bool,
}

impl Reqwest {
    /// An engine with default settings.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// An engine to be configured.
    pub fn builder() -> ReqwestBuilder {
        ReqwestBuilder::default()
    }
}

impl Default for Reqwest {
    fn default() -> Self {
        Self::new()
    }
}

const NAME: &str = "reqwest";

/// What holds for any client of reqwest's.
const ALWAYS: Capabilities = Capabilities::NONE
    .with(Capability::Http1)
    .with(Capability::SocketTimeout)
    .with(Capability::Upgrade)
    .with(Capability::StreamingUpload)
    .with(Capability::Duplex)
    .with(Capability::RequestTrailers)
    .with(Capability::ResponseTrailers)
    .with(Capability::RemoteAddr)
    .with(Capability::HttpProxy)
    .with(Capability::ConnectionReuse);

impl Engine for Reqwest {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        match self.clients.source() {
            Source::Recipe(_) => ALWAYS.with(Capability::ConnectTimeout) | http2::CAPABILITIES | tls::CAPABILITIES,
            Source::Given(_) if tls::CAPABILITIES.contains(Capability::Tls) => ALWAYS.with(Capability::Tls),
            Source::Given(_) => ALWAYS,
        }
    }

    fn timer(&self) -> &dyn Timer {
        &self.dispatcher
    }

    async fn execute(&self, exchange: &mut Exchange) -> Result<Response<Body>> {
        let mut answer = None;
        self.execute_into(exchange, &mut answer).await?;
        Ok(answer.expect(ANSWERED))
    }

    async fn execute_into(&self, exchange: &mut Exchange, answer: &mut Answer) -> Result<()> {
        let runtime = self.dispatcher.current()?;
        self.dispatcher.run(pin!(self.perform(&runtime, exchange, answer))).await
    }

    fn check(&self) -> Result<()> {
        match self.clients.source() {
            Source::Recipe(recipe) => recipe.check(),
            Source::Given(_) if self.has_useless_settings => Err(Error::new(
                ErrorKind::InvalidRequest,
                "a preconfigured reqwest::Client cannot be changed any more; use either it or config, tls and system_proxy",
            )),
            Source::Given(_) => Ok(()),
        }
    }

    fn close(&self) {
        self.clients.close();
    }
}

impl Reqwest {
    /// The exchange, and once more where repeating it is safe.
    async fn perform(&self, runtime: &Handle, exchange: &mut Exchange, answer: &mut Answer) -> Result<()> {
        let spare = exchange.request.body().try_clone();
        let call = Call::new(exchange, &self.dispatcher);
        let outcome = self.attempt(runtime, exchange, answer, &call).await;
        let (failure, spare) = match (outcome, spare) {
            (Err(error), Some(spare)) if may_repeat(&error, &call, exchange.request.method()) => (error, spare),
            (outcome, _) => return outcome,
        };
        exchange.trace.emit(&Event::Retried { reason: &failure });
        *exchange.request.body_mut() = spare;
        let call = Call::new(exchange, &self.dispatcher);
        // Rare, and not small.
        Box::pin(self.attempt(runtime, exchange, answer, &call)).await
    }

    async fn attempt(&self, runtime: &Handle, exchange: &mut Exchange, answer: &mut Answer, call: &Arc<Call>) -> Result<()> {
        let begun = self.begin(runtime, exchange, call)?;
        let (wanted, mut silence) = (Wanted(Arc::clone(call)), Silence::new(call));
        let mut response = pin!(call.scope(begun.response));
        let response = poll_fn(|cx| match response.as_mut().poll(cx) {
            Poll::Pending => silence.poll(cx).map(Err),
            Poll::Ready(response) => Poll::Ready(response.map_err(|error| error::classify(error, call))),
        });
        let received = response::receive(response.await?, exchange, answer, begun.url.as_deref(), wanted);
        let received = match received {
            Ok(Some(switch)) => switch.await.map(|response| *answer = Some(response)),
            received => received.map(drop),
        };
        if received.is_err() {
            // Whatever was wrong with the head, its connection must not be used again.
            self.clients.retire(runtime.id(), begun.protocol);
        }
        received
    }

    /// Hands the exchange to reqwest, which does nothing yet.
    fn begin(
        &self,
        runtime: &Handle,
        exchange: &mut Exchange,
        call: &Arc<Call>,
    ) -> Result<Begun<impl Future<Output = reqwest::Result<reqwest::Response>> + use<>>> {
        let protocol = request::protocol(exchange)?;
        let client = self.clients.get(runtime.id(), protocol)?;
        let body = std::mem::take(exchange.request.body_mut());
        let request = request::build(exchange, body, call)?;
        // Only a client that was given ready-made might go elsewhere.
        let is_given = matches!(self.clients.source(), Source::Given(_));
        Ok(Begun {
            protocol,
            url: is_given.then(|| Box::new(request.url().clone())),
            response: client.execute(request),
        })
    }
}

/// An exchange in reqwest's hands.
struct Begun<F> {
    protocol: Protocol,
    /// Where the answer must come from.
    url: Option<Box<reqwest::Url>>,
    response: F,
}

/// What may be sent once more behind the caller's back (RFC 9112 §9.3.1, RFC 9110 §9.2.2): what a server of HTTP/2 took and certainly left
/// alone (RFC 9113 §8.7), and, where a connection of the pool turned out dead, what it saw nothing of or may see twice.
fn may_repeat(error: &Error, call: &Call, method: &Method) -> bool {
    error.kind() == ErrorKind::Closed
        && match error.sent() {
            Sent::Nothing => call.is_reused() || call.phase() >= Phase::Send,
            Sent::Maybe => call.is_reused() && is_idempotent(method) && !error::is_reset(error),
            Sent::Answered => false,
        }
}

fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE)
}

/// Configures an engine; see [`Reqwest::builder`]. Mistakes surface when a client is built with the engine.
#[derive(Default)]
#[must_use]
pub struct ReqwestBuilder {
    recipe: Recipe,
    given: Option<reqwest::Client>,
    has_tls: bool,
    dispatcher: Dispatcher,
}

impl ReqwestBuilder {
    /// reqwest's own configuration, in its own words. Called once per client that the engine makes inside: for each runtime it is used
    /// from, and for HTTP/1.1, HTTP/2 and either. Several are applied in order.
    ///
    /// ```
    /// # use client_reqwest::{Reqwest, reqwest};
    /// # fn main() -> Result<(), reqwest::Error> {
    /// let proxy = reqwest::Proxy::all("socks5h://127.0.0.1:1080")?;
    /// let engine = Reqwest::builder().config(move |reqwest| reqwest.proxy(proxy.clone())).build();
    /// # let _ = engine; Ok(()) }
    /// ```
    pub fn config(
        mut self,
        configure: impl Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder + Send + Sync + 'static,
    ) -> Self {
        self.recipe.configure.push(Box::new(configure));
        self
    }

    /// A client that exists already, and its connections. It has to be built with `redirect::Policy::none()` and `retry::never()`: policy
    /// is the core's. An answer that came by a redirect is refused with [`ErrorKind::Engine`]; other policy cannot be seen from
    /// outside. It belongs to the runtime of its first call.
    pub fn preconfigured(mut self, client: reqwest::Client) -> Self {
        self.given = Some(client);
        self
    }

    /// How servers are verified and how we identify ourselves. Default: the platform's roots.
    pub fn tls(mut self, config: TlsConfig) -> Self {
        self.has_tls = config != TlsConfig::default();
        self.recipe.tls = tls::Tls::new(config);
        self
    }

    /// Whether the proxies that the environment names are used (`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`). Default: no.
    pub fn system_proxy(mut self, on: bool) -> Self {
        self.recipe.system_proxy = on;
        self
    }

    /// The tokio runtime that connections and timers live on. It has to be driven: by worker threads, or by a `block_on`. Default: that of
    /// whoever calls.
    pub fn dispatcher(mut self, runtime: Handle) -> Self {
        self.dispatcher = runtime.into();
        self
    }

    /// The engine.
    pub fn build(self) -> Reqwest {
        let has_settings = self.has_tls || self.recipe.system_proxy || !self.recipe.configure.is_empty();
        let source = match self.given {
            Some(client) => Source::Given(client),
            None => Source::Recipe(Box::new(self.recipe)),
        };
        Reqwest {
            has_useless_settings: matches!(source, Source::Given(_)) && has_settings,
            clients: Clients::new(source),
            dispatcher: self.dispatcher,
        }
    }
}

impl fmt::Debug for ReqwestBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestBuilder").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_repeated() {
        let call = || Call::new(&Exchange::new(http::Request::new(Body::empty())), &Dispatcher::default());
        let (unsent, fresh, reused) = (call(), call(), call());
        fresh.dialed(None);
        fresh.taken();
        reused.taken();
        let closed = |sent| Error::new(ErrorKind::Closed, "gone").with_sent(sent);
        let table = [
            (&reused, Sent::Nothing, Method::POST, true),
            (&reused, Sent::Maybe, Method::PUT, true),
            (&reused, Sent::Maybe, Method::POST, false),
            (&reused, Sent::Answered, Method::GET, false),
            // Refused by a server of HTTP/2.
            (&fresh, Sent::Nothing, Method::POST, true),
            // A fresh connection is no stale one.
            (&fresh, Sent::Maybe, Method::GET, false),
            (&unsent, Sent::Nothing, Method::GET, false),
        ];
        for (call, sent, method, expected) in table {
            assert_eq!(may_repeat(&closed(sent), call, &method), expected, "{sent:?} {method}");
        }
        let reset = Error::new(ErrorKind::Protocol, "bad").with_sent(Sent::Nothing);
        assert!(!may_repeat(&reset, &reused, &Method::GET));
    }
}
