//! What an engine is, and the one place where its type is erased.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::Response;

use crate::body::Body;
use crate::capability::Capabilities;
use crate::check;
use crate::connection::PoolStats;
use crate::error::{Error, ErrorKind, Result, Sent};
use crate::exchange::Exchange;
use crate::timer::Timer;

/// A future behind one pointer.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Performs exchanges and owns its connections.
///
/// An engine does one exchange at a time and nothing else: it follows no redirect, keeps no cookie, decodes no content coding,
/// repeats nothing that the server may have seen, and adds no header but those its protocol needs. All of that is policy, and
/// policy belongs to plugins.
///
/// - **Returns at the headers.** The response's body is read afterwards, by the caller, at the caller's pace.
/// - **Cancellation is drop.** Dropping the future or the response's body frees the connection, the permit and the task, and a
///   connection that was half-used is never used again.
/// - **Refuses, never ignores.** What is not in [`capabilities`](Engine::capabilities) is refused before it reaches the engine.
/// - **Honours the exchange's settings**: `timeouts` (connect, socket), `limits`, `version`, and reports phases to `trace`.
///
/// `docs/writing-an-engine.md` builds one in about 100 lines; the conformance suite judges it.
///
/// ```
/// use client_core::{Body, Capabilities, Engine, Exchange, Result, Timer};
/// # use client_core::{Instant, Sleep};
/// # struct Clock;
/// # impl Timer for Clock {
/// #     fn now(&self) -> Instant { Instant::now() }
/// #     fn sleep_until(&self, _: Instant) -> Sleep { Box::pin(std::future::pending()) }
/// # }
///
/// struct Echo(Clock);
///
/// impl Engine for Echo {
///     fn name(&self) -> &'static str {
///         "echo"
///     }
///     fn capabilities(&self) -> Capabilities {
///         Capabilities::NONE
///     }
///     fn timer(&self) -> &dyn Timer {
///         &self.0
///     }
///     async fn execute(&self, exchange: Exchange) -> Result<http::Response<Body>> {
///         Ok(http::Response::new(exchange.request.into_body()))
///     }
/// }
/// ```
pub trait Engine: Send + Sync + 'static {
    /// A short name: in errors, in the matrix, in `client::default_engine()`.
    fn name(&self) -> &'static str;

    /// What this engine promises. Constant for its lifetime.
    fn capabilities(&self) -> Capabilities;

    /// The clock of the runtime that this engine works on.
    fn timer(&self) -> &dyn Timer;

    /// Performs one exchange; returns as soon as the response's head is there.
    ///
    /// # Errors
    /// As classified by [`ErrorKind`], with the phase and what may have been sent.
    fn execute(&self, exchange: Exchange) -> impl Future<Output = Result<Response<Body>>> + Send;

    /// Whether the engine's own configuration makes sense; asked once, when a client is built.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] or [`ErrorKind::Unsupported`], naming the setting and what would be right.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Closes gracefully: idle connections now, others after their exchange. Idempotent; returns at once.
    fn close(&self) {}

    /// What the pool holds; `None` where the engine cannot tell.
    fn pool(&self) -> Option<PoolStats> {
        None
    }
}

/// An engine of any type. Clones share it.
#[derive(Clone)]
pub struct AnyEngine(Arc<Erased>);

struct Erased {
    closed: AtomicBool,
    engine: Box<dyn ObjectSafe>,
}

/// The object-safe twin of [`Engine`], by blanket implementation.
trait ObjectSafe: Send + Sync {
    fn name(&self) -> &'static str;
    fn capabilities(&self) -> Capabilities;
    fn timer(&self) -> &dyn Timer;
    fn execute(&self, exchange: Exchange) -> BoxFuture<'_, Result<Response<Body>>>;
    fn check(&self) -> Result<()>;
    fn close(&self);
    fn pool(&self) -> Option<PoolStats>;
}

impl<E: Engine> ObjectSafe for E {
    fn name(&self) -> &'static str {
        Engine::name(self)
    }
    fn capabilities(&self) -> Capabilities {
        Engine::capabilities(self)
    }
    fn timer(&self) -> &dyn Timer {
        Engine::timer(self)
    }
    fn execute(&self, exchange: Exchange) -> BoxFuture<'_, Result<Response<Body>>> {
        let uri = exchange.request.uri().clone();
        Box::pin(async move {
            let answer = Engine::execute(self, exchange).await;
            answer.map_err(|error| error.or_engine(Engine::name(self)).or_uri(&uri))
        })
    }
    fn check(&self) -> Result<()> {
        Engine::check(self)
    }
    fn close(&self) {
        Engine::close(self);
    }
    fn pool(&self) -> Option<PoolStats> {
        Engine::pool(self)
    }
}

impl AnyEngine {
    /// Erases the type of `engine`.
    pub fn new(engine: impl Engine) -> Self {
        Self(Arc::new(Erased {
            closed: AtomicBool::new(false),
            engine: Box::new(engine),
        }))
    }

    /// Performs one exchange. Every error it returns names the engine and the URI.
    ///
    /// # Errors
    /// Those of the engine; [`ErrorKind::Closed`] after [`close`](Engine::close); [`ErrorKind::Unsupported`] for what the engine lacks.
    pub fn execute(&self, exchange: Exchange) -> BoxFuture<'_, Result<Response<Body>>> {
        let refusal = match self.0.closed.load(Ordering::Acquire) {
            true => Err(Error::new(ErrorKind::Closed, "the client is closed").with_sent(Sent::Nothing)),
            false => check::supported(&exchange, self.capabilities()),
        };
        match refusal {
            Ok(()) => self.0.engine.execute(exchange),
            Err(error) => {
                let error = error.or_engine(self.name()).or_uri(exchange.request.uri());
                Box::pin(std::future::ready(Err(error)))
            }
        }
    }

    /// See [`Engine::name`].
    pub fn name(&self) -> &'static str {
        self.0.engine.name()
    }

    /// See [`Engine::capabilities`].
    pub fn capabilities(&self) -> Capabilities {
        self.0.engine.capabilities()
    }

    /// See [`Engine::timer`].
    pub fn timer(&self) -> &dyn Timer {
        self.0.engine.timer()
    }

    /// See [`Engine::check`].
    ///
    /// # Errors
    /// Those of the engine, named.
    pub fn check(&self) -> Result<()> {
        self.0.engine.check().map_err(|error| error.or_engine(self.name()))
    }

    /// See [`Engine::close`]. Further exchanges are refused with [`ErrorKind::Closed`].
    pub fn close(&self) {
        if !self.0.closed.swap(true, Ordering::AcqRel) {
            self.0.engine.close();
        }
    }

    /// See [`Engine::pool`].
    pub fn pool(&self) -> Option<PoolStats> {
        self.0.engine.pool()
    }
}

impl<E: Engine> From<E> for AnyEngine {
    fn from(engine: E) -> Self {
        Self::new(engine)
    }
}

impl fmt::Debug for AnyEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnyEngine").field(&self.name()).finish()
    }
}
