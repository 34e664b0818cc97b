//! What every engine on this transport is made of: a router, a wire, a clock, and the mistakes of its configuration. An engine adds its protocol, its
//! builder, and what it decides per exchange. That must never enter.

use client_core::{Answer, Capabilities, Capability, Error, ErrorKind, Exchange, PoolStats, Result, Timer};

use crate::route::{Route, Versions};
use crate::router::Router;
use crate::settings::Settings;
use crate::timer::TokioTimer;
use crate::wire::{Protocol, Wire};

/// The transport of one engine, which performs its exchanges by the protocol `P`.
pub struct Transport<P: Protocol> {
    router: Router,
    wire: Wire<P>,
    timer: TokioTimer,
    /// What is wrong with the configuration: told when a client is built, and again by every exchange.
    mistake: Option<&'static str>,
}

/// What this transport gives every engine on it, whatever it speaks.
pub const CAPABILITIES: Capabilities = Capabilities::NONE
    .with(Capability::ConnectTimeout)
    .with(Capability::ConnectionRequestTimeout)
    .with(Capability::HttpProxy)
    .with(Capability::ProxyStatus)
    .with(Capability::ProxyAnswers)
    .with(Capability::SocksProxy)
    .with(Capability::RemoteAddr)
    .with(Capability::ConnectionReuse)
    .with(Capability::PoolStats)
    .with(Capability::WarmUp)
    .union(WITH_UNIX)
    .union(WITH_TLS);

const WITH_UNIX: Capabilities = if cfg!(unix) {
    Capabilities::NONE.with(Capability::UnixSocket)
} else {
    Capabilities::NONE
};

const WITH_TLS: Capabilities = if cfg!(feature = "tls") {
    Capabilities::NONE
        .with(Capability::Tls)
        .with(Capability::CustomRoots)
        .with(Capability::ClientIdentity)
        .with(Capability::SpkiPins)
        .with(Capability::HttpsProxy)
} else {
    Capabilities::NONE
};

impl<P: Protocol> Transport<P> {
    /// Puts the parts together. Opens nothing. What is wrong with the engine's own settings is told along with what is wrong with these.
    pub fn new(protocol: P, settings: Settings, mistake: Option<&'static str>) -> Self {
        let (mistake, wire) = (settings.mistake().or(mistake), settings.wire());
        let Settings {
            dispatcher,
            route,
            proxies,
            dialer,
            ..
        } = settings;
        Self {
            router: Router::new(route, dispatcher.clone()).proxies(proxies),
            wire: Wire::new(protocol, dialer, wire),
            timer: TokioTimer::new(dispatcher),
            mistake,
        }
    }

    /// Which way an exchange goes, and which versions its connection may speak.
    ///
    /// # Errors
    /// What is wrong with the configuration; and as [`Router::route`].
    pub fn route(&self, exchange: &Exchange, versions: Versions) -> Result<Route> {
        self.mistake()?;
        self.router.route(exchange, versions)
    }

    /// Performs an exchange on its way; see [`Wire::execute`].
    ///
    /// # Errors
    /// As [`route`](Self::route); those of dialing, of waiting, and of the protocol.
    #[expect(clippy::manual_async_fn, reason = "an async fn would hold its arguments twice")]
    pub fn execute(
        &self,
        exchange: &mut Exchange,
        answer: &mut Answer,
        versions: Versions,
    ) -> impl Future<Output = Result<()>> + Send {
        async move {
            let route = self.route(exchange, versions)?;
            self.wire.execute(&route, exchange, answer).await
        }
    }

    /// Makes a connection that an exchange would use; see [`Wire::warm_up`].
    ///
    /// # Errors
    /// As [`route`](Self::route); those of dialing and of waiting.
    pub async fn warm_up(&self, mut exchange: Exchange, versions: Versions) -> Result<()> {
        let route = self.route(&exchange, versions)?;
        self.wire.warm_up(&route, &mut exchange).await
    }

    /// The wire.
    pub fn wire(&self) -> &Wire<P> {
        &self.wire
    }

    /// For [`Engine::timer`](client_core::Engine::timer).
    pub fn timer(&self) -> &dyn Timer {
        &self.timer
    }

    /// For [`Engine::check`](client_core::Engine::check).
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn check(&self) -> Result<()> {
        self.mistake()?;
        self.router.check()
    }

    /// For [`Engine::close`](client_core::Engine::close).
    pub fn close(&self) {
        self.wire.close();
    }

    /// For [`Engine::pool`](client_core::Engine::pool).
    pub fn stats(&self) -> PoolStats {
        self.wire.stats()
    }

    fn mistake(&self) -> Result<()> {
        self.mistake.map_or(Ok(()), |mistake| Err(Error::new(ErrorKind::InvalidRequest, mistake)))
    }
}

/// What is the same in every [`Engine`](client_core::Engine) that has a [`Transport`] in its field `transport`: written within its `impl`, beside
/// `execute_into`.
#[doc(hidden)]
#[macro_export]
macro_rules! engine_on_transport {
    () => {
        async fn execute(
            &self,
            exchange: &mut ::client_core::Exchange,
        ) -> ::client_core::Result<::client_core::http::Response<::client_core::Body>> {
            let mut answer = None;
            self.execute_into(exchange, &mut answer).await?;
            Ok(answer.expect(::client_core::ANSWERED))
        }

        fn timer(&self) -> &dyn ::client_core::Timer {
            self.transport.timer()
        }

        fn check(&self) -> ::client_core::Result<()> {
            self.transport.check()
        }

        fn close(&self) {
            self.transport.close();
        }

        fn pool(&self) -> Option<::client_core::PoolStats> {
            Some(self.transport.stats())
        }
    };
}
