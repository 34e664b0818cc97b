//! The durations that bound a call, and how they merge. What enforces them lives elsewhere: `http_timeout.rs` and the engines.

use std::fmt;
use std::time::Duration;

use crate::error::{Error, Result};

/// A time limit: a duration, or [`Timeout::INFINITE`] to switch off a limit that a default would set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timeout(Option<Duration>);

impl Timeout {
    /// No limit, also where the client or the engine has one by default.
    pub const INFINITE: Self = Self(None);

    /// The duration, or `None` if infinite.
    pub fn duration(self) -> Option<Duration> {
        self.0
    }
}

impl From<Duration> for Timeout {
    fn from(duration: Duration) -> Self {
        Self(Some(duration))
    }
}

/// Which time limit: one name each, in settings, errors and docs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimeoutKind {
    /// The whole call, from sending to the last byte of the response's body, across redirects and retries.
    Request,
    /// Until the connection can carry the request: name, TCP, proxy, TLS.
    Connect,
    /// The longest silence between two packets, reading or writing.
    Socket,
    /// Waiting for a connection from a pool that is full.
    ConnectionRequest,
}

impl fmt::Display for TimeoutKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request => "request",
            Self::Connect => "connect",
            Self::Socket => "socket",
            Self::ConnectionRequest => "connection request",
        })
    }
}

/// The time limits of one call. A field that is not set falls back, field by field: request over plugin over engine.
///
/// ```
/// use std::time::Duration;
/// use client_core::{Timeout, Timeouts};
///
/// let of_client = Timeouts::new().request(Duration::from_secs(30)).connect(Duration::from_secs(2));
/// let of_request = Timeouts::new().request(Timeout::INFINITE);
/// let merged = of_request.or(of_client);
/// assert_eq!(merged.request_limit(), None);
/// assert_eq!(merged.connect_limit(), Some(Duration::from_secs(2)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Timeouts {
    request: Option<Timeout>,
    connect: Option<Timeout>,
    socket: Option<Timeout>,
    connection_request: Option<Timeout>,
}

impl Timeouts {
    /// Nothing set.
    pub const fn new() -> Self {
        Self {
            request: None,
            connect: None,
            socket: None,
            connection_request: None,
        }
    }

    /// Sets [`TimeoutKind::Request`]. Zero is refused when the call is made.
    pub fn request(mut self, limit: impl Into<Timeout>) -> Self {
        self.request = Some(limit.into());
        self
    }

    /// Sets [`TimeoutKind::Connect`]. Zero is refused when the call is made.
    pub fn connect(mut self, limit: impl Into<Timeout>) -> Self {
        self.connect = Some(limit.into());
        self
    }

    /// Sets [`TimeoutKind::Socket`]. Zero is refused when the call is made.
    pub fn socket(mut self, limit: impl Into<Timeout>) -> Self {
        self.socket = Some(limit.into());
        self
    }

    /// Sets [`TimeoutKind::ConnectionRequest`]. Zero is refused when the call is made.
    pub fn connection_request(mut self, limit: impl Into<Timeout>) -> Self {
        self.connection_request = Some(limit.into());
        self
    }

    /// These limits, and where one is not set, that of `defaults`.
    pub fn or(self, defaults: Self) -> Self {
        Self {
            request: self.request.or(defaults.request),
            connect: self.connect.or(defaults.connect),
            socket: self.socket.or(defaults.socket),
            connection_request: self.connection_request.or(defaults.connection_request),
        }
    }

    /// What was set for `kind`, if anything.
    #[inline]
    pub fn get(&self, kind: TimeoutKind) -> Option<Timeout> {
        match kind {
            TimeoutKind::Request => self.request,
            TimeoutKind::Connect => self.connect,
            TimeoutKind::Socket => self.socket,
            TimeoutKind::ConnectionRequest => self.connection_request,
        }
    }

    /// The limit for the whole call, `None` where there is none.
    pub fn request_limit(&self) -> Option<Duration> {
        self.request.and_then(Timeout::duration)
    }

    /// The limit for connecting, `None` where there is none.
    pub fn connect_limit(&self) -> Option<Duration> {
        self.connect.and_then(Timeout::duration)
    }

    /// The limit for silence on the socket, `None` where there is none.
    pub fn socket_limit(&self) -> Option<Duration> {
        self.socket.and_then(Timeout::duration)
    }

    /// The limit for waiting for the pool, `None` where there is none.
    pub fn connection_request_limit(&self) -> Option<Duration> {
        self.connection_request.and_then(Timeout::duration)
    }

    /// Refuses a limit of zero: it would fail every call, and is a mistake for "infinite" in most libraries.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest), naming the limit.
    pub fn check(&self) -> Result<()> {
        use TimeoutKind::{Connect, ConnectionRequest, Request, Socket};
        for kind in [Request, Connect, Socket, ConnectionRequest] {
            if self.get(kind).and_then(Timeout::duration) == Some(Duration::ZERO) {
                return Err(Error::invalid(format!(
                    "a {kind} timeout of zero; use a positive duration, or Timeout::INFINITE for none"
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_refused_by_name() {
        let zero = Timeouts::new().socket(Duration::ZERO);
        assert_eq!(
            zero.check().unwrap_err().to_string(),
            "invalid request: a socket timeout of zero; use a positive duration, or Timeout::INFINITE for none"
        );
        assert!(Timeouts::new().socket(Timeout::INFINITE).check().is_ok());
    }
}
