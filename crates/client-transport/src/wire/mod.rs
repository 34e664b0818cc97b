//! The generic engine of every protocol we speak ourselves: checkout or dial, exchange, one safe repetition.
//!
//! Owns the order of these steps and the pool's lock. HTTP's syntax must never enter: that is the [`Protocol`]'s.
//!
//! ```text
//! execute ─► acquire ─┬─ Use ──► alive? ──► exchange ─┬─► response; its body holds the lease
//!                     ├─ Dial ─► dial, handshake ─────┤
//!                     └─ Wait ─► woken ─► acquire     └─► a reused connection was dead, or refused: once more, if that is safe
//! ```

mod events;
mod line;
mod reaper;
mod shared;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use client_core::{
    Answer, Body, ConnectionInfo, Error, ErrorKind, Event, Exchange, Phase, PoolStats, Result, Sent, Timeout, TimeoutKind,
};
use http::Method;
use tokio::time::Instant;

use crate::dial::{self, Dialer};
use crate::pool::{self, Checkout, Conn, PoolLimits, Sharing};
use crate::route::Route;
use crate::runtime::Dispatcher;

pub use events::{PoolEvent, PoolObserver, PoolTrace};
pub use line::Line;
pub use shared::Lease;
use shared::{Dialing, Shared, Waiting};

/// What a protocol adds to the wire: how a connection begins, whether it still lives, and how it carries an exchange.
pub trait Protocol: Send + Sync + Sized + 'static {
    /// A connection that carries one exchange at a time; [`Infallible`](std::convert::Infallible) where there are none.
    type Exclusive: Send + 'static;
    /// A handle to a connection that carries several; [`Infallible`](std::convert::Infallible) where there are none.
    type Shared: Clone + Send + 'static;

    /// What is known of a route's connections before the first one is made.
    fn sharing(&self, route: &Route) -> Sharing;

    /// Makes a connection of a byte stream. Whoever drives it can use the `line` to the pool as long as it lives.
    fn handshake(
        &self,
        dialed: dial::Dialed,
        route: &Route,
        line: Line<Self>,
    ) -> impl Future<Output = Result<pool::Dialed<Self::Exclusive, Self::Shared>>> + Send;

    /// Whether a connection that lay idle may be used: nothing was received on it, and it was not closed. Never blocks. It `must_be_sure`
    /// where the exchange could not be repeated.
    fn is_alive(&self, conn: &mut Conn<Self::Exclusive, Self::Shared>, must_be_sure: bool) -> bool;

    /// What is known about a connection.
    fn info<'a>(&self, conn: &'a Conn<Self::Exclusive, Self::Shared>) -> &'a ConnectionInfo;

    /// Performs one exchange and returns at the response's head, with the response in its place, `answer`; the lease moves into the body, if there is more to come.
    ///
    /// The request's body is taken out of `exchange` when its sending begins, and not before; what nobody has read of it may be put back. An error of
    /// kind [`ErrorKind::Closed`] with [`Sent::Maybe`] says that no byte of a response was seen, with [`Sent::Nothing`] that the server
    /// has not acted on the request and never will.
    fn exchange(
        &self,
        lease: Lease<Self>,
        exchange: &mut Exchange,
        answer: &mut Answer,
    ) -> impl Future<Output = Result<()>> + Send;
}

/// The settings of a wire, which no route changes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WireConfig {
    /// How many connections, and for how long.
    pub pool: PoolLimits,
    /// The limit for connecting where the exchange sets none. Default: 10 s.
    pub connect_timeout: Option<Duration>,
    /// How often to try to connect, when an attempt ran into `connect_timeout`. Default: 1.
    pub connect_attempts: u32,
    /// The limit for waiting for a full pool where the exchange sets none. Default: none.
    pub connection_request_timeout: Option<Duration>,
    /// The runtime that exchanges work on. Default: the caller's.
    pub dispatcher: Dispatcher,
    /// Who is told what happens to connections. Default: nobody.
    pub pool_trace: PoolTrace,
}

