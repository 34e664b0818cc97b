//! The client: an engine, its plugins in order, and the defaults of its requests.

use std::any::TypeId;
use std::fmt;
use std::sync::Arc;

use http::header::USER_AGENT;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};

use crate::body::Body;
use crate::call::Call;
use crate::capability::Capabilities;
use crate::check;
use crate::connection::PoolStats;
use crate::engine::AnyEngine;
use crate::error::{Error, Result};
use crate::exchange::Exchange;
use crate::expectation::Expectation;
use crate::headers;
use crate::http_timeout::HttpTimeout;
use crate::limits::Limits;
use crate::observer::{Event, Observer, Trace};
use crate::plugin::{Plugin, Rest};
use crate::redirect::Redirect;
use crate::request::RequestBuilder;
use crate::response::Response;
use crate::url::IntoUrl;

/// Makes calls. Cheap to clone; clones share the engine and its connections.
///
/// A client sends nothing that was not asked for: no `User-Agent`, no `Accept`, no cookies; only what the protocol needs. Two plugins
/// are part of every client: [`Redirect`] (follows up to 10) and [`HttpTimeout`] (no limits until set). A `417` to an `Expect` of the
/// user's is answered by repeating the request without it, where its body can be sent again (RFC 9110 §10.1.1).
///
/// ```no_run
/// # async fn run(http: client_core::HttpClient) -> client_core::Result<()> {
/// let text = http.get("https://example.org/").send().await?.text().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct HttpClient(Arc<Inner>);

/// What clones of a client share.
pub(crate) struct Inner {
    /// In their order.
    pub(crate) plugins: Box<[Arc<dyn Plugin>]>,
    pub(crate) engine: AnyEngine,
    headers: HeaderMap,
    limits: Limits,
    observers: Vec<Arc<dyn Observer>>,
}

impl HttpClient {
    /// A client with default plugins and settings. What is wrong with the engine's own settings surfaces at the first call; use
    /// [`builder`](Self::builder) to know at once.
    pub fn new(engine: impl Into<AnyEngine>) -> Self {
        let builder = Self::builder(engine);
        builder.assemble()
    }

    /// A client to be configured.
    pub fn builder(engine: impl Into<AnyEngine>) -> HttpClientBuilder {
        HttpClientBuilder {
            engine: engine.into(),
            plugins: Vec::new(),
            headers: HeaderMap::new(),
            limits: Limits::default(),
            observers: Vec::new(),
            mistake: None,
        }
        .install(HttpTimeout::new())
        .install(Redirect::default())
        .install(Expectation)
    }

    /// A GET request.
    pub fn get(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::GET, url)
    }

    /// A HEAD request.
    pub fn head(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::HEAD, url)
    }

    /// A POST request.
    pub fn post(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::POST, url)
    }

    /// A PUT request.
    pub fn put(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::PUT, url)
    }

    /// A PATCH request (RFC 5789).
    pub fn patch(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::PATCH, url)
    }

    /// A DELETE request.
    pub fn delete(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::DELETE, url)
    }

    /// An OPTIONS request.
    pub fn options(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::OPTIONS, url)
    }

    /// A request of any method, known ones and your own: `"PROPFIND"`, `Method::TRACE`.
    ///
    /// A name that is no token, or a URL that is none, surfaces at [`send`](RequestBuilder::send).
    pub fn request<M>(&self, method: M, url: impl IntoUrl) -> RequestBuilder
    where
        Method: TryFrom<M>,
        <Method as TryFrom<M>>::Error: Into<http::Error>,
    {
        RequestBuilder::new(self.clone(), Method::try_from(method).map_err(Into::into), url)
    }

    /// Performs a request that was made elsewhere; its URI has to be absolute.
    ///
    /// # Errors
    /// As [`RequestBuilder::send`].
    pub async fn execute<B: Into<Body>>(&self, request: Request<B>) -> Result<Response> {
        RequestBuilder::from_request(self.clone(), request.map(Into::into)).send().await
    }

    /// Closes gracefully: idle connections now, others after their exchange. Later calls are refused with [`ErrorKind::Closed`](crate::ErrorKind::Closed).
    /// Returns at once; idempotent; concerns every client that shares the engine.
    pub fn close(&self) {
        self.0.engine.close();
    }

    /// Closes, and ends every call that is under way, at once: those that wait for their response, and responses that are being read, fail with
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed), and their connections are closed. Streams that were handed out by an upgrade are the caller's.
    /// Works the same on every engine. Idempotent; concerns every client that shares the engine.
    pub fn abort(&self) {
        self.0.engine.abort();
    }

    /// Makes a connection to the URL's origin beforehand, and keeps it for the calls to come, so that the first one need not wait for name, TCP and
    /// TLS. Nothing is sent. With an idle connection there already, nothing is done; two at the same time make two.
    ///
    /// ```no_run
    /// # async fn run(http: client_core::HttpClient) -> client_core::Result<()> {
    /// http.warm_up("https://example.org/").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`RequestBuilder::warm_up`].
    pub async fn warm_up(&self, url: impl IntoUrl) -> Result<()> {
        self.get(url).warm_up().await
    }

    /// What the engine's pool holds; `None` where it cannot tell
    /// ([`Capability::PoolStats`](crate::Capability::PoolStats)).
    pub fn pool(&self) -> Option<PoolStats> {
        self.0.engine.pool()
    }

    /// The engine.
    pub fn engine(&self) -> &AnyEngine {
        &self.0.engine
    }

    /// What the engine can do.
    pub fn capabilities(&self) -> Capabilities {
        self.engine().capabilities()
    }

    /// A call with this client's settings.
    pub(crate) fn call(&self) -> Box<Call> {
        let mut call = Call::new();
        call.exchange.limits = self.0.limits;
        call.exchange.is_calls_own = true;
        if !self.0.observers.is_empty() {
            call.exchange.trace = Trace::new(self.0.observers.clone());
        }
        call
    }

    /// The way of a call up to its connection.
    pub(crate) async fn run_warm_up(&self, mut exchange: Exchange) -> Result<()> {
        let Inner { plugins, engine, .. } = &*self.0;
        let uri = exchange.request.uri().clone();
        let outcome = async {
            for plugin in plugins {
                plugin.prepare(&mut exchange)?;
            }
            check::check(&mut exchange, engine.capabilities())?;
            engine.warm_up(exchange).await
        };
        outcome.await.map_err(|error| error.or_engine(engine.name()).or_uri(&uri))
    }

    /// One call, from the door to the response's head: the whole of it, in order.
    pub(crate) async fn run(&self, call: &mut Call) -> Result<()> {
        let Call { exchange, answer } = call;
        exchange.trace.emit(&Event::CallStarted {
            method: exchange.request.method(),
            uri: exchange.request.uri(),
        });
        let outcome = match self.0.admit(exchange) {
            Ok(()) => Rest::all(&self.0).answer(exchange, answer).await,
            Err(error) => Err(error),
        };
        outcome.map_err(|error| {
            let error = error.or_engine(self.engine().name()).or_uri(exchange.request.uri());
            exchange.trace.emit(&Event::Failed(&error));
            error
        })
    }
}

