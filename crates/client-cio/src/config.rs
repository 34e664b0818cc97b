//! What the user sets, with Ktor's words and defaults, and what is wrong with it.

use std::time::Duration;

use client_core::{Error, ErrorKind, Result, TlsConfig};
use client_transport::dial::Dialer;
use client_transport::pool::PoolLimits;
use client_transport::proxy::Proxies;
use client_transport::route::RouteOptions;
use client_transport::router::Router;
use client_transport::runtime::Dispatcher;
use client_transport::timer::TokioTimer;
use client_transport::wire::{Wire, WireConfig};

use crate::Cio;
use crate::connection::H1;

/// Configures a [`Cio`]. Mistakes are told when a client is built.
#[derive(Debug)]
#[must_use]
pub struct CioBuilder {
    max_connections: usize,
    pipelining: bool,
    endpoint: Endpoint,
    dispatcher: Dispatcher,
    route: RouteOptions,
    proxies: Proxies,
    dialer: Dialer,
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

impl Default for CioBuilder {
    fn default() -> Self {
        Self {
            max_connections: 1000,
            pipelining: false,
            endpoint: Endpoint::default(),
            dispatcher: Dispatcher::default(),
            route: RouteOptions::new(),
            proxies: Proxies::none(),
            dialer: Dialer::new(),
        }
    }
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
    /// Connections in total, in use or idle; further calls wait their turn. At least 1. Default: 1000.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

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

    /// The tokio runtime whose sockets and timers are used; then calls can be made from any executor, while that runtime runs.
    /// Default: the caller's runtime, which may be another one for each call.
    pub fn dispatcher(mut self, runtime: tokio::runtime::Handle) -> Self {
        self.dispatcher = runtime.into();
        self
    }

    /// How `https` servers are verified, and how we identify ourselves. Loaded at the first use. Needs the feature `tls`.
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.route = self.route.tls(tls);
        self
    }

    /// How connections are made: local address, Unix socket, proxy, and more. A [`RouteOptions`] among a request's extensions goes
    /// before it, field by field.
    pub fn route(mut self, change: impl FnOnce(RouteOptions) -> RouteOptions) -> Self {
        self.route = change(self.route);
        self
    }

    /// The rule by which URLs go through proxies: that of the environment variables, or one of your own. Default: none.
    pub fn proxies(mut self, proxies: Proxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// How names become addresses, and addresses connections.
    pub fn dialer(mut self, change: impl FnOnce(Dialer) -> Dialer) -> Self {
        self.dialer = change(self.dialer);
        self
    }

    /// The engine.
    pub fn build(self) -> Cio {
        let mistake = self.mistake();
        let Self {
            max_connections,
            pipelining,
            endpoint,
            dispatcher,
            route,
            proxies,
            dialer,
        } = self;
        let mut config = WireConfig::default();
        config.pool = PoolLimits {
            max_connections: max_connections.max(1),
            max_connections_per_route: endpoint.max_connections_per_route.max(1),
            max_idle_per_route: endpoint.max_connections_per_route,
            idle_timeout: Some(endpoint.keep_alive),
            ..PoolLimits::default()
        };
        config.connect_timeout = endpoint.connect_timeout;
        config.connect_attempts = endpoint.connect_attempts;
        config.dispatcher = dispatcher.clone();
        let protocol = H1 {
            pipeline_max_size: endpoint.pipeline_max_size,
            socket_timeout: endpoint.socket_timeout,
        };
        Cio {
            timer: TokioTimer::new(dispatcher.clone()),
            router: Router::new(route, dispatcher).proxies(proxies),
            wire: Wire::new(protocol, dialer, config),
            pipelining,
            mistake,
        }
    }

    fn mistake(&self) -> Option<&'static str> {
        let Endpoint {
            max_connections_per_route,
            pipeline_max_size,
            keep_alive: _,
            connect_timeout,
            connect_attempts,
            socket_timeout,
        } = self.endpoint;
        let zero = Some(Duration::ZERO);
        [
            (self.max_connections == 0, "max_connections: zero; at least 1 is needed"),
            (max_connections_per_route == 0, "max_connections_per_route: zero; at least 1 is needed"),
            (pipeline_max_size == 0, "pipeline_max_size: zero; at least 1 is needed"),
            (connect_attempts == 0, "connect_attempts: zero would never connect; at least 1 is needed"),
            (connect_timeout == zero, "connect_timeout: zero; use a positive duration, or None for none"),
            (socket_timeout == zero, "socket_timeout: zero; use a positive duration, or None for none"),
        ]
        .into_iter()
        .find_map(|(is_wrong, message)| is_wrong.then_some(message))
    }
}

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

/// As it is told.
pub(crate) fn invalid(mistake: &'static str) -> Error {
    Error::new(ErrorKind::InvalidRequest, mistake)
}

/// The engine's settings, or what is wrong with them.
pub(crate) fn check(mistake: Option<&'static str>, router: &Router) -> Result<()> {
    mistake.map_or(Ok(()), |mistake| Err(invalid(mistake)))?;
    router.check()
}