impl Default for WireConfig {
    fn default() -> Self {
        Self {
            pool: PoolLimits::default(),
            connect_timeout: Some(Duration::from_secs(10)),
            connect_attempts: 1,
            connection_request_timeout: None,
            dispatcher: Dispatcher::default(),
            pool_trace: PoolTrace::default(),
        }
    }
}

/// An engine made of a [`Protocol`]: it owns the dialer and the pool.
pub struct Wire<P: Protocol>(Arc<Shared<P>>);

impl<P: Protocol> Wire<P> {
    /// Puts the parts together. Opens nothing.
    pub fn new(protocol: P, dialer: Dialer, config: WireConfig) -> Self {
        Self(Arc::new(Shared::new(protocol, dialer, config)))
    }

    /// The dialer.
    pub fn dialer(&self) -> &Dialer {
        &self.0.dialer
    }

    /// The protocol.
    pub fn protocol(&self) -> &P {
        &self.0.protocol
    }

    /// The settings.
    pub fn config(&self) -> &WireConfig {
        &self.0.config
    }

    /// Performs an exchange along `route`, on the dispatcher's runtime.
    ///
    /// After it, `exchange` holds the request as it was, but for a body that was sent; `answer` holds the response.
    ///
    /// # Errors
    /// Those of dialing, of waiting, and of the protocol.
    #[expect(clippy::manual_async_fn, reason = "an async fn would hold its arguments twice")]
    pub fn execute(
        &self,
        route: &Route,
        exchange: &mut Exchange,
        answer: &mut Answer,
    ) -> impl Future<Output = Result<()>> + Send {
        async move { self.0.config.dispatcher.run(pin!(self.0.execute(route, exchange, answer))).await }
    }

    /// Makes a connection along `route` that this exchange would use, and keeps it; where there is one idle, nothing is done.
    ///
    /// # Errors
    /// Those of dialing and of waiting.
    pub async fn warm_up(&self, route: &Route, exchange: &mut Exchange) -> Result<()> {
        let lease = self.0.config.dispatcher.run(pin!(self.0.acquire(route, exchange))).await?;
        lease.finish(pool::Verdict::Reuse { keep_alive: None });
        Ok(())
    }

    /// What the pool holds.
    pub fn stats(&self) -> PoolStats {
        self.0.stats()
    }

    /// Closes gracefully: idle connections now, others after their exchange.
    pub fn close(&self) {
        self.0.close();
    }
}

impl<P: Protocol> Shared<P> {
    /// The whole of an exchange on one screen.
    #[expect(clippy::manual_async_fn, reason = "an async fn would hold its arguments twice")]
    fn execute(
        self: &Arc<Self>,
        route: &Route,
        exchange: &mut Exchange,
        answer: &mut Answer,
    ) -> impl Future<Output = Result<()>> + Send {
        async move {
            let mut history = History::default();
            loop {
                let lease = self.acquire(route, exchange).await.map_err(|error| history.told(error))?;
                let connection = (lease.is_reused(), lease.is_shared());
                let body = exchange.request.body();
                // Nothing can be sent again without a copy of it.
                let is_nothing = body.is_empty() && !body.has_trailers();
                let mut body = match is_nothing || connection == (false, false) {
                    true => None,
                    false => body.try_clone(),
                };
                let error = match self.protocol.exchange(lease, exchange, answer).await {
                    Ok(()) => return Ok(()),
                    Err(error) => error,
                };
                if is_nothing {
                    body = Some(Body::empty());
                } else if !exchange.request.body().is_empty() {
                    // It was never taken, or put back whole.
                    body = Some(std::mem::take(exchange.request.body_mut()));
                }
                let (true, Some(body)) = (may_repeat(&error, connection, exchange.request.method(), history), body) else {
                    return Err(history.told(error));
                };
                history.add(&error);
                *exchange.request.body_mut() = body;
                exchange.trace.emit(&Event::Retried { reason: &error });
            }
        }
    }

