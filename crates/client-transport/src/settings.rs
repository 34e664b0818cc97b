//! What every engine on this transport can be told, with the checks, and the methods by which its builder is told it. What only one engine
//! knows (a version policy, a pipeline) must never enter.

use std::time::Duration;

use crate::dial::Dialer;
use crate::pool::PoolLimits;
use crate::proxy::Proxies;
use crate::route::RouteOptions;
use crate::runtime::Dispatcher;
use crate::wire::{PoolTrace, WireConfig};

/// The settings that engines share. Each engine's builder has defaults of its own, and its own words where it is known by others.
#[derive(Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Connections in total. At least 1.
    pub max_connections: usize,
    /// Connections per route. At least 1.
    pub max_connections_per_route: usize,
    /// How long an idle connection is kept; zero keeps none.
    pub keep_alive: Duration,
    /// How old a connection may become before no further exchange begins on it.
    pub max_lifetime: Option<Duration>,
    /// The limit for one attempt to connect, where the exchange sets none.
    pub connect_timeout: Option<Duration>,
    /// How often to try to connect, when an attempt ran into its limit. At least 1.
    pub connect_attempts: u32,
    /// The limit for waiting for a full pool, where the exchange sets none.
    pub connection_request_timeout: Option<Duration>,
    /// The runtime that exchanges work on.
    pub dispatcher: Dispatcher,
    /// Who is told what happens to connections.
    pub pool_trace: PoolTrace,
    /// How connections are made, where the request does not say it.
    pub route: RouteOptions,
    /// The rule by which URLs go through proxies.
    pub proxies: Proxies,
    /// How names become addresses, and addresses connections.
    pub dialer: Dialer,
}

impl Default for Settings {
    fn default() -> Self {
        let (pool, wire) = (PoolLimits::default(), WireConfig::default());
        Self {
            max_connections: pool.max_connections,
            max_connections_per_route: pool.max_connections_per_route,
            keep_alive: Duration::from_secs(90),
            max_lifetime: None,
            connect_timeout: wire.connect_timeout,
            connect_attempts: wire.connect_attempts,
            connection_request_timeout: None,
            dispatcher: Dispatcher::default(),
            pool_trace: PoolTrace::default(),
            route: RouteOptions::new(),
            proxies: Proxies::none(),
            dialer: Dialer::new(),
        }
    }
}

impl Settings {
    /// The first thing that is wrong with them, by the name of its setting.
    pub(crate) fn mistake(&self) -> Option<&'static str> {
        let zero = Some(Duration::ZERO);
        first_mistake([
            (self.max_connections == 0, "max_connections: zero; at least 1 is needed"),
            (self.max_connections_per_route == 0, "max_connections_per_route: zero; at least 1 is needed"),
            (self.max_lifetime == zero, "max_lifetime: zero; use a positive duration, or None for none"),
            (self.connect_timeout == zero, "connect_timeout: zero; use a positive duration, or None for none"),
            (self.connect_attempts == 0, "connect_attempts: zero would never connect; at least 1 is needed"),
            (
                self.connection_request_timeout == zero,
                "connection_request_timeout: zero; use a positive duration, or None for none",
            ),
        ])
    }

    /// The part that the wire looks at. A pool of no connections is a mistake, and told; it must not panic before that.
    pub(crate) fn wire(&self) -> WireConfig {
        WireConfig {
            pool: PoolLimits {
                max_connections: self.max_connections.max(1),
                max_connections_per_route: self.max_connections_per_route.max(1),
                max_idle_per_route: self.max_connections_per_route,
                idle_timeout: Some(self.keep_alive),
                max_lifetime: self.max_lifetime,
                ..PoolLimits::default()
            },
            connect_timeout: self.connect_timeout,
            connect_attempts: self.connect_attempts,
            connection_request_timeout: self.connection_request_timeout,
            dispatcher: self.dispatcher.clone(),
            pool_trace: self.pool_trace.clone(),
        }
    }
}

