//! A response: its head at once, its body at the reader's pace. Dropping it cancels what is left.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use http::{Extensions, HeaderMap, StatusCode, Uri, Version};

use crate::body::Body;
use crate::call::{ANSWERED, Call};
use crate::connection::ConnectionInfo;
use crate::error::{Error, ErrorKind, Result, Sent};
use crate::headers::Names;
use crate::observer::Phase;
use crate::redirect::{Hop, RedirectHistory};
use crate::upgrade::{OnUpgrade, Upgraded};
use crate::url;

/// The answer to a call.
///
/// A body that is read to its end gives the connection back to be used again; dropping the response earlier closes the connection
/// (HTTP/1.1, unless the rest is small and already there) or resets the stream (HTTP/2).
///
/// ```no_run
/// # async fn run(http: client_core::HttpClient) -> client_core::Result<()> {
/// let mut response = http.get("https://example.org/big").send().await?.error_for_status()?;
/// while let Some(chunk) = response.chunk().await? {
///     println!("{} bytes", chunk.len());
/// }
/// # Ok(()) }
/// ```
pub struct Response {
    /// It is over, and knows the URL, the connection and the limits.
    call: Box<Call>,
    trailers: Option<Box<HeaderMap>>,
}

impl Response {
    /// The response to a call that succeeded.
    pub(crate) fn new(mut call: Box<Call>) -> Self {
        // Whatever of it was not sent is of no more use.
        *call.exchange.request.body_mut() = Body::empty();
        Self { call, trailers: None }
    }

    fn inner(&self) -> &http::Response<Body> {
        self.call.answer.as_ref().expect(ANSWERED)
    }

    fn body_mut(&mut self) -> &mut Body {
        self.call.answer.as_mut().expect(ANSWERED).body_mut()
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.inner().status()
    }

    /// The header fields.
    pub fn headers(&self) -> &HeaderMap {
        self.inner().headers()
    }

    /// The protocol version that was really spoken.
    pub fn version(&self) -> Version {
        self.inner().version()
    }

    /// The URL that answered, after redirects; without userinfo and fragment.
    pub fn url(&self) -> &Uri {
        self.redirects().last().map_or(self.call.exchange.request.uri(), |hop| &hop.to)
    }

    /// The redirects that led here, first one first.
    pub fn redirects(&self) -> &[Hop] {
        self.extensions().get::<RedirectHistory>().map_or(&[], |history| &history.0)
    }

    /// The connection that carried it, where the engine knows.
    pub fn connection(&self) -> Option<&ConnectionInfo> {
        self.call.exchange.connection.as_deref().or_else(|| self.extensions().get())
    }

    /// The peer's address, where the engine knows it ([`Capability::RemoteAddr`](crate::Capability::RemoteAddr)).
    pub fn remote_addr(&self) -> Option<std::net::SocketAddr> {
        self.connection()?.remote_addr
    }

    /// What the engine and the plugins attached.
    pub fn extensions(&self) -> &Extensions {
        self.inner().extensions()
    }

    /// The length of the body that is still to be read, where it is known.
    pub fn content_length(&self) -> Option<u64> {
        self.inner().body().len()
    }

    /// A 4xx or 5xx as an error.
    ///
    /// # Errors
    /// [`ErrorKind::Status`].
    pub fn error_for_status(self) -> Result<Self> {
        let status = self.status();
        if status.is_client_error() || status.is_server_error() {
            let error = Error::new(ErrorKind::Status(status), format!("the server answered {status}"));
            return Err(error.with_sent(Sent::Answered).or_uri(self.url()));
        }
        Ok(self)
    }

