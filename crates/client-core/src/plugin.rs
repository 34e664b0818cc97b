//! Code around the engine, at a named stage. The order in which plugins run *is* the semantics of a client, so it is code: the order
//! of [`Stage`], a stable sort when the client is built, and [`Next::run`].

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use http::Response;

use crate::body::Body;
use crate::call::Answer;
use crate::capability::Capabilities;
use crate::client::Inner;
use crate::engine::{AnyEngine, BoxFuture};
use crate::error::Result;
use crate::exchange::Exchange;
use crate::redirect::Redirect;
use crate::timer::Timer;

/// Where in a call a plugin stands, outermost first. Plugins of one stage run in the order of their installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Sees the call as a whole, once: time limits, telemetry, concurrency limits.
    Call,
    /// Judges the final response: status checks.
    Validate,
    /// Decodes the final response's body: content codings.
    Decode,
    /// Follows redirects; everything below runs once per hop.
    Redirect,
    /// Repeats what failed; everything below runs once per attempt.
    Retry,
    /// Adds credentials to an exchange, answers challenges.
    Auth,
    /// Adds cookies to an exchange, stores those it answers with.
    Cookies,
    /// Answers from a store, and fills it.
    Cache,
    /// Sees the exchange as the engine does.
    Exchange,
}

/// Code that runs around the engine.
///
/// ```
/// use client_core::{Body, BoxFuture, Exchange, Next, Plugin, Result, Stage};
///
/// /// Adds a header to every exchange, redirects included.
/// struct Tagged;
///
/// impl Plugin for Tagged {
///     fn stage(&self) -> Stage {
///         Stage::Exchange
///     }
///     fn handle<'a>(&'a self, exchange: &'a mut Exchange, next: Next) -> BoxFuture<'a, Result<http::Response<Body>>> {
///         Box::pin(async move {
///             exchange.request.headers_mut().insert("x-tag", http::HeaderValue::from_static("1"));
///             next.run(exchange).await
///         })
///     }
/// }
/// ```
pub trait Plugin: Send + Sync + 'static {
    /// Where it stands.
    fn stage(&self) -> Stage;

    /// What it needs of the engine; checked when the client is built.
    fn requires(&self) -> Capabilities {
        Capabilities::NONE
    }

    /// Whether a client has at most one of its type: installing another replaces the one before.
    fn is_unique(&self) -> bool {
        false
    }

    /// Whether its own configuration makes sense; asked once, when the client is built.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest), naming the setting and what would be right.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Merges its settings into the exchange, at the door: before the engine's capabilities are checked and before any I/O.
    ///
    /// # Errors
    /// What is wrong with the call.
    fn prepare(&self, exchange: &mut Exchange) -> Result<()> {
        let _ = exchange;
        Ok(())
    }

    /// Whether this exchange concerns it; where not, it is passed by at no cost.
    fn applies(&self, exchange: &Exchange) -> bool {
        let _ = exchange;
        true
    }

    /// For the core, which need not put the future of its own plugin on the heap.
    #[doc(hidden)]
    fn as_redirect(&self) -> Option<&Redirect> {
        None
    }

    /// Runs around the rest of the call: [`Next::run`] goes on, any number of times.
    ///
    /// After it, the exchange's head is what it was, or what plugins have made of it, and its body may have been taken.
    fn handle<'a>(&'a self, exchange: &'a mut Exchange, next: Next) -> BoxFuture<'a, Result<Response<Body>>>;
}

/// A plugin made of a closure. It gets an exchange of its own, a copy of the call's but for the body: a plugin that is to cost less implements
/// [`Plugin`].
///
/// ```
/// use client_core::{Stage, plugin_fn};
///
/// let timed = plugin_fn(Stage::Call, async |mut exchange, next| {
///     let started = next.timer().now();
///     let response = next.run(&mut exchange).await;
///     println!("took {:?}", next.timer().now() - started);
///     response
/// });
/// # let _ = timed;
/// ```
pub fn plugin_fn<F, Fut>(stage: Stage, handle: F) -> FnPlugin<F>
where
    F: Fn(Exchange, Next) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Response<Body>>> + Send + 'static,
{
    FnPlugin { stage, handle }
}

/// See [`plugin_fn`].
pub struct FnPlugin<F> {
    stage: Stage,
    handle: F,
}

