//! What is known about connections: of one response, and of the whole pool.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use crate::tls::TlsVersion;

/// The connection that carried an exchange. An engine writes it into [`Exchange::connection`](crate::Exchange::connection), or puts it into the
/// response's extensions; see [`Response::connection`](crate::Response::connection).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// The peer's address; of the proxy, where there is one.
    pub remote_addr: Option<SocketAddr>,
    /// Our own address.
    pub local_addr: Option<SocketAddr>,
    /// Whether the connection came from the pool: it had carried an exchange before, or was made beforehand.
    pub reused: bool,
    /// What the TLS handshake with the server agreed upon; `None` without TLS, and where the engine does not know it.
    pub tls: Option<Arc<TlsInfo>>,
}

/// The outcome of a TLS handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The protocol version.
    pub version: TlsVersion,
    /// The cipher suite, by its IANA name: `TLS_AES_128_GCM_SHA256`.
    pub cipher: String,
    /// The certificates that the server sent, as DER, its own first.
    pub peer_certificates: Vec<Bytes>,
}

impl TlsInfo {
    /// A handshake of this version and cipher; no certificates yet.
    pub fn new(version: TlsVersion, cipher: impl Into<String>) -> Self {
        Self {
            version,
            cipher: cipher.into(),
            peer_certificates: Vec::new(),
        }
    }
}

impl ConnectionInfo {
    /// Nothing known.
    pub fn new() -> Self {
        Self::default()
    }
}

/// What a pool holds at one moment, and what it has done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Connections that wait for use.
    pub idle: usize,
    /// Connections that carry at least one exchange.
    pub in_use: usize,
    /// Connections being made.
    pub dialing: usize,
    /// Calls that wait for a connection.
    pub waiting: usize,
    /// Connections made since the engine began.
    pub opened: u64,
    /// Exchanges that used a connection again.
    pub reused: u64,
    /// Connections closed since the engine began.
    pub closed: u64,
    /// The same, by the reason for it; reasons that never occurred are left out.
    pub closed_by: BTreeMap<CloseReason, u64>,
    /// Attempts to connect that failed since the engine began.
    pub dials_failed: u64,
    /// The same, by route.
    pub routes: Vec<RouteStats>,
}

/// One route's part of [`PoolStats`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteStats {
    /// Scheme, host and port.
    pub origin: String,
    /// Connections that wait for use.
    pub idle: usize,
    /// Connections that carry at least one exchange.
    pub in_use: usize,
    /// Connections being made.
    pub dialing: usize,
    /// Calls that wait for a connection.
    pub waiting: usize,
}

impl RouteStats {
    /// A route on which nothing happens.
    pub fn new(origin: impl Into<String>) -> Self {
        Self {
            origin: origin.into(),
            idle: 0,
            in_use: 0,
            dialing: 0,
            waiting: 0,
        }
    }
}

/// Why a connection left the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum CloseReason {
    /// It lay idle for as long as the engine keeps any.
    IdleTimeout,
    /// The time its server promised in `Keep-Alive: timeout` is over, less the margin.
    KeepAlive,
    /// It reached the age that the engine allows.
    Lifetime,
    /// It was idle, and its place in the total was needed for another route.
    Evicted,
    /// Its route has more of them than the engine keeps.
    IdleLimit,
    /// All connections were given up, because the network changed, say.
    Cleared,
    /// The client was closed or dropped.
    PoolClosed,
    /// Its exchange was the last by agreement (`Connection: close`, HTTP/1.0, a body that ends with the connection).
    NotReusable,
    /// Its peer announced the end (HTTP/2 and HTTP/3 GOAWAY).
    GoAway,
    /// Its peer closed it.
    PeerClosed,
    /// Its exchange was given up half-way.
    Cancelled,
    /// It failed, or its peer broke the protocol.
    Failed,
    /// It speaks another protocol now (an upgrade, CONNECT).
    Switched,
}

impl CloseReason {
    /// Every reason, in the order of its discriminant.
    pub const ALL: [Self; 13] = [
        Self::IdleTimeout,
        Self::KeepAlive,
        Self::Lifetime,
        Self::Evicted,
        Self::IdleLimit,
        Self::Cleared,
        Self::PoolClosed,
        Self::NotReusable,
        Self::GoAway,
        Self::PeerClosed,
        Self::Cancelled,
        Self::Failed,
        Self::Switched,
    ];
}