    /// The next piece of the body, as it arrived; `None` at its end.
    ///
    /// # Errors
    /// Whatever ended the body early: a timeout, a closed connection, a violation of the protocol.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        if let Some(all) = self.body_mut().take_all() {
            return Ok(Some(all).filter(|all| !all.is_empty()));
        }
        while let Some(frame) = self.body_mut().frame().await {
            match frame.map_err(|error| error.or_uri(self.url()))?.into_data() {
                Ok(data) => return Ok(Some(data)),
                Err(frame) => self.trailers = frame.into_trailers().ok().map(Box::new),
            }
        }
        Ok(None)
    }

    /// The fields after the body (RFC 9110 §6.5), once [`chunk`](Self::chunk) has returned `None`.
    pub fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_deref()
    }

    /// The whole body.
    ///
    /// # Errors
    /// Those of [`chunk`](Self::chunk); [`ErrorKind::TooLarge`] above [`Limits::body_bytes`](crate::Limits::body_bytes).
    pub async fn bytes(mut self) -> Result<Bytes> {
        self.read().await
    }

    /// The whole body as text, by the charset that `Content-Type` names, else UTF-8; malformed parts become U+FFFD. A byte order mark
    /// decides, where there is one. Charsets other than UTF-8 need the feature `charset`.
    ///
    /// # Errors
    /// Those of [`bytes`](Self::bytes).
    pub async fn text(mut self) -> Result<String> {
        let bytes = self.read().await?;
        Ok(decode(&bytes, self.headers()))
    }

    /// The whole body, as JSON.
    ///
    /// # Errors
    /// Those of [`bytes`](Self::bytes); [`ErrorKind::Decode`] with line and column.
    #[cfg(feature = "json")]
    #[cfg_attr(docsrs, doc(cfg(feature = "json")))]
    pub async fn json<T: serde::de::DeserializeOwned>(mut self) -> Result<T> {
        let bytes = self.read().await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            let message = format!("the body is not the JSON expected: {error}");
            Error::new(ErrorKind::Decode, message)
                .with_sent(Sent::Answered)
                .with_source(error)
                .or_uri(self.url())
        })
    }

    /// The body as a stream of chunks.
    pub fn bytes_stream(mut self) -> BytesStream {
        BytesStream {
            url: self.url().clone(),
            body: std::mem::take(self.body_mut()),
        }
    }

    /// The raw stream, after a 101 or a 2xx to CONNECT.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] if the server did not switch.
    pub fn upgrade(self) -> Result<Upgraded> {
        let stream = self.extensions().get::<OnUpgrade>().and_then(OnUpgrade::take);
        stream.ok_or_else(|| {
            let message = format!("it answered {} and did not switch protocols", self.status());
            Error::new(ErrorKind::Protocol, message).with_sent(Sent::Answered).or_uri(self.url())
        })
    }

    async fn read(&mut self) -> Result<Bytes> {
        let limit = self.call.exchange.limits.max_body_bytes();
        let announced = self.content_length();
        if let Some(length) = announced.filter(|&length| length > limit) {
            return Err(self.too_large(format!("the body has {length} bytes, more than the limit of {limit}")));
        }
        // What came together with its head is here as a whole.
        if let Some(all) = self.body_mut().take_all() {
            return Ok(all);
        }
        let Some(first) = self.chunk().await? else {
            return Ok(Bytes::new());
        };
        // Most bodies are one chunk, which is then handed on without a copy.
        let mut all: Option<BytesMut> = None;
        let mut length = first.len() as u64;
        while length <= limit {
            let Some(more) = self.chunk().await? else {
                return Ok(all.map_or(first, BytesMut::freeze));
            };
            length += more.len() as u64;
            all.get_or_insert_with(|| {
                // What a server announces is no reason to reserve it.
                let reserve = announced.unwrap_or(length).clamp(length, length.max(MAX_RESERVE));
                let mut all = BytesMut::with_capacity(usize::try_from(reserve).unwrap_or(0));
                all.extend_from_slice(&first);
                all
            })
            .extend_from_slice(&more);
        }
        Err(self.too_large(format!("the body has more than the limit of {limit} bytes")))
    }

    fn too_large(&self, message: String) -> Error {
        Error::new(ErrorKind::TooLarge, format!("{message}; stream it with chunk(), or raise Limits::body_bytes"))
            .with_phase(Phase::Body)
            .with_sent(Sent::Answered)
            .or_uri(self.url())
    }
}

/// Bytes that are reserved on a server's word; more only when they are there.
const MAX_RESERVE: u64 = 1 << 20;

#[cfg(feature = "charset")]
fn decode(bytes: &[u8], headers: &HeaderMap) -> String {
    let named = charset(headers).and_then(|label| encoding_rs::Encoding::for_label(label.as_bytes()));
    named.unwrap_or(encoding_rs::UTF_8).decode(bytes).0.into_owned()
}

#[cfg(not(feature = "charset"))]
fn decode(bytes: &[u8], _: &HeaderMap) -> String {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    String::from_utf8_lossy(bytes).into_owned()
}

/// The `charset` parameter of `Content-Type` (RFC 9110 §8.3.2), quoted or not.
#[cfg(feature = "charset")]
fn charset(headers: &HeaderMap) -> Option<&str> {
    let content_type = headers.get(http::header::CONTENT_TYPE)?.to_str().ok()?;
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_charset = name.trim().eq_ignore_ascii_case("charset");
        is_charset.then(|| value.trim().trim_matches('"'))
    })
}

/// The chunks of a body; see [`Response::bytes_stream`].
pub struct BytesStream {
    body: Body,
    url: Uri,
}

impl Stream for BytesStream {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let frame = std::task::ready!(http_body::Body::poll_frame(Pin::new(&mut self.body), cx));
            return Poll::Ready(match frame.map(|frame| frame.map(http_body::Frame::into_data)) {
                None => None,
                Some(Ok(Ok(data))) => Some(Ok(data)),
                // Trailers: the end is next.
                Some(Ok(Err(_))) => continue,
                Some(Err(error)) => Some(Err(error.or_uri(&self.url))),
            });
        }
    }
}

impl fmt::Debug for Response {
    /// The names of the header fields without their values, and the URL without its query: either may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status())
            .field("version", &self.version())
            .field("url", &format_args!("{}", url::display(self.url())))
            .field("headers", &Names(self.headers()))
            .field("body", self.inner().body())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for BytesStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BytesStream({:?} of {})", self.body, url::display(&self.url))
    }
}

impl From<Response> for http::Response<Body> {
    fn from(response: Response) -> Self {
        let Call { exchange, answer } = *response.call;
        let mut inner = answer.expect(ANSWERED);
        if let Some(connection) = exchange.connection {
            inner.extensions_mut().insert(Arc::unwrap_or_clone(connection));
        }
        inner
    }
}

impl<B: Into<Body>> From<http::Response<B>> for Response {
    /// A response made elsewhere: in a test, say. Its URL is `/`.
    fn from(response: http::Response<B>) -> Self {
        let mut call = Call::new();
        call.answer = Some(response.map(Into::into));
        Self::new(call)
    }
}