/// The first of these that is wrong.
pub fn first_mistake<const N: usize>(checks: [(bool, &'static str); N]) -> Option<&'static str> {
    checks.into_iter().find_map(|(is_wrong, message)| is_wrong.then_some(message))
}

/// Gives an engine's builder, which has [`Settings`] in the field named, the methods that are the same for all of them. With the texts of its
/// defaults, also those of a route.
#[doc(hidden)]
#[macro_export]
macro_rules! builder_settings {
    (
        $builder:ident.$settings:ident,
        max_connections_per_route: $per_route:literal,
        keep_alive: $keep_alive:literal,
        connect_timeout: $connect_timeout:literal,
        connection_request_timeout: $connection_request_timeout:literal $(,)?
    ) => {
        impl $builder {
            #[doc = concat!("Connections per route, in use or idle. At least 1. Default: ", $per_route)]
            pub fn max_connections_per_route(mut self, connections: usize) -> Self {
                self.$settings.max_connections_per_route = connections;
                self
            }

            #[doc = concat!("How long an idle connection is kept; zero keeps none. Default: ", $keep_alive)]
            pub fn keep_alive(mut self, idle: ::std::time::Duration) -> Self {
                self.$settings.keep_alive = idle;
                self
            }

            #[doc = concat!(
                "The limit for connecting, where neither the call nor the client sets one. `None`: no limit. Default: ",
                $connect_timeout
            )]
            pub fn connect_timeout(mut self, limit: impl Into<Option<::std::time::Duration>>) -> Self {
                self.$settings.connect_timeout = limit.into();
                self
            }
        }
        $crate::builder_settings!($builder.$settings, connection_request_timeout: $connection_request_timeout);
    };
    ($builder:ident.$settings:ident, connection_request_timeout: $connection_request_timeout:literal $(,)?) => {
        impl $builder {
            /// Connections in total, in use or idle; further calls wait their turn. At least 1. Default: 1000.
            pub fn max_connections(mut self, connections: usize) -> Self {
                self.$settings.max_connections = connections;
                self
            }

            /// How old a connection may become before no further call begins on it, so that load follows DNS and rollouts; those under way end in
            /// peace. Up to a tenth less, at random, lest connections that were made together end together. `None`: any age. Default: `None`.
            pub fn max_lifetime(mut self, age: impl Into<Option<::std::time::Duration>>) -> Self {
                self.$settings.max_lifetime = age.into();
                self
            }

            #[doc = concat!(
                "The limit for waiting for a connection when the pool is full, where neither the call nor the client sets one. `None`: no limit. \
                 Default: ",
                $connection_request_timeout
            )]
            pub fn connection_request_timeout(mut self, limit: impl Into<Option<::std::time::Duration>>) -> Self {
                self.$settings.connection_request_timeout = limit.into();
                self
            }

            /// Sees what happens to connections, also between calls: opened, used again, closed and why. Default: nobody does.
            pub fn pool_observer(mut self, observer: impl $crate::wire::PoolObserver) -> Self {
                self.$settings.pool_trace = $crate::wire::PoolTrace::new(observer);
                self
            }

            /// The tokio runtime whose sockets, timers and tasks are used; then calls can be made from any executor, while that runtime runs.
            /// Default: the caller's runtime, which may be another one for each call.
            pub fn dispatcher(mut self, runtime: ::tokio::runtime::Handle) -> Self {
                self.$settings.dispatcher = runtime.into();
                self
            }

            /// How `https` servers are verified, and how we identify ourselves: a [`TlsConfig`](::client_core::TlsConfig), or an `Arc` of rustls's
            /// `ClientConfig`, whose ALPN is replaced. Loaded at the first use. Needs the feature `tls`.
            pub fn tls(mut self, tls: impl Into<$crate::tls::TlsSettings>) -> Self {
                self.$settings.route = self.$settings.route.tls(tls);
                self
            }

            /// How connections are made: local address, Unix socket, proxy, and more. A
            /// [`RouteOptions`]($crate::route::RouteOptions) among a request's extensions goes before it, field by field.
            pub fn route(
                mut self,
                change: impl FnOnce($crate::route::RouteOptions) -> $crate::route::RouteOptions,
            ) -> Self {
                self.$settings.route = change(self.$settings.route);
                self
            }

            /// The rule by which URLs go through proxies: that of the environment variables, or one of your own. Default: none.
            pub fn proxies(mut self, proxies: $crate::proxy::Proxies) -> Self {
                self.$settings.proxies = proxies;
                self
            }

            /// How names become addresses, and addresses connections.
            pub fn dialer(mut self, change: impl FnOnce($crate::dial::Dialer) -> $crate::dial::Dialer) -> Self {
                self.$settings.dialer = change(self.$settings.dialer);
                self
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named() {
        assert_eq!(Settings::default().mistake(), None);
        type Change = fn(&mut Settings);
        let changes: [(&str, Change); 6] = [
            ("max_connections:", |s| s.max_connections = 0),
            ("max_connections_per_route:", |s| s.max_connections_per_route = 0),
            ("max_lifetime:", |s| s.max_lifetime = Some(Duration::ZERO)),
            ("connect_timeout:", |s| s.connect_timeout = Some(Duration::ZERO)),
            ("connect_attempts:", |s| s.connect_attempts = 0),
            ("connection_request_timeout:", |s| s.connection_request_timeout = Some(Duration::ZERO)),
        ];
        for (name, change) in changes {
            let mut settings = Settings::default();
            change(&mut settings);
            assert!(settings.mistake().is_some_and(|mistake| mistake.starts_with(name)), "{name}");
            // Whoever does not ask for mistakes meets them at the first exchange, not as a panic.
            let _ = crate::pool::Pool::<u8, u8, u8>::new(settings.wire().pool);
        }
    }
}
