//! What an engine can promise. A capability is something that a *caller* can notice; each has a conformance case for engines that
//! declare it and one for those that do not.

use std::fmt;
use std::ops::BitOr;

macro_rules! capabilities {
    ($($(#[$doc:meta])* $name:ident => $id:literal, $describe:literal;)+) => {
        /// One promise of an engine.
        ///
        /// Declared: the conformance cases must pass. Not declared: asking for it is refused with
        /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) before any I/O. Never silently ignored.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Capability {
            $($(#[$doc])* $name,)+
        }

        impl Capability {
            /// Every capability, in the order of the matrix.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// A stable name, as used in the matrix.
            pub fn id(self) -> &'static str {
                match self { $(Self::$name => $id),+ }
            }

            /// As a phrase that completes "… is not supported by this engine".
            pub fn describe(self) -> &'static str {
                match self { $(Self::$name => $describe),+ }
            }
        }
    };
}

capabilities! {
    /// HTTP/1.1 (RFC 9112).
    Http1 => "http1", "HTTP/1.1";
    /// HTTP/2 over TLS, by ALPN (RFC 9113).
    Http2 => "http2", "HTTP/2";
    /// HTTP/2 without TLS, by prior knowledge (RFC 9113 §3.3).
    Http2PriorKnowledge => "h2c", "HTTP/2 by prior knowledge";
    /// HTTP/3 (RFC 9114).
    Http3 => "http3", "HTTP/3";
    /// HTTP/2 is taken at its word (RFC 9113 §8.1.1): a field that is malformed is refused, not left out; a body that ends by a reset, whatever its
    /// code, is not whole; more DATA than was allowed is refused; what is cancelled is reset as cancelled.
    StrictHttp2 => "strict-http2", "strictness in HTTP/2";
    /// `https` URLs.
    Tls => "tls", "https";
    /// Trust in given root certificates only.
    CustomRoots => "custom-roots", "a choice of root certificates";
    /// A client certificate.
    ClientIdentity => "client-identity", "a client certificate";
    /// Public key pins (SPKI, SHA-256).
    SpkiPins => "spki-pins", "pinning of public keys";
    /// A request carries the fields that were set, those that its protocol needs (Host, framing), and no other.
    ExactHeaders => "exact-headers", "a request without added fields";
    /// A limit for connecting, per request.
    ConnectTimeout => "connect-timeout", "a connect timeout";
    /// A limit for silence on the socket, per request.
    SocketTimeout => "socket-timeout", "a socket timeout";
    /// A limit for waiting for the pool, per request.
    ConnectionRequestTimeout => "connection-request-timeout", "a connection request timeout";
    /// Proxies that speak HTTP: absolute-form and CONNECT.
    HttpProxy => "http-proxy", "an HTTP proxy";
    /// Proxies that are themselves reached by TLS.
    HttpsProxy => "https-proxy", "an HTTPS proxy";
    /// SOCKS 4, 4a, 5 and 5h proxies.
    SocksProxy => "socks-proxy", "a SOCKS proxy";
    /// What a proxy makes of a CONNECT of the engine's own is told: [`Phase::Proxy`](crate::Phase::Proxy) while it thinks, and the status by
    /// which it refuses. That it refused, as [`ErrorKind::Proxy`](crate::ErrorKind::Proxy), every engine tells.
    ProxyStatus => "proxy-status", "telling the status of a proxy's answer";
    /// Each answer to CONNECT that HTTP allows is understood: 1xx are passed over, any 2xx opens the tunnel, and what comes with it is the
    /// tunnel's (RFC 9110 §9.3.6, §15.2).
    ProxyAnswers => "proxy-answers", "every answer of a proxy that HTTP allows";
    /// Unix domain sockets.
    UnixSocket => "unix-socket", "a Unix socket";
    /// `Upgrade`, handing out the raw stream (RFC 9110 §7.8).
    Upgrade => "upgrade", "a protocol upgrade";
    /// A CONNECT of the user's own, handing out the tunnel (RFC 9110 §9.3.6).
    Tunnel => "tunnel", "the CONNECT method";
    /// `OPTIONS *` (RFC 9112 §3.2.4).
    AsteriskForm => "asterisk-form", "the request target \"*\"";
    /// `Expect: 100-continue` with a bounded wait (RFC 9110 §10.1.1).
    ExpectContinue => "expect-continue", "Expect: 100-continue";
    /// Informational responses are events (RFC 9110 §15.2).
    Informational => "informational", "observing informational responses";
    /// A response's head is watched as it arrives: its bytes are signs of life before it is whole, and of an answer that has begun; informational
    /// ones before it are counted ([`Limits::informational`](crate::Limits::informational)).
    HeadProgress => "head-progress", "watching a response's head as it arrives";
    /// Bodies that are sent as they are produced.
    StreamingUpload => "streaming-upload", "a streamed request body";
    /// The response is readable while the request's body is still being sent.
    Duplex => "duplex", "full duplex streaming";
    /// Trailer fields after the request's body.
    RequestTrailers => "request-trailers", "trailers in a request";
    /// The same in HTTP/2, where it is asked for.
    Http2RequestTrailers => "http2-request-trailers", "trailers in a request of HTTP/2";
    /// Trailer fields after the response's body.
    ResponseTrailers => "response-trailers", "trailers in a response";
    /// [`ConnectionInfo::remote_addr`](crate::ConnectionInfo::remote_addr) is known.
    RemoteAddr => "remote-addr", "the remote address";
    /// Connections are kept and used again.
    ConnectionReuse => "connection-reuse", "reuse of connections";
    /// [`HttpClient::pool`](crate::HttpClient::pool) tells what the pool holds.
    PoolStats => "pool-stats", "statistics of the pool";
    /// [`HttpClient::warm_up`](crate::HttpClient::warm_up) makes connections beforehand.
    WarmUp => "warm-up", "connecting beforehand";
}

/// A set of [`Capability`].
///
/// ```
/// use client_core::{Capabilities, Capability};
///
/// const MINE: Capabilities = Capabilities::NONE.with(Capability::Http1).with(Capability::Tls);
/// assert!(MINE.contains(Capability::Tls));
/// assert_eq!(MINE.to_string(), "http1, tls");
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Capabilities(u64);

impl Capabilities {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// This set and one more.
    #[must_use]
    pub const fn with(self, capability: Capability) -> Self {
        Self(self.0 | 1 << capability as u64)
    }

    /// This set, and one more where `condition` holds.
    pub(crate) const fn with_if(self, condition: bool, capability: Capability) -> Self {
        Self(self.0 | (condition as u64) << capability as u64)
    }

    /// This set less one.
    #[must_use]
    pub const fn without(self, capability: Capability) -> Self {
        Self(self.0 & !(1 << capability as u64))
    }

    /// This set and another.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether `capability` is in the set.
    pub const fn contains(self, capability: Capability) -> bool {
        self.0 & (1 << capability as u64) != 0
    }

    /// The members, in the order of [`Capability::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.iter().copied().filter(move |&one| self.contains(one))
    }

    /// The first member that `other` lacks.
    pub fn missing_in(self, other: Self) -> Option<Capability> {
        let missing = self.0 & !other.0;
        // Asked for every exchange: the numbers of the members are their places in the list.
        Capability::ALL.get(missing.trailing_zeros() as usize).copied()
    }
}

impl From<Capability> for Capabilities {
    fn from(one: Capability) -> Self {
        Self::NONE.with(one)
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(iter: I) -> Self {
        iter.into_iter().fold(Self::NONE, Self::with)
    }
}

impl BitOr for Capabilities {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, one) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{}", one.id())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Capabilities({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_fit_and_ids_are_unique() {
        let all: Capabilities = Capability::ALL.iter().copied().collect();
        assert_eq!(all.iter().count(), Capability::ALL.len());
        assert!(Capability::ALL.len() <= 36, "keep the list to what a caller can notice");
        let mut ids: Vec<_> = Capability::ALL.iter().map(|one| one.id()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), Capability::ALL.len());
    }

    #[test]
    fn the_first_missing_one_is_named() {
        let asked = Capabilities::from(Capability::Tls).with(Capability::Http2);
        assert_eq!(asked.missing_in(Capability::Tls.into()), Some(Capability::Http2));
        assert_eq!(asked.missing_in(asked), None);
    }
}