impl<F, Fut> Plugin for FnPlugin<F>
where
    F: Fn(Exchange, Next) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Response<Body>>> + Send + 'static,
{
    fn stage(&self) -> Stage {
        self.stage
    }

    fn handle<'a>(&'a self, exchange: &'a mut Exchange, next: Next) -> BoxFuture<'a, Result<Response<Body>>> {
        Box::pin((self.handle)(exchange.take(), next))
    }
}

impl<F> fmt::Debug for FnPlugin<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FnPlugin").field("stage", &self.stage).finish_non_exhaustive()
    }
}

/// The rest of a call: the plugins further in, and at the end the engine.
#[derive(Clone)]
pub struct Next {
    client: Arc<Inner>,
    position: usize,
}

impl Next {
    /// Performs the rest of the call, and returns when the response's head is there. May be called any number of times, each time with a body: it
    /// is taken out of the exchange.
    ///
    /// # Errors
    /// Those of the engine and of the plugins further in.
    pub fn run<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Response<Body>>> {
        self.rest().run(exchange)
    }

    /// The engine's clock: the only one a plugin should look at, so that it obeys virtual time.
    pub fn timer(&self) -> &dyn Timer {
        self.client.engine.timer()
    }

    /// The engine at the end.
    pub fn engine(&self) -> &AnyEngine {
        &self.client.engine
    }

    pub(crate) fn rest(&self) -> Rest<'_> {
        Rest {
            client: &self.client,
            position: self.position,
            is_checked: false,
        }
    }
}

/// The same, borrowed: what the core itself goes by.
#[derive(Clone, Copy)]
pub(crate) struct Rest<'a> {
    client: &'a Arc<Inner>,
    position: usize,
    /// Whether the exchange is as it passed the gate: nobody was there to change it since.
    is_checked: bool,
}

impl<'a> Rest<'a> {
    /// All of a call.
    pub(crate) fn all(client: &'a Arc<Inner>) -> Self {
        Self {
            client,
            position: 0,
            is_checked: true,
        }
    }

    /// The same, for an exchange that may have been changed.
    pub(crate) fn unchecked(self) -> Self {
        Self {
            is_checked: false,
            ..self
        }
    }

    /// See [`Next::run`].
    pub(crate) fn run<'b>(self, exchange: &'b mut Exchange) -> BoxFuture<'b, Result<Response<Body>>>
    where
        'a: 'b,
    {
        match self.plugin(exchange) {
            Some((plugin, rest)) => plugin.handle(exchange, rest.into()),
            None => self.client.engine.execute(exchange),
        }
    }

    /// The same, for the core's own: what most calls pass through next is [`Redirect`], whose future needs no place on the heap here.
    pub(crate) async fn answer(self, exchange: &mut Exchange, answer: &mut Answer) -> Result<()> {
        match self.redirect(exchange) {
            Some((redirect, rest)) => redirect.follow(exchange, answer, rest).await,
            None => self.run(exchange).await.map(|response| *answer = Some(response)),
        }
    }

    /// The next plugin, where that is [`Redirect`], and what comes after it.
    fn redirect(self, exchange: &Exchange) -> Option<(&'a Redirect, Self)> {
        let (plugin, rest) = self.plugin(exchange)?;
        Some((plugin.as_redirect()?, rest))
    }

    /// The engine, where no other plugin concerns this exchange; and whether the exchange is as it passed the gate.
    pub(crate) fn engine(self, exchange: &Exchange) -> Option<(&'a AnyEngine, bool)> {
        self.plugin(exchange).is_none().then_some((&self.client.engine, self.is_checked))
    }

    /// The next plugin that this exchange concerns, and what comes after it.
    fn plugin(self, exchange: &Exchange) -> Option<(&'a dyn Plugin, Self)> {
        let Self { client, position, .. } = self;
        let rest = &client.plugins[position..];
        let skipped = rest.iter().position(|plugin| plugin.applies(exchange))?;
        let position = position + skipped + 1;
        Some((&*rest[skipped], Self { position, ..self }))
    }
}

impl From<Rest<'_>> for Next {
    fn from(Rest { client, position, .. }: Rest<'_>) -> Self {
        let client = Arc::clone(client);
        Self { client, position }
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = self.client.plugins.len() - self.position;
        write!(f, "Next({rest} plugins, then {})", self.client.engine.name())
    }
}
