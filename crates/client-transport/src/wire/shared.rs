//! The pool under its lock, and the guards that give back what they hold on every way out.
//!
//! There is one lock. It is never held across I/O, an await, or a caller's code: the pool's actions are performed after it is
//! released, wakers and connections included.

use std::collections::HashMap;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use client_core::{PoolStats, RouteStats};

use super::reaper::Reaper;
use super::{Line, Protocol, WireConfig};
use crate::dial::Dialer;
use crate::pool::{Action, Actions, Checkout, CloseReason, Conn, DialTicket, Dialed, Pool, Verdict, WaitTicket, WaiterId};
use crate::route::Route;

/// What clones of an engine and its responses share.
pub(super) struct Shared<P: Protocol> {
    pub(super) protocol: P,
    pub(super) dialer: Dialer,
    pub(super) config: WireConfig,
    state: Mutex<State<P>>,
    reaper: Reaper,
}

type PoolOf<P> = Pool<Route, <P as Protocol>::Exclusive, <P as Protocol>::Shared>;
type ActionsOf<P> = Actions<<P as Protocol>::Exclusive, <P as Protocol>::Shared>;
type LeaseOf<P> = crate::pool::Lease<<P as Protocol>::Exclusive, <P as Protocol>::Shared>;
type CheckoutOf<P> = Checkout<<P as Protocol>::Exclusive, <P as Protocol>::Shared>;
type ConnOf<P> = Conn<<P as Protocol>::Exclusive, <P as Protocol>::Shared>;

struct State<P: Protocol> {
    pool: PoolOf<P>,
    wakers: HashMap<WaiterId, Waker>,
}

impl<P: Protocol> Shared<P> {
    pub(super) fn new(protocol: P, dialer: Dialer, config: WireConfig) -> Self {
        let state = State {
            pool: Pool::new(config.pool.clone()),
            wakers: HashMap::new(),
        };
        Self {
            protocol,
            dialer,
            config,
            state: Mutex::new(state),
            reaper: Reaper::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<P>> {
        // Nothing under the lock panics half-way through a change that matters; a poisoned pool would fail every later call.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the pool something, and performs what it answers once the lock is released.
    pub(super) fn with_pool<T>(&self, ask: impl FnOnce(&mut PoolOf<P>, Instant) -> (T, ActionsOf<P>)) -> T {
        let now = now();
        let mut state = self.lock();
        let (answer, actions) = ask(&mut state.pool, now);
        self.perform(state, actions);
        answer
    }

    /// Closes what has expired; returns when to look again.
    pub(super) fn tick(&self) -> Option<Instant> {
        self.with_pool(|pool, now| {
            let actions = pool.tick(now);
            (pool.next_deadline(), actions)
        })
    }

    pub(super) fn close(&self) {
        self.with_pool(|pool, now| ((), pool.close(now)));
        self.reaper.stop();
    }

    pub(super) fn stats(&self) -> PoolStats {
        let state = self.lock();
        let pool = state.pool.stats();
        let mut stats = PoolStats::default();
        stats.idle = pool.now.idle;
        stats.in_use = pool.now.in_use;
        stats.dialing = pool.now.dialing;
        stats.waiting = pool.now.waiting;
        stats.opened = pool.opened;
        stats.reused = pool.reused;
        stats.closed = pool.closed();
        stats.closed_by = CloseReason::ALL
            .into_iter()
            .map(|reason| (reason, pool.closed_by(reason)))
            .filter(|&(_, count)| count > 0)
            .collect();
        stats.dials_failed = pool.dials_failed;
        stats.routes = state
            .pool
            .routes()
            .map(|(route, now)| {
                let mut stats = RouteStats::new(route.origin().to_string());
                stats.idle = now.idle;
                stats.in_use = now.in_use;
                stats.dialing = now.dialing;
                stats.waiting = now.waiting;
                stats
            })
            .collect();
        stats
    }

    fn put(self: &Arc<Self>, lease: LeaseOf<P>, verdict: Verdict) {
        let deadline = self.with_pool(|pool, now| {
            let actions = pool.put(lease, verdict, now);
            (pool.next_deadline(), actions)
        });
        if deadline.is_some() {
            self.reaper.watch(self);
        }
    }

    /// Wakes and closes what the pool says, after the lock is released.
    #[inline]
    fn perform(&self, state: MutexGuard<'_, State<P>>, actions: ActionsOf<P>) {
        if !actions.is_empty() {
            self.perform_all(state, actions);
        }
    }

    #[cold]
    fn perform_all(&self, mut state: MutexGuard<'_, State<P>>, actions: ActionsOf<P>) {
        let mut wakers = Vec::new();
        let mut closed = Vec::new();
        for action in actions {
            match action {
                Action::Wake(waiter) => wakers.extend(state.wakers.remove(&waiter)),
                Action::Close { id, conn, reason } => closed.push((id, conn, reason)),
            }
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        for (id, conn, reason) in closed {
            self.config.pool_trace.closed(id, self.protocol.info(&conn), reason);
        }
    }
}

impl<P: Protocol> Drop for Shared<P> {
    fn drop(&mut self) {
        // Whatever is idle still is closed for a reason, too.
        self.close();
    }
}

/// The right to use a connection. Dropped without a verdict, the connection is closed: it may be half-used.
pub struct Lease<P: Protocol> {
    /// `None` once it has been given back.
    lease: Option<LeaseOf<P>>,
    /// The verdict if there is no other.
    fallback: Verdict,
    shared: Arc<Shared<P>>,
}

impl<P: Protocol> Lease<P> {
    pub(super) fn new(shared: &Arc<Shared<P>>, lease: LeaseOf<P>) -> Self {
        Self {
            lease: Some(lease),
            fallback: Verdict::Close(CloseReason::Cancelled),
            shared: Arc::clone(shared),
        }
    }

    fn held(&self) -> &LeaseOf<P> {
        self.lease.as_ref().expect("a lease is held until it is finished")
    }

    /// The connection.
    pub fn conn(&self) -> &ConnOf<P> {
        self.held().conn()
    }

    /// The connection.
    pub fn conn_mut(&mut self) -> &mut ConnOf<P> {
        self.lease.as_mut().expect("a lease is held until it is finished").conn_mut()
    }

    /// Whether the connection was in the pool before, and so may have died unnoticed.
    pub fn is_reused(&self) -> bool {
        self.held().is_reused()
    }

    /// Whether the connection carries other exchanges too.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self.conn(), Conn::Shared(_))
    }

    /// From now on, an exchange that is given up leaves the connection to the others.
    pub fn spare_connection(&mut self) {
        self.fallback = Verdict::Reuse { keep_alive: None };
    }

    /// Gives the connection back.
    pub fn finish(mut self, verdict: Verdict) {
        self.give_back(verdict);
    }

    fn give_back(&mut self, verdict: Verdict) {
        if let Some(lease) = self.lease.take() {
            self.shared.put(lease, verdict);
        }
    }
}

/// Nothing in it is ever pinned.
impl<P: Protocol> Unpin for Lease<P> {}

impl<P: Protocol> Drop for Lease<P> {
    fn drop(&mut self) {
        self.give_back(self.fallback);
    }
}

/// A place in the queue, as a future. Dropping it gives up the place, and passes on what was already granted.
pub(super) struct Waiting<'a, P: Protocol> {
    shared: &'a Shared<P>,
    /// `None` once the answer is there.
    ticket: Option<WaitTicket>,
}

impl<'a, P: Protocol> Waiting<'a, P> {
    pub(super) fn new(shared: &'a Shared<P>, ticket: WaitTicket) -> Self {
        let ticket = Some(ticket);
        Self { shared, ticket }
    }
}

impl<P: Protocol> Future for Waiting<'_, P> {
    type Output = CheckoutOf<P>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(ticket) = self.ticket.take() else {
            return Poll::Ready(Checkout::Closed);
        };
        let mut state = self.shared.lock();
        let (answer, actions) = state.pool.claim(ticket, now());
        let answer = match answer {
            Checkout::Wait(ticket) => {
                state.wakers.insert(ticket.id(), cx.waker().clone());
                self.ticket = Some(ticket);
                Poll::Pending
            }
            answer => Poll::Ready(answer),
        };
        self.shared.perform(state, actions);
        answer
    }
}

