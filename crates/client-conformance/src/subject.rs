//! The engine under test, as the suite is told to make it.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use client_core::{AnyEngine, BoxFuture, TlsConfig};

/// How an engine under test is made, and what its futures are driven by.
///
/// An engine on tokio is one line with [`on_tokio`]. One that needs no runtime implements this trait, or passes a closure:
///
/// ```
/// use client_conformance::{Settings, Subject};
/// use client_core::AnyEngine;
/// # use client_core::{Body, Capabilities, Engine, Exchange, Instant, Result, Sleep, Timer};
/// # struct Mine;
/// # impl Timer for Mine {
/// #     fn now(&self) -> Instant { Instant::now() }
/// #     fn sleep_until(&self, _: Instant) -> Sleep { Box::pin(std::future::pending()) }
/// # }
/// # impl Engine for Mine {
/// #     fn name(&self) -> &'static str { "mine" }
/// #     fn capabilities(&self) -> Capabilities { Capabilities::NONE }
/// #     fn timer(&self) -> &dyn Timer { self }
/// #     async fn execute(&self, exchange: &mut Exchange) -> Result<client_core::http::Response<Body>> {
/// #         Ok(client_core::http::Response::new(std::mem::take(exchange.request.body_mut())))
/// #     }
/// # }
///
/// fn mine() -> impl Subject {
///     |settings: &Settings| {
///         // This engine has no pool to limit, no names of its own and no Unix sockets.
///         let has_all = settings.max_connections.is_none() && settings.hosts.is_empty() && settings.unix_socket.is_none();
///         has_all.then(|| AnyEngine::new(Mine))
///     }
/// }
/// # let _ = mine();
/// ```
pub trait Subject: Send + Sync + 'static {
    /// An engine as `settings` ask for; `None` if it cannot be configured so. What it *can* be asked for but does not support, it
    /// refuses in [`Engine::check`](client_core::Engine::check).
    ///
    /// Called while [`block_on`](Self::block_on) runs, so that an engine finds its runtime.
    fn engine(&self, settings: &Settings) -> Option<AnyEngine>;

    /// Cases that this engine is known to fail, by id, each with the reason: what the library below does and cannot be told not to do. They are
    /// run, shown as what they are, and not judged. Everything else has to pass. Default: none.
    fn deviations(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Fields that this engine's library adds to a request that has none of their names, and cannot be told not to: name and value. The cases compare
    /// all fields but these. Whoever adds none declares [`Capability::ExactHeaders`](client_core::Capability::ExactHeaders). Default:
    /// none.
    fn additions(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// How many tasks are alive on the runtime that [`block_on`](Self::block_on) has made, asked within it; `None`: nobody knows. After a
    /// case, when its clients are gone, there has to be none. Default: nobody knows.
    fn tasks(&self) -> Option<usize> {
        None
    }

    /// Runs a case to its end. Each call is a runtime of its own, which is gone when it returns. Default: no runtime at all.
    fn block_on(&self, case: BoxFuture<'_, ()>) {
        block_on(case);
    }
}

/// What cases ask of an engine, in the words that all engines share. Everything at its default is what every engine can do.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Settings {
    /// Which servers are trusted, and how the client identifies itself.
    pub tls: TlsConfig,
    /// The most connections that may be open at a time, over all origins.
    pub max_connections: Option<usize>,
    /// Names that resolve to these addresses, and are looked up nowhere else.
    pub hosts: Vec<(String, IpAddr)>,
    /// The proxy that every exchange goes through; `None` is the direct way, whatever the environment says.
    pub proxy: Option<ProxySetting>,
    /// The Unix domain socket that every exchange goes to, in place of the host and port of its URL.
    pub unix_socket: Option<PathBuf>,
}

/// A proxy, as an engine is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxySetting {
    /// Scheme, host and port. `http` and `https`: absolute-form for `http` URLs, CONNECT for `https`. `socks4` and `socks5`: the engine
    /// resolves names. `socks4a` and `socks5h`: the proxy does.
    pub url: String,
    /// User and password, for the proxy alone. SOCKS4 sends the user only.
    pub credentials: Option<(String, String)>,
    /// How an `https` proxy is verified, whatever [`Settings::tls`] says of the origin.
    pub tls: TlsConfig,
}

impl ProxySetting {
    /// Without credentials; an `https` proxy is verified by the platform's roots.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            credentials: None,
            tls: TlsConfig::new(),
        }
    }
}

impl fmt::Display for Settings {
    /// What is not at its default, by name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut asked = Vec::new();
        if self.tls != TlsConfig::default() {
            asked.push("tls");
        }
        if self.max_connections.is_some() {
            asked.push("max_connections");
        }
        if !self.hosts.is_empty() {
            asked.push("hosts");
        }
        if self.proxy.is_some() {
            asked.push("proxy");
        }
        if self.unix_socket.is_some() {
            asked.push("unix_socket");
        }
        f.write_str(&asked.join(", "))
    }
}

impl<F: Fn(&Settings) -> Option<AnyEngine> + Send + Sync + 'static> Subject for F {
    fn engine(&self, settings: &Settings) -> Option<AnyEngine> {
        self(settings)
    }
}

/// An engine that works on tokio: each case gets a current-thread runtime.
///
/// ```ignore
/// client_conformance::suite!(client_conformance::on_tokio(|settings| {
///     Some(Mine::builder().tls(settings.tls.clone()).build().into())
/// }));
/// ```
pub fn on_tokio(engine: impl Fn(&Settings) -> Option<AnyEngine> + Send + Sync + 'static) -> impl Subject {
    OnTokio(engine)
}

struct OnTokio<F>(F);

impl<F: Fn(&Settings) -> Option<AnyEngine> + Send + Sync + 'static> Subject for OnTokio<F> {
    fn engine(&self, settings: &Settings) -> Option<AnyEngine> {
        (self.0)(settings)
    }

    fn tasks(&self) -> Option<usize> {
        Some(tokio::runtime::Handle::try_current().ok()?.metrics().num_alive_tasks())
    }

    fn block_on(&self, case: BoxFuture<'_, ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime for the case");
        runtime.block_on(case);
        // A name that is still being looked up on a blocking thread must not hold up the next case.
        runtime.shutdown_background();
    }
}

/// The same engine, with what it is known to fail: see [`Subject::deviations`].
pub fn deviating(subject: impl Subject, known: &'static [(&'static str, &'static str)]) -> impl Subject {
    let additions = subject.additions();
    Known {
        deviations: known,
        additions,
        subject,
    }
}

/// The same engine, with the fields that its library adds: see [`Subject::additions`].
pub fn adding(subject: impl Subject, fields: &'static [(&'static str, &'static str)]) -> impl Subject {
    let deviations = subject.deviations();
    Known {
        deviations,
        additions: fields,
        subject,
    }
}

struct Known<S> {
    subject: S,
    deviations: &'static [(&'static str, &'static str)],
    additions: &'static [(&'static str, &'static str)],
}

impl<S: Subject> Subject for Known<S> {
    fn engine(&self, settings: &Settings) -> Option<AnyEngine> {
        self.subject.engine(settings)
    }

    fn deviations(&self) -> &'static [(&'static str, &'static str)] {
        self.deviations
    }

    fn additions(&self) -> &'static [(&'static str, &'static str)] {
        self.additions
    }

    fn tasks(&self) -> Option<usize> {
        self.subject.tasks()
    }

    fn block_on(&self, case: BoxFuture<'_, ()>) {
        self.subject.block_on(case);
    }
}

/// The smallest executor: this thread, parked while there is nothing to do.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
