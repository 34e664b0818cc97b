//! The one error type of every engine and plugin: what failed, in which phase, and whether the server may have seen the request.
//!
//! Errors are classified where they happen; nobody upstream ever downcasts to find out what went wrong. Secrets never enter:
//! the URI is kept without userinfo and shown without its query.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use http::{StatusCode, Uri};

use crate::capability::Capability;
use crate::observer::Phase;
use crate::timeouts::TimeoutKind;
use crate::url;

/// What every fallible function of the client returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A cause of any type, as kept by [`Error`].
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a call failed.
///
/// One pointer wide. `Display` is one line that says what was wrong, where, and what would be right; the library's own error, where
/// there was one, is the [`source`](std::error::Error::source).
///
/// ```
/// use client_core::{Error, ErrorKind};
///
/// # let error = Error::new(ErrorKind::Connect, "connection refused");
/// match error.kind() {
///     ErrorKind::Timeout(which) => println!("{which} timeout"),
///     ErrorKind::Connect | ErrorKind::Resolve => println!("the server cannot be reached"),
///     _ => println!("{error}"),
/// }
/// ```
#[derive(thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<Inner>);

#[derive(thiserror::Error)]
struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    phase: Option<Phase>,
    sent: Sent,
    uri: Option<Uri>,
    engine: Option<&'static str>,
    capability: Option<Capability>,
    elapsed: Option<Elapsed>,
    source: Option<BoxError>,
}

/// The taxonomy of failures, equal on every engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request itself is wrong: its URL, a header, a setting. Nothing was sent.
    InvalidRequest,
    /// The engine lacks what was asked for; [`Error::capability`] names it. Nothing was sent.
    Unsupported,
    /// The host's name could not be resolved to an address.
    Resolve,
    /// No connection could be made: refused, unreachable, no address answered.
    Connect,
    /// The TLS handshake failed: certificate, host name, version, pins.
    Tls,
    /// A proxy refused or failed.
    Proxy,
    /// A time limit ran out; it says which one.
    Timeout(TimeoutKind),
    /// The server broke the rules of HTTP; its connection is closed.
    Protocol,
    /// The connection or the client was closed before the exchange was complete.
    Closed,
    /// The request's own body failed or did not have its declared length.
    Body,
    /// The response's body could not be decoded: JSON, charset, content coding.
    Decode,
    /// A redirect could not be followed: too many, no safe way, an invalid `Location`.
    Redirect,
    /// A limit of [`Limits`](crate::Limits) was exceeded.
    TooLarge,
    /// [`Response::error_for_status`](crate::Response::error_for_status) found a 4xx or 5xx.
    Status(StatusCode),
    /// The engine failed in a way that none of the other kinds describes; see the source.
    Engine,
}

impl ErrorKind {
    /// What the server may have seen of a request that failed so, as far as the kind alone can tell: nothing where by its meaning there was
    /// no connection yet, all of it where the server has answered, and else, to be on the safe side, [`Sent::Maybe`]. An error may know
    /// better: [`Error::sent`].
    pub fn sent(self) -> Sent {
        match self {
            Self::InvalidRequest | Self::Unsupported | Self::Resolve | Self::Connect => Sent::Nothing,
            Self::Timeout(TimeoutKind::Connect | TimeoutKind::ConnectionRequest) => Sent::Nothing,
            Self::Decode | Self::Redirect | Self::Status(_) => Sent::Answered,
            Self::Tls | Self::Proxy | Self::Timeout(_) | Self::Protocol | Self::Closed => Sent::Maybe,
            Self::Body | Self::TooLarge | Self::Engine => Sent::Maybe,
        }
    }
}

/// What the server may have seen of a request whose call failed: what a retry must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sent {
    /// Not one byte of the request left this machine: repeating it is always safe.
    Nothing,
    /// Some or all of it may have arrived: repeat only what is idempotent (RFC 9110 §9.2.2).
    Maybe,
    /// The server answered; it has acted on the request.
    Answered,
}

/// How long a call took until a time limit struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed {
    /// Which limit.
    pub kind: TimeoutKind,
    /// The limit as it was set.
    pub limit: Duration,
    /// The time that really passed; never less than the limit.
    pub elapsed: Duration,
}