impl<P: Protocol> Drop for Waiting<'_, P> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let mut state = self.shared.lock();
            state.wakers.remove(&ticket.id());
            let actions = state.pool.cancel_wait(ticket, now());
            self.shared.perform(state, actions);
        }
    }
}

/// The right to dial. Dropped half-way, the place goes to the next in the queue.
pub(super) struct Dialing<'a, P: Protocol> {
    shared: &'a Arc<Shared<P>>,
    /// `None` once it has been given back.
    ticket: Option<DialTicket>,
}

impl<'a, P: Protocol> Dialing<'a, P> {
    pub(super) fn new(shared: &'a Arc<Shared<P>>, ticket: DialTicket) -> Self {
        let ticket = Some(ticket);
        Self { shared, ticket }
    }

    fn take(&mut self) -> DialTicket {
        self.ticket.take().expect("a dial ends once")
    }

    pub(super) fn done(mut self, connection: Dialed<P::Exclusive, P::Shared>, route: &Route, line: &Line<P>) -> Lease<P> {
        let ticket = self.take();
        let jitter = jitter(self.shared.config.pool.max_lifetime);
        let lease = self.shared.with_pool(|pool, now| pool.dialed(ticket, connection, jitter, now));
        // Before its lease ends, and so before it can be closed.
        self.shared
            .config
            .pool_trace
            .opened(lease.id(), route.origin(), self.shared.protocol.info(lease.conn()));
        line.place(lease.id());
        Lease::new(self.shared, lease)
    }

    pub(super) fn failed(mut self) {
        let ticket = self.take();
        self.shared.with_pool(|pool, now| ((), pool.dial_failed(ticket, now)));
    }
}

impl<P: Protocol> Drop for Dialing<'_, P> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.shared.with_pool(|pool, now| ((), pool.cancel_dial(ticket, now)));
        }
    }
}

/// By the clock of the runtime, so that virtual time is obeyed.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Up to a tenth of the lifetime, at random, so that connections made together do not end together.
fn jitter(lifetime: Option<Duration>) -> Duration {
    let random = RandomState::new().hash_one(0) as u32;
    lifetime.map_or(Duration::ZERO, |lifetime| (lifetime / 10).mul_f64(f64::from(random) / f64::from(u32::MAX)))
}
