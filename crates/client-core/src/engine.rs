//! What an engine is, and the one place where its type is erased.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use http::Response;

use crate::abort::{Membership, UnderWay};
use crate::body::Body;
use crate::call::{ANSWERED, Answer};
use crate::capability::{Capabilities, Capability};
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
///     async fn execute(&self, exchange: &mut Exchange) -> Result<http::Response<Body>> {
///         Ok(http::Response::new(std::mem::take(exchange.request.body_mut())))
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
    /// The request's body is taken out of the exchange; its head stays as it is, for the next hop of a redirect. An engine that needs an exchange of
    /// its own [takes](Exchange::take) it.
    ///
    /// # Errors
    /// As classified by [`ErrorKind`], with the phase and what may have been sent.
    fn execute(&self, exchange: &mut Exchange) -> impl Future<Output = Result<Response<Body>>> + Send;

    /// The same, with the response in its place: what the client asks for. An engine of several layers may write it there itself, as each layer that returns a
    /// response moves its 200 bytes; by default [`execute`](Self::execute) does it all.
    ///
    /// # Errors
    /// As [`execute`](Self::execute); what is in the place then means nothing.
    fn execute_into(&self, exchange: &mut Exchange, answer: &mut Answer) -> impl Future<Output = Result<()>> + Send {
        async move {
            *answer = Some(self.execute(exchange).await?);
            Ok(())
        }
    }

    /// Whether the engine's own configuration makes sense; asked once, when a client is built.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] or [`ErrorKind::Unsupported`], naming the setting and what would be right.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Makes a connection that this exchange would use, and keeps it for those to come; sends nothing of the exchange. Where there is an idle one
    /// already, there is nothing to do. Asked only of an engine that declares [`Capability::WarmUp`].
    ///
    /// # Errors
    /// Those of connecting.
    fn warm_up(&self, exchange: Exchange) -> impl Future<Output = Result<()>> + Send {
        drop(exchange);
        std::future::ready(Err(Error::unsupported(Capability::WarmUp)))
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
    under_way: Arc<UnderWay>,
    engine: Box<dyn ObjectSafe>,
}

/// The object-safe twin of [`Engine`], by blanket implementation.
trait ObjectSafe: Send + Sync {
    fn name(&self) -> &'static str;
    fn capabilities(&self) -> Capabilities;
    fn timer(&self) -> &dyn Timer;
    fn execute<'a>(&'a self, exchange: &'a mut Exchange, membership: Membership) -> BoxFuture<'a, Result<Response<Body>>>;
    /// The same, with the answer in its place.
    fn answer<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        answer: &'a mut Answer,
        membership: Membership,
    ) -> BoxFuture<'a, Result<()>>;
    fn warm_up(&self, exchange: Exchange) -> BoxFuture<'_, Result<()>>;
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
    fn execute<'a>(&'a self, exchange: &'a mut Exchange, membership: Membership) -> BoxFuture<'a, Result<Response<Body>>> {
        Box::pin(async move {
            let mut answer = None;
            perform(self, exchange, &mut answer, membership).await?;
            Ok(answer.expect(ANSWERED))
        })
    }
    fn answer<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        answer: &'a mut Answer,
        membership: Membership,
    ) -> BoxFuture<'a, Result<()>> {
        // Made where it stays: it is large.
        let future = Box::write(Box::new_uninit(), perform(self, exchange, answer, membership));
        Box::into_pin(future)
    }
    fn warm_up(&self, exchange: Exchange) -> BoxFuture<'_, Result<()>> {
        Box::pin(Engine::warm_up(self, exchange))
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