impl Error {
    /// An error of a kind, with one line that says what was wrong. What the server may have seen is what the kind itself says
    /// ([`ErrorKind::sent`]): [`Sent::Maybe`] for most, so that whoever forgets [`with_sent`](Self::with_sent) causes no repetition of what
    /// must not be repeated.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            phase: None,
            sent: kind.sent(),
            uri: None,
            engine: None,
            capability: None,
            elapsed: None,
            source: None,
        }))
    }

    /// The engine lacks a capability that was asked for.
    pub fn unsupported(capability: Capability) -> Self {
        let mut error = Self::new(ErrorKind::Unsupported, format!("{} is not supported by this engine", capability.describe()));
        error.0.capability = Some(capability);
        error
    }

    /// A time limit ran out in `phase`, which says what the server may have seen.
    pub fn timeout(kind: TimeoutKind, limit: Duration, elapsed: Duration, phase: Phase) -> Self {
        let message = format!("{kind} timed out after {} ms (limit {} ms)", elapsed.as_millis(), limit.as_millis());
        let mut error = Self::new(ErrorKind::Timeout(kind), message).with_phase(phase).with_sent(phase.sent());
        error.0.elapsed = Some(Elapsed { kind, limit, elapsed });
        error
    }

    /// Shorthand for what most of `request.rs` reports.
    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidRequest, message)
    }

    /// Says in which phase it happened.
    #[must_use]
    pub fn with_phase(mut self, phase: Phase) -> Self {
        self.0.phase = Some(phase);
        self
    }

    /// Says what the server may have seen.
    #[must_use]
    pub fn with_sent(mut self, sent: Sent) -> Self {
        self.0.sent = sent;
        self
    }

    /// Keeps the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Names the engine, unless one is named already.
    #[must_use]
    pub fn or_engine(mut self, engine: &'static str) -> Self {
        self.0.engine.get_or_insert(engine);
        self
    }

    /// Says which URI was asked for, unless one is set already. Its userinfo is removed.
    #[must_use]
    pub fn or_uri(mut self, uri: &Uri) -> Self {
        if self.0.uri.is_none() {
            self.0.uri = Some(url::without_userinfo(uri));
        }
        self
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The line that says what was wrong, without what the kind puts before it.
    pub(crate) fn into_message(self) -> Cow<'static, str> {
        self.0.message
    }

    /// The phase in which it happened, where it happened in one.
    pub fn phase(&self) -> Option<Phase> {
        self.0.phase
    }

    /// What the server may have seen of the request.
    pub fn sent(&self) -> Sent {
        self.0.sent
    }

    /// The URI that was asked for, without userinfo.
    pub fn uri(&self) -> Option<&Uri> {
        self.0.uri.as_ref()
    }

    /// The engine that performed the exchange, as named by [`Engine::name`](crate::Engine::name).
    pub fn engine(&self) -> Option<&'static str> {
        self.0.engine
    }

    /// The capability that is missing, for [`ErrorKind::Unsupported`].
    pub fn capability(&self) -> Option<Capability> {
        self.0.capability
    }

    /// The limit and the time that passed, for [`ErrorKind::Timeout`].
    pub fn elapsed(&self) -> Option<Elapsed> {
        self.0.elapsed
    }

    /// The status, for [`ErrorKind::Status`].
    pub fn status(&self) -> Option<StatusCode> {
        match self.0.kind {
            ErrorKind::Status(status) => Some(status),
            _ => None,
        }
    }

    /// Whether a time limit ran out. A refused or reset connection and an unknown host are never timeouts.
    pub fn is_timeout(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Timeout(_))
    }
}

impl Inner {
    fn place(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (phase, uri) = (self.phase.map(Phase::describe), self.uri.as_ref().map(url::display));
        match (phase, uri) {
            (Some(phase), Some(uri)) => write!(f, " while {phase} {uri}"),
            (None, Some(uri)) => write!(f, " for {uri}"),
            // "while connecting to" without a place to connect to reads badly; the message has to stand alone.
            (_, None) => Ok(()),
        }
    }
}