    /// A connection that is ready for the exchange.
    async fn acquire(self: &Arc<Self>, route: &Route, exchange: &mut Exchange) -> Result<Lease<P>> {
        exchange.trace.enter(Phase::Pool);
        let sharing = self.protocol.sharing(route);
        let request = &exchange.request;
        let must_be_sure = !is_idempotent(request.method()) || !request.body().is_repeatable();
        let lease = loop {
            let checkout = match self.with_pool(|pool, now| pool.checkout(route, sharing, now)) {
                Checkout::Wait(ticket) => {
                    self.config.pool_trace.emit(&PoolEvent::Waiting { origin: route.origin() });
                    // Waiting and dialing are rare and large: on the heap, they do not weigh upon each exchange's future.
                    Box::pin(self.wait(Waiting::new(self, ticket), exchange)).await?
                }
                answer => answer,
            };
            match checkout {
                Checkout::Use(lease) => {
                    let mut lease = Lease::new(self, lease);
                    if !lease.is_reused() || self.protocol.is_alive(lease.conn_mut(), must_be_sure) {
                        break lease;
                    }
                    lease.finish(pool::Verdict::Close(pool::CloseReason::PeerClosed));
                }
                Checkout::Dial(ticket) => break Box::pin(self.dial(Dialing::new(self, ticket), route, exchange)).await?,
                Checkout::Closed | Checkout::Wait(_) => {
                    return Err(Error::new(ErrorKind::Closed, "the client is closed").with_sent(Sent::Nothing));
                }
            }
        };
        let info = self.protocol.info(lease.conn());
        if lease.is_reused() {
            let origin = route.origin();
            self.config.pool_trace.emit(&PoolEvent::Reused { origin, info });
        }
        exchange.trace.emit(&Event::Connected {
            reused: lease.is_reused(),
            remote_addr: info.remote_addr,
        });
        Ok(lease)
    }

    /// Waits for the pool, within the limit for that.
    async fn wait(&self, waiting: Waiting<'_, P>, exchange: &Exchange) -> Result<Checkout<P::Exclusive, P::Shared>> {
        let set = exchange.timeouts.get(TimeoutKind::ConnectionRequest);
        let Some(limit) = effective(set, self.config.connection_request_timeout) else {
            return Ok(waiting.await);
        };
        let started = Instant::now();
        tokio::time::timeout(limit, waiting)
            .await
            .map_err(|_| Error::timeout(TimeoutKind::ConnectionRequest, limit, started.elapsed(), Phase::Pool))
    }

    /// Dials, within the limit for that, as often as the settings say.
    async fn dial(self: &Arc<Self>, dialing: Dialing<'_, P>, route: &Route, exchange: &mut Exchange) -> Result<Lease<P>> {
        let set = exchange.timeouts.get(TimeoutKind::Connect);
        let limit = effective(set, self.config.connect_timeout);
        // A connect timeout has to say what it was waiting for.
        exchange.trace.remember();
        let mut attempt = 1;
        loop {
            let line = Line::new(self);
            let outcome = match limit {
                None => self.connect(route, exchange, &line).await,
                Some(limit) => {
                    let started = Instant::now();
                    let phase = || exchange.trace.phase().unwrap_or(Phase::Connect);
                    tokio::time::timeout(limit, self.connect(route, exchange, &line))
                        .await
                        .unwrap_or_else(|_| Err(Error::timeout(TimeoutKind::Connect, limit, started.elapsed(), phase())))
                }
            };
            match outcome {
                Ok(connection) => return Ok(dialing.done(connection, route, &line)),
                Err(error) if error.is_timeout() && attempt < self.config.connect_attempts => attempt += 1,
                Err(error) => {
                    dialing.failed();
                    let origin = route.origin();
                    self.config.pool_trace.emit(&PoolEvent::DialFailed { origin, error: &error });
                    return Err(error);
                }
            }
        }
    }

    async fn connect(&self, route: &Route, exchange: &Exchange, line: &Line<P>) -> Result<pool::Dialed<P::Exclusive, P::Shared>> {
        let dialed = self.dialer.dial(route, &exchange.trace).await?;
        self.protocol.handshake(dialed, route, line.clone()).await
    }
}

/// The request's word over the engine's.
pub fn effective(set: Option<Timeout>, default: Option<Duration>) -> Option<Duration> {
    set.map_or(default, Timeout::duration)
}

/// How the earlier attempts at an exchange ended.
#[derive(Clone, Copy, Debug, Default)]
struct History {
    /// One of them the server may have seen.
    risked: bool,
    /// So many of them the server has refused to act on.
    refused: usize,
}

