//! What the user sets, and what is wrong with it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use client_core::{Error, ErrorKind, Result};
use client_transport::dial::Dialer;
use client_transport::pool::PoolLimits;
use client_transport::proxy::Proxies;
use client_transport::route::RouteOptions;
use client_transport::router::Router;
use client_transport::runtime::Dispatcher;
use client_transport::timer::TokioTimer;
use client_transport::tls::TlsSettings;
use client_transport::wire::{Wire, WireConfig};
use h2::client::Builder;
use http::Request;

use crate::H2;
use crate::multiplexed::Manner;
use crate::protocol::{CustomizeClient, Http2};

/// Configures an [`H2`]. Mistakes are told when a client is built.
#[must_use]
pub struct H2Builder {
    max_connections: usize,
    max_connections_per_route: usize,
    keep_alive: Duration,
    connect_timeout: Option<Duration>,
    connection_request_timeout: Option<Duration>,
    dispatcher: Dispatcher,
    route: RouteOptions,
    proxies: Proxies,
    dialer: Dialer,
    manner: Manner,
    customize_client: Option<Arc<CustomizeClient>>,
}

impl Default for H2Builder {
    fn default() -> Self {
        Self {
            max_connections: 1000,
            max_connections_per_route: 100,
            keep_alive: Duration::from_secs(90),
            connect_timeout: Some(Duration::from_secs(10)),
            connection_request_timeout: None,
            dispatcher: Dispatcher::default(),
            route: RouteOptions::new(),
            proxies: Proxies::none(),
            dialer: Dialer::new(),
            manner: Manner::default(),
            customize_client: None,
        }
    }
}

impl H2Builder {
    /// Connections in total, in use or idle; further calls wait their turn. At least 1. Default: 1000.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// Connections per route, in use or idle. At least 1. Default: 100. A second one is opened when the server allows no more streams on the
    /// first.
    pub fn max_connections_per_route(mut self, connections: usize) -> Self {
        self.max_connections_per_route = connections;
        self
    }

    /// How long a connection without calls is kept; zero keeps none. Default: 90 s.
    pub fn keep_alive(mut self, idle: Duration) -> Self {
        self.keep_alive = idle;
        self
    }

    /// After how much silence, while calls wait, the server is asked whether it still lives (PING, RFC 9113 §6.7). A server that does not answer
    /// within [`ping_timeout`](Self::ping_timeout) has lost its connection, and the calls fail. `None`: never. Default: 30 s.
    pub fn ping_interval(mut self, silence: impl Into<Option<Duration>>) -> Self {
        self.manner.ping_interval = silence.into();
        self
    }

    /// How long the answer to a PING may take. Default: 20 s.
    pub fn ping_timeout(mut self, limit: Duration) -> Self {
        self.manner.ping_timeout = limit;
        self
    }

    /// The limit for connecting, where neither the call nor the client sets one. `None`: no limit. Default: 10 s.
    pub fn connect_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.connect_timeout = limit.into();
        self
    }

    /// The limit for silence on a call's stream, where neither the call nor the client sets one. Default: none.
    pub fn socket_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.manner.socket_timeout = limit.into();
        self
    }

    /// The limit for waiting for a connection when the pool is full, where neither the call nor the client sets one. Default: none.
    pub fn connection_request_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.connection_request_timeout = limit.into();
        self
    }

    /// The tokio runtime whose sockets, timers and tasks are used; then calls can be made from any executor, while that runtime runs.
    /// Default: the caller's runtime, which may be another one for each call.
    pub fn dispatcher(mut self, runtime: tokio::runtime::Handle) -> Self {
        self.dispatcher = runtime.into();
        self
    }

    /// How `https` servers are verified, and how we identify ourselves: a [`TlsConfig`](client_core::TlsConfig), or an `Arc` of rustls's
    /// `ClientConfig`, whose ALPN is replaced. Loaded at the first use. Needs the feature `tls`.
    pub fn tls(mut self, tls: impl Into<TlsSettings>) -> Self {
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

    /// Changes h2's own settings of every new connection: windows, frame size, the bounds of what a server may do. Server push stays off.
    pub fn customize_client(mut self, change: impl Fn(&mut Builder) + Send + Sync + 'static) -> Self {
        self.customize_client = Some(Arc::new(change));
        self
    }

    /// Changes the head of every request just before it is written. What frames the body, and the version, cannot be changed.
    pub fn customize_request(mut self, change: impl Fn(&mut Request<()>) + Send + Sync + 'static) -> Self {
        self.manner.customize_request = Some(Arc::new(change));
        self
    }

    /// The engine.
    pub fn build(self) -> H2 {
        let mistake = self.mistake();
        let Self {
            max_connections,
            max_connections_per_route,
            keep_alive,
            connect_timeout,
            connection_request_timeout,
            dispatcher,
            route,
            proxies,
            dialer,
            manner,
            customize_client,
        } = self;
        let mut config = WireConfig::default();
        config.pool = PoolLimits {
            max_connections: max_connections.max(1),
            max_connections_per_route: max_connections_per_route.max(1),
            max_idle_per_route: max_connections_per_route,
            idle_timeout: Some(keep_alive),
            ..PoolLimits::default()
        };
        config.connect_timeout = connect_timeout;
        config.connection_request_timeout = connection_request_timeout;
        config.dispatcher = dispatcher.clone();
        let protocol = Http2 {
            manner,
            customize_client,
        };
        H2 {
            timer: TokioTimer::new(dispatcher.clone()),
            router: Router::new(route, dispatcher).proxies(proxies),
            wire: Wire::new(protocol, dialer, config),
            mistake,
        }
    }

    fn mistake(&self) -> Option<&'static str> {
        let zero = Some(Duration::ZERO);
        let manner = &self.manner;
        [
            (self.max_connections == 0, "max_connections: zero; at least 1 is needed"),
            (self.max_connections_per_route == 0, "max_connections_per_route: zero; at least 1 is needed"),
            (self.connect_timeout == zero, "connect_timeout: zero; use a positive duration, or None for none"),
            (manner.socket_timeout == zero, "socket_timeout: zero; use a positive duration, or None for none"),
            (
                self.connection_request_timeout == zero,
                "connection_request_timeout: zero; use a positive duration, or None for none",
            ),
            (manner.ping_interval == zero, "ping_interval: zero; use a positive duration, or None for none"),
            (manner.ping_timeout.is_zero(), "ping_timeout: zero; no server answers in no time"),
        ]
        .into_iter()
        .find_map(|(is_wrong, message)| is_wrong.then_some(message))
    }
}

impl fmt::Debug for H2Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("H2Builder").finish_non_exhaustive()
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