impl Inner {
    /// What is done at the door, before anything else: defaults, the plugins' settings, the gate.
    fn admit(&self, exchange: &mut Exchange) -> Result<()> {
        add_defaults(exchange.request.headers_mut(), &self.headers)?;
        for plugin in &self.plugins {
            plugin.prepare(exchange)?;
        }
        check::check(exchange, self.engine.capabilities())
    }
}

/// Defaults fill what the request leaves open; they are the first exchange's, and redirects treat them like the user's own.
fn add_defaults(headers: &mut HeaderMap, defaults: &HeaderMap) -> Result<()> {
    for name in defaults.keys() {
        if !headers.contains_key(name) {
            for value in defaults.get_all(name) {
                headers::append(headers, name.clone(), value.clone())?;
            }
        }
    }
    Ok(())
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").field("engine", &self.engine().name()).finish_non_exhaustive()
    }
}

/// Configures a client; see [`HttpClient::builder`].
#[must_use]
pub struct HttpClientBuilder {
    engine: AnyEngine,
    plugins: Vec<(TypeId, Arc<dyn Plugin>)>,
    headers: HeaderMap,
    limits: Limits,
    observers: Vec<Arc<dyn Observer>>,
    mistake: Option<Error>,
}

impl fmt::Debug for HttpClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClientBuilder").field("engine", &self.engine.name()).finish_non_exhaustive()
    }
}

impl HttpClientBuilder {
    /// Adds a plugin. Its place among the others is its [`Stage`](crate::Stage)'s; a [unique](Plugin::is_unique) one replaces its like.
    pub fn install<P: Plugin>(mut self, plugin: P) -> Self {
        let id = TypeId::of::<P>();
        if plugin.is_unique() {
            self.plugins.retain(|(other, _)| *other != id);
        }
        self.plugins.push((id, Arc::new(plugin)));
        self
    }

    /// Sees every event of every call.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    /// Changes what responses may cost.
    pub fn limits(mut self, change: impl FnOnce(Limits) -> Limits) -> Self {
        self.limits = change(self.limits);
        self
    }

    /// A header that every call begins with, unless the request sets it itself. A redirect to another origin drops it if it is a
    /// credential: one of those that [`Redirect`] names, or marked sensitive.
    pub fn default_header<K, V>(mut self, name: K, value: V) -> Self
    where
        HeaderName: TryFrom<K>,
        <HeaderName as TryFrom<K>>::Error: Into<http::Error>,
        HeaderValue: TryFrom<V>,
        <HeaderValue as TryFrom<V>>::Error: Into<http::Error>,
    {
        if let Err(mistake) =
            headers::header(name, value).and_then(|(name, value)| headers::append(&mut self.headers, name, value))
        {
            self.mistake.get_or_insert(mistake);
        }
        self
    }

    /// The `User-Agent` of every call. Default: none is sent.
    pub fn user_agent<V>(self, value: V) -> Self
    where
        HeaderValue: TryFrom<V>,
        <HeaderValue as TryFrom<V>>::Error: Into<http::Error>,
    {
        self.default_header(USER_AGENT, value)
    }

    /// The client.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) or [`Unsupported`](crate::ErrorKind::Unsupported) for a setting that makes no sense, a plugin that needs what the
    /// engine lacks, or the engine's own mistakes: whatever can be known before the first call.
    pub fn build(mut self) -> Result<HttpClient> {
        if let Some(mistake) = self.mistake.take() {
            return Err(mistake);
        }
        self.engine.check()?;
        for (_, plugin) in &self.plugins {
            plugin.check()?;
            if let Some(capability) = plugin.requires().missing_in(self.engine.capabilities()) {
                return Err(Error::unsupported(capability).or_engine(self.engine.name()));
            }
        }
        Ok(self.assemble())
    }

    fn assemble(mut self) -> HttpClient {
        self.plugins.sort_by_key(|(_, plugin)| plugin.stage());
        HttpClient(Arc::new(Inner {
            plugins: self.plugins.into_iter().map(|(_, plugin)| plugin).collect(),
            engine: self.engine,
            headers: self.headers,
            limits: self.limits,
            observers: self.observers,
        }))
    }
}
