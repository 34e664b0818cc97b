//! The bounds of a pool, with their defaults and where those come from.
//!
//! Owns numbers. The decisions they lead to are made elsewhere.

use std::time::Duration;

/// How many connections a pool holds, and for how long. Every bound has a default; nothing is unbounded by accident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolLimits {
    /// Connections in total, open or being dialed. At least 1. Default 1000, as Ktor CIO's `maxConnectionsCount`.
    pub max_connections: usize,
    /// Connections per route, open or being dialed. At least 1. Default 100, as Ktor CIO's `maxConnectionsPerRoute`.
    pub max_connections_per_route: usize,
    /// Idle connections kept per route; above it the coldest is closed, and 0 switches keep-alive off. Default 100, the
    /// same as `max_connections_per_route`: Go's default of 2 makes every burst dial anew (golang/go#13801).
    pub max_idle_per_route: usize,
    /// How long a connection may lie idle. Default 90 s, as Go's `http.DefaultTransport` and reqwest. `None`: no bound.
    pub idle_timeout: Option<Duration>,
    /// How old a connection may become before it is no longer handed out, so that load follows DNS and rollouts. Busy
    /// connections finish first. Default `None`, as Go, reqwest and .NET's `PooledConnectionLifetime`.
    pub max_lifetime: Option<Duration>,
    /// How long before the end of a server's `Keep-Alive: timeout` a connection counts as expired, for a request sent
    /// at the last moment meets a closing socket. Default 2 s, as undici's `keepAliveTimeoutThreshold`.
    pub keep_alive_margin: Duration,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self {
            max_connections: 1000,
            max_connections_per_route: 100,
            max_idle_per_route: 100,
            idle_timeout: Some(Duration::from_secs(90)),
            max_lifetime: None,
            keep_alive_margin: Duration::from_secs(2),
        }
    }
}