/// How often an exchange is offered to a server that refuses it. Go's HTTP/2 client stops after 6 attempts.
const REFUSALS: usize = 5;

impl History {
    fn add(&mut self, error: &Error) {
        match error.sent() {
            Sent::Nothing => self.refused += 1,
            Sent::Maybe | Sent::Answered => self.risked = true,
        }
    }

    /// The last attempt's error, truthful about all: that this one sent nothing does not undo what an earlier one may have.
    fn told(self, error: Error) -> Error {
        let sent = error.sent();
        if self.risked { error.with_sent(sent.max(Sent::Maybe)) } else { error }
    }
}

/// Whether an exchange may be repeated behind the caller's back (RFC 9112 §9.3.1, RFC 9110 §9.2.2): only where a connection from
/// the pool turned out dead, and the server either saw nothing, or, once, may see an idempotent request twice. A connection that
/// carries several exchanges may also be alive, or new, and refuse one of them (RFC 9113 §6.8, §8.7): that is repeated a few times.
fn may_repeat(error: &Error, (reused, shared): (bool, bool), method: &Method, history: History) -> bool {
    error.kind() == ErrorKind::Closed
        && match error.sent() {
            Sent::Nothing if shared => history.refused < REFUSALS,
            Sent::Nothing => reused,
            Sent::Maybe => reused && !history.risked && is_idempotent(method),
            Sent::Answered => false,
        }
}

fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_attempt_is_not_forgotten() {
        let failed = |sent| Error::new(ErrorKind::Connect, "refused").with_sent(sent);
        let mut history = History::default();
        assert_eq!(history.told(failed(Sent::Nothing)).sent(), Sent::Nothing);
        history.add(&Error::new(ErrorKind::Closed, "gone").with_sent(Sent::Maybe));
        assert_eq!(history.told(failed(Sent::Nothing)).sent(), Sent::Maybe);
        assert_eq!(history.told(failed(Sent::Answered)).sent(), Sent::Answered);
    }

    #[test]
    fn what_may_be_repeated() {
        let closed = |sent| Error::new(ErrorKind::Closed, "gone").with_sent(sent);
        let bad = Error::new(ErrorKind::Protocol, "bad").with_sent(Sent::Nothing);
        let (first, again, at_last) = (
            History::default(),
            History {
                risked: true,
                refused: 1,
            },
            History {
                risked: false,
                refused: REFUSALS,
            },
        );
        let (fresh, reused) = ((false, false), (true, false));
        let (fresh_shared, reused_shared) = ((false, true), (true, true));
        for (error, connection, method, history, expected) in [
            (closed(Sent::Nothing), reused, Method::POST, again, true),
            (closed(Sent::Nothing), reused, Method::POST, at_last, true),
            (closed(Sent::Nothing), fresh, Method::GET, first, false),
            (closed(Sent::Nothing), fresh_shared, Method::POST, again, true),
            (closed(Sent::Nothing), reused_shared, Method::POST, first, true),
            (closed(Sent::Nothing), reused_shared, Method::GET, at_last, false),
            (closed(Sent::Maybe), reused, Method::GET, first, true),
            (closed(Sent::Maybe), reused, Method::PUT, first, true),
            (closed(Sent::Maybe), reused, Method::POST, first, false),
            (closed(Sent::Maybe), reused, Method::PATCH, first, false),
            (closed(Sent::Maybe), reused, Method::from_bytes(b"LOCK").unwrap(), first, false),
            (closed(Sent::Maybe), reused, Method::GET, again, false),
            (closed(Sent::Maybe), reused_shared, Method::GET, first, true),
            (closed(Sent::Maybe), fresh_shared, Method::GET, first, false),
            (closed(Sent::Answered), reused, Method::GET, first, false),
            (closed(Sent::Answered), reused_shared, Method::GET, first, false),
            (bad, reused, Method::GET, first, false),
        ] {
            let found = may_repeat(&error, connection, &method, history);
            assert_eq!(found, expected, "{error:?} {connection:?} {method} {history:?}");
        }
    }
}
