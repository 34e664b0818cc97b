//! What the user sets, with Ktor's words and defaults, and what is wrong with it.

use std::time::Duration;

use client_transport::builder_settings;
use client_transport::settings::{Settings, first_mistake};
use client_transport::transport::Transport;

use crate::Cio;
use crate::connection::H1;

/// Configures a [`Cio`]. Mistakes are told when a client is built.
#[derive(Debug, Default)]
#[must_use]
pub struct CioBuilder {
    pipelining: bool,
    endpoint: Endpoint,
    transport: Settings,
}

/// The settings of each route.
#[derive(Clone, Debug)]
#[must_use]
pub struct Endpoint {
    max_connections_per_route: usize,
    pipeline_max_size: usize,
    keep_alive: Duration,
    connect_timeout: Option<Duration>,
    connect_attempts: u32,
    socket_timeout: Option<Duration>,
}

impl Default for Endpoint {
    fn default() -> Self {
        Self {
            max_connections_per_route: 100,
            pipeline_max_size: 20,
            keep_alive: Duration::from_secs(5),
            connect_timeout: Some(Duration::from_secs(5)),
            connect_attempts: 1,
            socket_timeout: None,
        }
    }
}

impl CioBuilder {
    /// Whether safe requests without a body are sent without waiting for the answers to those before them (RFC 9112 §9.3.2). Many servers
    /// and proxies serve them badly; use it with servers you know. Default: off.
    ///
    /// Answers come in the order of their requests: a response whose body is not read holds up those behind it, for as long as it is
    /// kept. A call that is given up before its answer is complete costs the connection; those behind it are repeated on another.
    pub fn pipelining(mut self, on: bool) -> Self {
        self.pipelining = on;
        self
    }

    /// Changes the settings of each route.
    pub fn endpoint(mut self, change: impl FnOnce(Endpoint) -> Endpoint) -> Self {
        self.endpoint = change(self.endpoint);
        self
    }

    /// The engine.
    pub fn build(self) -> Cio {
        let mistake = self.mistake();
        let Self {
            pipelining,
            endpoint,
            mut transport,
        } = self;
        transport.max_connections_per_route = endpoint.max_connections_per_route;
        transport.keep_alive = endpoint.keep_alive;
        transport.connect_timeout = endpoint.connect_timeout;
        transport.connect_attempts = endpoint.connect_attempts;
        let protocol = H1 {
            pipeline_max_size: endpoint.pipeline_max_size,
            socket_timeout: endpoint.socket_timeout,
        };
        Cio {
            transport: Transport::new(protocol, transport, mistake),
            pipelining,
        }
    }

    fn mistake(&self) -> Option<&'static str> {
        let Endpoint {
            pipeline_max_size,
            socket_timeout,
            ..
        } = self.endpoint;
        first_mistake([
            (pipeline_max_size == 0, "pipeline_max_size: zero; at least 1 is needed"),
            (
                socket_timeout == Some(Duration::ZERO),
                "socket_timeout: zero; use a positive duration, or None for none",
            ),
        ])
    }
}

builder_settings!(CioBuilder.transport, connection_request_timeout: "`None`.");

impl Endpoint {
    /// Connections per route, in use or idle. At least 1. Default: 100.
    pub fn max_connections_per_route(mut self, connections: usize) -> Self {
        self.max_connections_per_route = connections;
        self
    }

    /// How many requests may be in line on one connection, where [`pipelining`](CioBuilder::pipelining) is on. At least 1. Default: 20.
    pub fn pipeline_max_size(mut self, requests: usize) -> Self {
        self.pipeline_max_size = requests;
        self
    }

    /// How long an idle connection is kept; zero keeps none. Default: 5 s. A server's `Keep-Alive: timeout` can shorten it.
    pub fn keep_alive(mut self, idle: Duration) -> Self {
        self.keep_alive = idle;
        self
    }

    /// The limit for one attempt to connect, where neither the call nor the client sets one. `None`: no limit. Default: 5 s.
    pub fn connect_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.connect_timeout = limit.into();
        self
    }

    /// How often to try, when an attempt to connect ran into its limit. At least 1. Default: 1.
    pub fn connect_attempts(mut self, attempts: u32) -> Self {
        self.connect_attempts = attempts;
        self
    }

    /// The limit for silence on the socket, where neither the call nor the client sets one. Default: none.
    pub fn socket_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.socket_timeout = limit.into();
        self
    }
}