impl fmt::Display for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = match self.kind {
            ErrorKind::InvalidRequest => "invalid request: ",
            ErrorKind::Unsupported => "unsupported: ",
            ErrorKind::Tls => "TLS: ",
            ErrorKind::Proxy => "proxy: ",
            ErrorKind::Protocol => "protocol violation by the server: ",
            ErrorKind::Body => "request body: ",
            ErrorKind::Redirect => "redirect not followed: ",
            ErrorKind::TooLarge => "too large: ",
            ErrorKind::Resolve
            | ErrorKind::Connect
            | ErrorKind::Timeout(_)
            | ErrorKind::Closed
            | ErrorKind::Decode
            | ErrorKind::Status(_)
            | ErrorKind::Engine => "",
        };
        write!(f, "{label}{}", self.message)?;
        self.place(f)?;
        match (self.kind, self.engine) {
            (ErrorKind::Unsupported, Some(engine)) => write!(f, " (engine {engine})"),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Error");
        out.field("kind", &self.kind).field("message", &self.message);
        if let Some(phase) = self.phase {
            out.field("phase", &phase);
        }
        out.field("sent", &self.sent);
        if let Some(uri) = &self.uri {
            out.field("uri", &format_args!("{}", url::display(uri)));
        }
        if let Some(engine) = self.engine {
            out.field("engine", &engine);
        }
        if let Some(elapsed) = self.elapsed {
            out.field("elapsed", &elapsed);
        }
        if let Some(source) = &self.source {
            out.field("source", source);
        }
        out.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn one_pointer_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
    }

    #[test]
    fn a_timeout_reads_well_and_keeps_secrets() {
        let uri: Uri = "https://user:secret@example.org:8443/path?token=secret".parse().unwrap();
        let error = Error::timeout(TimeoutKind::Connect, Duration::from_millis(250), Duration::from_millis(251), Phase::Tls)
            .or_uri(&uri)
            .with_source(std::io::Error::other("inner"));
        assert_eq!(
            error.to_string(),
            "connect timed out after 251 ms (limit 250 ms) while in TLS handshake with https://example.org:8443/path"
        );
        assert!(!format!("{error:?}").contains("secret"));
        assert_eq!(error.uri().unwrap(), "https://example.org:8443/path?token=secret");
        assert_eq!(error.source().unwrap().to_string(), "inner");
        assert!(error.is_timeout());
    }

    #[test]
    fn who_says_nothing_of_what_was_sent_says_no_more_than_the_kind_does() {
        use ErrorKind::{
            Body, Closed, Connect, Decode, Engine, InvalidRequest, Protocol, Proxy, Resolve, Timeout, Tls, TooLarge,
        };
        let said = |kind| Error::new(kind, "what").sent();
        for kind in [
            Body,
            Closed,
            Engine,
            Protocol,
            Proxy,
            Tls,
            TooLarge,
            Timeout(TimeoutKind::Request),
            Timeout(TimeoutKind::Socket),
        ] {
            assert_eq!(said(kind), Sent::Maybe, "{kind:?}");
        }
        for kind in [Connect, InvalidRequest, Resolve, Timeout(TimeoutKind::Connect)] {
            assert_eq!(said(kind), Sent::Nothing, "{kind:?}");
        }
        assert_eq!((said(Decode), Error::unsupported(Capability::Tls).sent()), (Sent::Answered, Sent::Nothing));
        let struck = |phase| Error::timeout(TimeoutKind::Request, Duration::ZERO, Duration::ZERO, phase).sent();
        assert_eq!([Phase::Tls, Phase::Head, Phase::Body].map(struck), [Sent::Nothing, Sent::Maybe, Sent::Answered]);
    }

    #[test]
    fn unsupported_names_capability_and_engine() {
        let error = Error::unsupported(Capability::SocketTimeout).or_engine("curl").or_engine("other");
        assert_eq!(error.to_string(), "unsupported: a socket timeout is not supported by this engine (engine curl)");
        assert_eq!(error.capability(), Some(Capability::SocketTimeout));
    }
}
