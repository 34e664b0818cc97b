//! A request under construction. Mistakes are kept and surface at `send`: never a panic, never a lost request.

use std::borrow::Borrow;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use ::url::form_urlencoded;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

use crate::body::Body;
use crate::call::Call;
use crate::client::HttpClient;
use crate::error::{Error, Result};
use crate::exchange::{RequestTarget, UnixSocket};
use crate::headers::{self, append, header};
use crate::limits::Limits;
use crate::observer::Observer;
use crate::redirect::Redirect;
use crate::response::Response;
use crate::timeouts::Timeouts;
use crate::url::{self, IntoUrl, Userinfo};

/// A request; made by [`HttpClient::get`] and its kin, sent by [`send`](Self::send).
///
/// ```no_run
/// # use std::time::Duration;
/// # async fn run(http: client_core::HttpClient) -> client_core::Result<()> {
/// let response = http
///     .post("https://example.org/orders")
///     .query([("dry-run", "yes")])
///     .header("x-trace", "7")
///     .bearer_auth("token")
///     .timeout(|t| t.request(Duration::from_secs(3)))
///     .body("two pizzas")
///     .send()
///     .await?;
/// # Ok(()) }
/// ```
#[must_use = "a request does nothing until it is sent"]
pub struct RequestBuilder {
    client: HttpClient,
    /// On the heap, as a builder is moved at every step, and into the future of the call.
    call: Box<Call>,
    /// The first mistake; the later ones are often its consequences.
    mistake: Option<Error>,
}

impl RequestBuilder {
    pub(crate) fn new(client: HttpClient, method: Result<Method, http::Error>, url: impl IntoUrl) -> Self {
        let mut call = client.call();
        let mut mistake = None;
        match method {
            Ok(method) => *call.exchange.request.method_mut() = method,
            Err(error) => mistake = Some(Error::invalid(format!("method: {error}")).with_source(error)),
        }
        let mut userinfo = None;
        match url.into_door() {
            Ok(door) => {
                *call.exchange.request.uri_mut() = door.uri;
                userinfo = door.userinfo;
            }
            Err(error) => mistake = mistake.or(Some(error)),
        }
        let mut builder = Self { client, call, mistake };
        if let Some(Userinfo { user, password }) = userinfo {
            builder = builder.basic(&user, &password);
        }
        builder
    }

    pub(crate) fn from_request(client: HttpClient, request: Request<Body>) -> Self {
        let (parts, body) = request.into_parts();
        let mut builder = Self::new(client, Ok(parts.method), parts.uri);
        let of_url = builder.call.exchange.request.headers_mut().remove(AUTHORIZATION);
        *builder.call.exchange.request.headers_mut() = parts.headers;
        if let Some(value) = of_url {
            builder = builder.or_header(AUTHORIZATION, value);
        }
        // The version of an `http::Request` is 1.1 unless set: only another one is a wish.
        if parts.version != Version::default() {
            builder = builder.version(parts.version);
        }
        builder.call.exchange.request.extensions_mut().extend(parts.extensions);
        builder.body(body)
    }

    /// Adds pairs to the URL's query, form-encoded, after what is there already.
    pub fn query<I, K, V>(mut self, pairs: I) -> Self
    where
        I: IntoIterator,
        I::Item: Borrow<(K, V)>,
        K: AsRef<str>,
        V: AsRef<str>,
    {
        let added = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        if !added.is_empty() && self.mistake.is_none() {
            let uri = self.call.exchange.request.uri_mut();
            match with_query(uri, &added) {
                Ok(longer) => *uri = longer,
                Err(error) => self.mistake = Some(error),
            }
        }
        self
    }

    /// Adds a header field, after others of the same name.
    pub fn header<K, V>(mut self, name: K, value: V) -> Self
    where
        HeaderName: TryFrom<K>,
        <HeaderName as TryFrom<K>>::Error: Into<http::Error>,
        HeaderValue: TryFrom<V>,
        <HeaderValue as TryFrom<V>>::Error: Into<http::Error>,
    {
        let own = self.call.exchange.request.headers_mut();
        let added = header(name, value).and_then(|(name, value)| append(own, name, value));
        self.unless_mistaken(added)
    }