/// What every engine's exchange has around it: it ends when the client is aborted, and its error says where it happened.
#[expect(clippy::manual_async_fn, reason = "an async fn would hold its arguments twice")]
fn perform<E: Engine>(
    engine: &E,
    exchange: &mut Exchange,
    answer: &mut Answer,
    mut membership: Membership,
) -> impl Future<Output = Result<()>> + Send {
    async move {
        exchange.connection = None;
        let trace = exchange.trace.clone();
        let outcome = {
            let mut work = pin!(engine.execute_into(exchange, answer));
            poll_fn(|cx| match work.as_mut().poll(cx) {
                Poll::Pending => membership.poll(cx, trace.sent().unwrap_or(Sent::Maybe)).map(Err),
                done => done,
            })
            .await
        };
        outcome.map_err(|error| error.or_engine(engine.name()).or_uri(exchange.request.uri()))?;
        if let Some(response) = answer {
            response.body_mut().until_aborted(membership);
            exchange.tell_connection(response);
        }
        Ok(())
    }
}

impl AnyEngine {
    /// Erases the type of `engine`.
    pub fn new(engine: impl Engine) -> Self {
        Self(Arc::new(Erased {
            closed: AtomicBool::new(false),
            under_way: Arc::default(),
            engine: Box::new(engine),
        }))
    }

    /// Performs one exchange. Every error it returns names the engine and the URI.
    ///
    /// # Errors
    /// Those of the engine; [`ErrorKind::Closed`] after [`close`](Engine::close) or [`abort`](Self::abort);
    /// [`ErrorKind::Unsupported`] for what the engine lacks.
    pub fn execute<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Response<Body>>> {
        match self.admits(exchange, Capabilities::NONE) {
            Ok(()) => self.0.engine.execute(exchange, self.0.under_way.enter()),
            Err(error) => Box::pin(std::future::ready(Err(self.told(error, exchange)))),
        }
    }

    /// The same, with the answer in its place; of an exchange that is as it passed the client's gate, nothing is asked again.
    pub(crate) fn answer<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        answer: &'a mut Answer,
        is_checked: bool,
    ) -> BoxFuture<'a, Result<()>> {
        let admitted = if is_checked {
            self.is_open()
        } else {
            self.admits(exchange, Capabilities::NONE)
        };
        match admitted {
            Ok(()) => self.0.engine.answer(exchange, answer, self.0.under_way.enter()),
            Err(error) => Box::pin(std::future::ready(Err(self.told(error, exchange)))),
        }
    }

    fn told(&self, error: Error, exchange: &Exchange) -> Error {
        error.or_engine(self.name()).or_uri(exchange.request.uri())
    }

    /// See [`Engine::warm_up`].
    ///
    /// # Errors
    /// Those of the engine; as for [`execute`](Self::execute), nothing is connected to after [`close`](Engine::close), nor for what the engine
    /// lacks.
    pub async fn warm_up(&self, exchange: Exchange) -> Result<()> {
        let uri = exchange.request.uri().clone();
        let answer = async {
            self.admits(&exchange, Capability::WarmUp.into())?;
            let mut membership = self.0.under_way.enter();
            let mut work = pin!(self.0.engine.warm_up(exchange));
            poll_fn(|cx| match work.as_mut().poll(cx) {
                Poll::Pending => membership.poll(cx, Sent::Nothing).map(Err),
                ready => ready,
            })
            .await
        };
        answer.await.map_err(|error: Error| error.or_engine(self.name()).or_uri(&uri))
    }

    /// Refuses what must not reach the engine.
    fn admits(&self, exchange: &Exchange, needed: Capabilities) -> Result<()> {
        self.is_open()?;
        match needed.missing_in(self.capabilities()) {
            Some(capability) => Err(Error::unsupported(capability)),
            None => check::supported(exchange, self.capabilities()),
        }
    }

    #[inline]
    fn is_open(&self) -> Result<()> {
        match self.0.closed.load(Ordering::Acquire) {
            true => Err(Error::new(ErrorKind::Closed, "the client is closed").with_sent(Sent::Nothing)),
            false => Ok(()),
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

    /// [`close`](Self::close)s, and ends every exchange that is under way by dropping it, responses that are being read included: they fail with
    /// [`ErrorKind::Closed`]. The same on every engine, as cancellation is drop. Streams that were handed out by an upgrade are the caller's.
    /// Idempotent; returns at once.
    pub fn abort(&self) {
        self.close();
        self.0.under_way.abort();
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
