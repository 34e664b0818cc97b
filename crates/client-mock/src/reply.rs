//! What the mock answers, as data: a script of one exchange. Plays nothing itself; `play.rs` does.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use client_core::{Error, ErrorKind, OnUpgrade, Phase, Sent, Upgraded};
use http::header::{CONTENT_TYPE, LOCATION, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};

use crate::duplex::duplex;

/// The script of one answer: what arrives, when, and how it fails.
///
/// Times are virtual and exact. A silence that is longer than the exchange's limit ends in the timeout that a network would give,
/// with its kind, limit and phase.
///
/// A mistake in a reply, a header that is none, say, answers with [`ErrorKind::Engine`], naming it.
///
/// ```
/// use std::time::Duration;
/// use client_mock::Reply;
///
/// let slow_download = Reply::new()
///     .header("content-type", "application/octet-stream")
///     .delay(Duration::from_secs(1))
///     .chunk("first")
///     .pause(Duration::from_secs(30))
///     .chunk("second")
///     .reset();
/// # let _ = slow_download;
/// ```
#[must_use = "a reply answers nothing until it is enqueued or returned by a handler"]
pub struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) version: Option<Version>,
    pub(crate) informational: Vec<(StatusCode, HeaderMap)>,
    pub(crate) remote_addr: Option<SocketAddr>,
    pub(crate) upgrade: Option<OnUpgrade>,
    /// Instead of a head, in the phase that it names.
    pub(crate) failure: Option<Error>,
    pub(crate) is_early: bool,
    pub(crate) delays: Delays,
    pub(crate) steps: VecDeque<Step>,
    /// Whether the length of the body is told beforehand.
    pub(crate) is_announced: bool,
}

/// Silences before the body.
#[derive(Clone, Copy, Default)]
pub(crate) struct Delays {
    pub(crate) pool: Duration,
    pub(crate) connect: Duration,
    pub(crate) send: Duration,
    pub(crate) head: Duration,
}

/// One step of the body.
pub(crate) enum Step {
    Pause(Duration),
    Data(Bytes),
    Trailers(HeaderMap),
    Fail(Error),
}

/// Longer than any limit.
pub(crate) const FOREVER: Duration = Duration::MAX;

impl Reply {
    /// 200, without fields and content.
    pub fn new() -> Self {
        Self {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            version: None,
            informational: Vec::new(),
            remote_addr: None,
            upgrade: None,
            failure: None,
            is_early: false,
            delays: Delays::default(),
            steps: VecDeque::new(),
            is_announced: true,
        }
    }

    /// A status, without fields and content.
    pub fn status<S>(status: S) -> Self
    where
        StatusCode: TryFrom<S>,
        <StatusCode as TryFrom<S>>::Error: Into<http::Error>,
    {
        let mut reply = Self::new();
        match StatusCode::try_from(status) {
            Ok(status) => reply.status = status,
            Err(error) => reply.mistake(&error.into()),
        }
        reply
    }