    /// Sets header fields: those of the same names are replaced.
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        let own = self.call.exchange.request.headers_mut();
        let mut last = None;
        let set = headers.into_iter().try_for_each(|(name, value)| match (name, &last) {
            (Some(name), _) => {
                last = Some(name.clone());
                headers::set(own, name, value)
            }
            // A field's further values come without its name.
            (None, Some(name)) => append(own, name.clone(), value),
            (None, None) => Ok(()),
        });
        self.unless_mistaken(set)
    }

    /// The body: text, bytes, `()`, or a [`Body`], which may be a stream.
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        *self.call.exchange.request.body_mut() = body.into();
        self
    }

    /// The body as JSON; `Content-Type: application/json`, unless set already.
    #[cfg(feature = "json")]
    #[cfg_attr(docsrs, doc(cfg(feature = "json")))]
    pub fn json<T: serde::Serialize + ?Sized>(self, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(json) => self.typed_body("application/json", json),
            Err(error) => self.mistaken(Error::invalid(format!("JSON: {error}")).with_source(error)),
        }
    }

    /// The body as form data (`application/x-www-form-urlencoded`, by the WHATWG URL Standard).
    pub fn form<I, K, V>(self, pairs: I) -> Self
    where
        I: IntoIterator,
        I::Item: Borrow<(K, V)>,
        K: AsRef<str>,
        V: AsRef<str>,
    {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.typed_body("application/x-www-form-urlencoded", form)
    }

    /// Basic credentials (RFC 7617), in UTF-8. Never follow a redirect to another origin. A user name with a colon cannot be sent.
    pub fn basic_auth(self, user: impl AsRef<str>, password: impl AsRef<str>) -> Self {
        self.basic(user.as_ref().as_bytes(), password.as_ref().as_bytes())
    }

    /// A bearer token (RFC 6750). Never follows a redirect to another origin.
    pub fn bearer_auth(self, token: impl AsRef<str>) -> Self {
        self.authorization("Bearer", token.as_ref())
    }

    /// Only this protocol version: HTTP/1.0, 1.1, 2 or 3. Default: the engine chooses.
    pub fn version(mut self, version: Version) -> Self {
        self.call.exchange.version = Some(version);
        self
    }

    /// Sets time limits of this call; the others stay as the client has them.
    pub fn timeout(mut self, set: impl FnOnce(Timeouts) -> Timeouts) -> Self {
        self.call.exchange.timeouts = set(self.call.exchange.timeouts);
        self
    }

    /// Changes what this call's response may cost.
    pub fn limits(mut self, change: impl FnOnce(Limits) -> Limits) -> Self {
        self.call.exchange.limits = change(self.call.exchange.limits);
        self
    }

    /// Whether and how this call follows redirects.
    pub fn redirect(self, policy: Redirect) -> Self {
        self.extension(policy)
    }

    /// A request target other than the URL's path and query: `*`, or the authority of a CONNECT.
    pub fn target(self, target: RequestTarget) -> Self {
        self.extension(target)
    }

    /// Connects to a Unix domain socket, in place of the URL's host and port: these then only name the server, in `Host` and in TLS. Redirects of the
    /// call go to the same socket. Asks for [`Capability::UnixSocket`](crate::Capability::UnixSocket).
    pub fn unix_socket(self, path: impl AsRef<Path>) -> Self {
        self.extension(UnixSocket::new(path))
    }

    /// A setting of one plugin or one engine.
    pub fn extension<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.call.exchange.request.extensions_mut().insert(value);
        self
    }

    /// Sees the events of this call, in addition to the client's observers.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.call.exchange.trace.add(Arc::new(observer));
        self
    }

    /// Sends the request; returns when the response's head is there. Dropping the future cancels the call.
    ///
    /// # Errors
    /// The first mistake made while building, as [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest); what the engine lacks,
    /// as [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported); and whatever goes wrong on the way. A 4xx or 5xx is no error; see
    /// [`Response::error_for_status`].
    pub async fn send(mut self) -> Result<Response> {
        if let Some(mistake) = self.mistake {
            return Err(mistake);
        }
        self.client.run(&mut self.call).await?;
        Ok(Response::new(self.call))
    }

    /// Makes a connection that this request would use, by its own settings and the client's, and keeps it for the calls to come; sends nothing.
    ///
    /// # Errors
    /// As [`send`](Self::send), up to a connection; [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) from an engine without
    /// [`Capability::WarmUp`](crate::Capability::WarmUp).
    pub async fn warm_up(self) -> Result<()> {
        match self.mistake {
            Some(mistake) => Err(mistake),
            None => self.client.run_warm_up(self.call.exchange).await,
        }
    }

    fn typed_body(self, content_type: &'static str, body: impl Into<Body>) -> Self {
        self.or_header(CONTENT_TYPE, HeaderValue::from_static(content_type)).body(body)
    }

    /// A header field, unless the user has set it.
    fn or_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        let own = self.call.exchange.request.headers_mut();
        let added = if own.contains_key(&name) { Ok(()) } else { append(own, name, value) };
        self.unless_mistaken(added)
    }

    fn basic(self, user: &[u8], password: &[u8]) -> Self {
        if user.contains(&b':') {
            return self.mistaken(Error::invalid("Basic credentials: a user name has no colon (RFC 7617 §2)"));
        }
        let token = BASE64.encode([user, b":", password].concat());
        self.authorization("Basic", &token)
    }

    fn authorization(mut self, scheme: &str, token: &str) -> Self {
        match HeaderValue::try_from(format!("{scheme} {token}")) {
            Ok(mut value) => {
                value.set_sensitive(true);
                let set = headers::set(self.call.exchange.request.headers_mut(), AUTHORIZATION, value);
                self.unless_mistaken(set)
            }
            Err(_) => self.mistaken(Error::invalid(format!("the {scheme} token has characters that no header may have"))),
        }
    }

    fn unless_mistaken(self, outcome: Result<()>) -> Self {
        match outcome {
            Ok(()) => self,
            Err(mistake) => self.mistaken(mistake),
        }
    }

    fn mistaken(mut self, mistake: Error) -> Self {
        let uri = self.call.exchange.request.uri();
        if self.mistake.is_none() {
            self.mistake = Some(if uri.host().is_some() { mistake.or_uri(uri) } else { mistake });
        }
        self
    }
}

/// The URI with more query: what was there stays as it is.
fn with_query(uri: &Uri, added: &str) -> Result<Uri> {
    let path_and_query = match uri.query() {
        Some(query) if !query.is_empty() => format!("{}?{query}&{added}", uri.path()),
        _ => format!("{}?{added}", uri.path()),
    };
    let mut parts = uri.clone().into_parts();
    let longer = PathAndQuery::try_from(path_and_query).map_err(http::Error::from);
    longer
        .and_then(|longer| {
            parts.path_and_query = Some(longer);
            Uri::from_parts(parts).map_err(http::Error::from)
        })
        .map_err(|error| Error::invalid(format!("query: {error}")).with_source(error))
}

impl fmt::Debug for RequestBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let request = &self.call.exchange.request;
        write!(f, "RequestBuilder({} {})", request.method(), url::display(request.uri()))
    }
}
