//! What callers hold: connections, leases and tickets.
//!
//! Owns the words of a checkout. No decision is made here.

use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

use super::action::CloseReason;
use super::slab::Id;

/// A connection in a caller's hands, in one of the two shapes the pool serves.
///
/// A pool that only ever has one shape names [`Infallible`] for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conn<E, S> {
    /// The connection itself: one exchange at a time (HTTP/1.1).
    Exclusive(E),
    /// A handle to a connection that carries several exchanges at once (HTTP/2, HTTP/3).
    Shared(S),
}

impl<E> Conn<E, Infallible> {
    /// The connection, where there is no other shape.
    pub fn exclusive_mut(&mut self) -> &mut E {
        match self {
            Conn::Exclusive(conn) => conn,
            Conn::Shared(never) => match *never {},
        }
    }
}

impl<S> Conn<Infallible, S> {
    /// The handle, where there is no other shape.
    pub fn shared_mut(&mut self) -> &mut S {
        match self {
            Conn::Exclusive(never) => match *never {},
            Conn::Shared(handle) => handle,
        }
    }
}

/// What a dial brought.
#[derive(Debug)]
pub enum Dialed<E, S> {
    /// A connection for one exchange at a time.
    Exclusive(E),
    /// A connection for several exchanges at a time. The pool keeps the handle and gives clones of it to callers, so its
    /// `Clone` and `Drop` have to be cheap and quiet, as an `Arc`'s.
    Shared {
        /// The handle.
        handle: S,
        /// Exchanges at a time, as far as known: [`set_capacity`](super::Pool::set_capacity) corrects it.
        capacity: usize,
    },
}

/// What is known before a route's first dial about the shape of its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// One exchange at a time: every caller dials at once, as far as the limits allow.
    Exclusive,
    /// Probably several at a time: while one caller dials, the others wait for what it brings. Is that exclusive after
    /// all (ALPN chose `http/1.1`), they are let go to dial for themselves.
    Expect,
}

/// Names one connection of one pool, forever; an id is never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub(super) Id);

impl fmt::Debug for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnId({:?})", self.0)
    }
}

/// Names one waiting caller of one pool, forever. Lower ids have waited longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaiterId(pub(super) u64);

/// The right to use a pooled connection, and the connection.
///
/// Give it back with [`Pool::put`](super::Pool::put), whatever happened: a lease that is merely dropped keeps its place in the
/// limits forever.
#[derive(Debug)]
#[must_use = "a lease that is not put back occupies the pool forever"]
pub struct Lease<E, S> {
    pub(super) id: ConnId,
    pub(super) conn: Conn<E, S>,
    pub(super) reused: bool,
}

impl<E, S> Lease<E, S> {
    /// The connection.
    pub fn conn(&self) -> &Conn<E, S> {
        &self.conn
    }

    /// The connection.
    pub fn conn_mut(&mut self) -> &mut Conn<E, S> {
        &mut self.conn
    }

    /// The connection's id, for [`set_capacity`](super::Pool::set_capacity) and [`retire`](super::Pool::retire).
    pub fn id(&self) -> ConnId {
        self.id
    }

    /// Whether the connection was there before this caller came, and so may have died unnoticed. False for the caller
    /// that dialed it.
    pub fn is_reused(&self) -> bool {
        self.reused
    }
}

/// The right, and the duty, to dial one connection. It already counts toward the limits.
///
/// Give it back with [`dialed`](super::Pool::dialed), [`dial_failed`](super::Pool::dial_failed) or
/// [`cancel_dial`](super::Pool::cancel_dial).
#[derive(Debug)]
#[must_use = "a dial ticket that is not given back occupies the pool forever"]
pub struct DialTicket {
    pub(super) route: Id,
}

/// A place in the queue.
///
/// When [`Action::Wake`](super::Action::Wake) names its [`id`](WaitTicket::id), [`claim`](super::Pool::claim) what it was
/// granted. Give it up with [`cancel_wait`](super::Pool::cancel_wait), at any time before.
#[derive(Debug)]
#[must_use = "a wait ticket that is neither claimed nor cancelled may hold a grant forever"]
pub struct WaitTicket {
    pub(super) id: WaiterId,
}

impl WaitTicket {
    /// Which waiter this is.
    pub fn id(&self) -> WaiterId {
        self.id
    }
}

/// The answer to a checkout.
#[derive(Debug)]
#[must_use]
pub enum Checkout<E, S> {
    /// Here is a connection.
    Use(Lease<E, S>),
    /// There is none, but room for one: dial it.
    Dial(DialTicket),
    /// There is neither: wait to be woken.
    Wait(WaitTicket),
    /// The pool is closed.
    Closed,
}

/// What the exchange says about its connection when the lease is put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The connection is clean and may carry another exchange. Also right for a shared one on which just a single stream
    /// failed.
    Reuse {
        /// `timeout` of the response's `Keep-Alive` field, if there was one: how long the server promises to wait.
        /// Without effect on a shared connection.
        keep_alive: Option<Duration>,
    },
    /// It must not carry another. An exclusive connection is closed now, a shared one when its last exchange ends.
    Close(CloseReason),
}