    /// 200 with text: `text/plain; charset=utf-8`.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new().header(CONTENT_TYPE, "text/plain; charset=utf-8").body(text.into())
    }

    /// 200 with JSON: `application/json`.
    #[cfg(feature = "json")]
    #[cfg_attr(docsrs, doc(cfg(feature = "json")))]
    pub fn json<T: serde::Serialize + ?Sized>(value: &T) -> Self {
        let mut reply = Self::new().header(CONTENT_TYPE, "application/json");
        match serde_json::to_vec(value) {
            Ok(json) => reply = reply.body(json),
            Err(error) => reply.mistake(&error),
        }
        reply
    }

    /// A redirect to `location`, which may be relative.
    pub fn redirect<S>(status: S, location: impl AsRef<str>) -> Self
    where
        StatusCode: TryFrom<S>,
        <StatusCode as TryFrom<S>>::Error: Into<http::Error>,
    {
        Self::status(status).header(LOCATION, location.as_ref())
    }

    /// No answer but an error, in the phase in which this kind belongs: a name that cannot be resolved fails before anything is sent,
    /// a broken rule of HTTP in the response's head. For another place, make a reply [from](From) a complete [`Error`].
    pub fn error(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        let phase = match kind {
            ErrorKind::InvalidRequest | ErrorKind::Unsupported => Phase::Pool,
            ErrorKind::Resolve => Phase::Resolve,
            ErrorKind::Connect => Phase::Connect,
            ErrorKind::Proxy => Phase::Proxy,
            ErrorKind::Tls => Phase::Tls,
            ErrorKind::Body => Phase::Send,
            _ => Phase::Head,
        };
        Self::from(Error::new(kind, message).with_phase(phase).with_sent(phase.sent()))
    }

    /// Nobody listens: [`ErrorKind::Connect`], nothing was sent.
    pub fn refused() -> Self {
        Self::error(ErrorKind::Connect, "connection refused")
    }

    /// The request is taken, and no answer ever comes.
    pub fn never() -> Self {
        Self::new().delay(FOREVER)
    }

    /// 101: the connection now speaks `protocol`. The second value is the server's end of it.
    ///
    /// ```
    /// use client_core::HttpClient;
    /// use client_mock::{Mock, Reply};
    /// use futures::{AsyncReadExt, AsyncWriteExt};
    ///
    /// let mock = Mock::new();
    /// let (reply, mut server) = Reply::upgrade("echo");
    /// mock.enqueue(reply);
    /// let http = HttpClient::new(mock.clone());
    /// mock.run(async {
    ///     let request = http.get("http://h.example/").header("connection", "upgrade").header("upgrade", "echo");
    ///     let mut client = request.send().await?.upgrade()?;
    ///     client.write_all(b"hi").await.unwrap();
    ///     let mut heard = [0; 2];
    ///     server.read_exact(&mut heard).await.unwrap();
    ///     assert_eq!(&heard, b"hi");
    ///     # Ok::<_, client_core::Error>(())
    /// })?;
    /// # Ok::<_, client_core::Error>(())
    /// ```
    pub fn upgrade(protocol: &str) -> (Self, Upgraded) {
        let reply = Self::status(StatusCode::SWITCHING_PROTOCOLS)
            .header("connection", "upgrade")
            .header(UPGRADE, protocol);
        reply.switching()
    }

    /// 200 to a CONNECT. The second value is the far end of the tunnel.
    pub fn tunnel() -> (Self, Upgraded) {
        Self::new().switching()
    }

    fn switching(mut self) -> (Self, Upgraded) {
        let (near, far) = duplex();
        self.upgrade = Some(OnUpgrade::new(near));
        (self, far)
    }

    /// Adds a header field.
    ///
    /// A `Content-Length` is held to be true: a body that is longer is a violation of the protocol, and a shorter one was cut off.
    pub fn header<K, V>(mut self, name: K, value: V) -> Self
    where
        HeaderName: TryFrom<K>,
        <HeaderName as TryFrom<K>>::Error: Into<http::Error>,
        HeaderValue: TryFrom<V>,
        <HeaderValue as TryFrom<V>>::Error: Into<http::Error>,
    {
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(value)) => {
                self.headers.append(name, value);
            }
            (Err(error), _) => self.mistake(&error.into()),
            (_, Err(error)) => self.mistake(&error.into()),
        }
        self
    }

    /// The protocol version of the answer. Default: the one asked for, else HTTP/1.1.
    pub fn version(mut self, version: Version) -> Self {
        self.version = Some(version);
        self
    }

    /// The whole body, in place of what was scripted; its length is announced in `Content-Length`.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.steps = VecDeque::from([Step::Data(body.into())]);
        self.is_announced = true;
        self
    }

    /// One more piece of the body, as a packet of its own. The length is not announced.
    pub fn chunk(mut self, chunk: impl Into<Bytes>) -> Self {
        self.is_announced = false;
        self.step(Step::Data(chunk.into()))
    }

    /// Silence in the body, since the packet before; pauses in a row add up.
    pub fn pause(mut self, duration: Duration) -> Self {
        if let Some(Step::Pause(before)) = self.steps.back_mut() {
            *before = before.saturating_add(duration);
            return self;
        }
        self.step(Step::Pause(duration))
    }

    /// Silence in the body, for ever.
    pub fn stall(self) -> Self {
        self.pause(FOREVER)
    }

    /// The fields after the body; also its end.
    pub fn trailers(mut self, trailers: HeaderMap) -> Self {
        self.is_announced = false;
        self.step(Step::Trailers(trailers))
    }

    /// Ends the body with an error.
    pub fn fail(self, kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        let error = Error::new(kind, message).with_phase(Phase::Body).with_sent(Sent::Answered);
        self.step(Step::Fail(error))
    }

    /// The connection breaks in the middle of the body: [`ErrorKind::Closed`].
    pub fn reset(self) -> Self {
        self.fail(ErrorKind::Closed, "connection reset by the server")
    }

    /// An informational (1xx) head, before the answer's own.
    pub fn informational<S>(mut self, status: S, headers: HeaderMap) -> Self
    where
        StatusCode: TryFrom<S>,
        <StatusCode as TryFrom<S>>::Error: Into<http::Error>,
    {
        match StatusCode::try_from(status) {
            Ok(status) => self.informational.push((status, headers)),
            Err(error) => self.mistake(&error.into()),
        }
        self
    }

    /// The peer's address. Default: 192.0.2.1, which is reserved for documentation (RFC 5737), at the URL's port.
    pub fn remote_addr(mut self, addr: SocketAddr) -> Self {
        self.remote_addr = Some(addr);
        self
    }

    /// The time until the pool has a connection to give. Default: none.
    pub fn pool_delay(mut self, delay: Duration) -> Self {
        self.delays.pool = delay;
        self
    }

    /// The time until a connection is there. Default: none.
    pub fn connect_delay(mut self, delay: Duration) -> Self {
        self.delays.connect = delay;
        self
    }

    /// The time that the server lets pass before it takes each piece of the request's body. Default: none. Only for replies that
    /// are enqueued: a handler has seen the whole request.
    pub fn send_delay(mut self, delay: Duration) -> Self {
        self.delays.send = delay;
        self
    }

    /// The time between the request, or the last informational head, and the answer's head. Default: none.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delays.head = delay;
        self
    }

    /// Answers as soon as the request's head is there. Its body is taken while the response's is read, and what is left of it at the
    /// response's end never; where the request expects a 100, none of it is. Only for replies that are enqueued: a handler has
    /// seen the whole request.
    pub fn early(mut self) -> Self {
        self.is_early = true;
        self
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push_back(step);
        self
    }

    fn mistake(&mut self, error: &dyn fmt::Display) {
        let error = || Error::new(ErrorKind::Engine, format!("a mistake in the mock's Reply: {error}")).with_sent(Sent::Nothing);
        self.failure.get_or_insert_with(error);
    }
}

impl Default for Reply {
    fn default() -> Self {
        Self::new()
    }
}

/// No answer but this error, in the phase that it names; by default, instead of the response's head.
impl From<Error> for Reply {
    fn from(error: Error) -> Self {
        Self {
            failure: Some(error),
            ..Self::new()
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.failure {
            Some(error) => f.debug_tuple("Reply").field(error).finish(),
            None => write!(f, "Reply({})", self.status),
        }
    }
}
