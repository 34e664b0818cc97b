//! What the pool asks its caller to do once the caller's lock is released.
//!
//! Owns the words of the pool's answers. No decision is made here, and nothing is performed.

use super::lease::{Conn, ConnId, WaiterId};

/// Something to be done outside the lock.
#[derive(Debug)]
pub enum Action<E, S> {
    /// Wake this waiter: [`claim`](super::Pool::claim) has something for it. A waiter that has gone meanwhile is ignored.
    Wake(WaiterId),
    /// Close this connection; the pool has forgotten it.
    Close {
        /// Which one.
        id: ConnId,
        /// The connection, or the pool's own handle to it.
        conn: Conn<E, S>,
        /// Why.
        reason: CloseReason,
    },
}

/// Actions in the order in which they were decided. One needs no allocation.
#[derive(Debug)]
#[must_use = "a waiter that is not woken hangs"]
pub struct Actions<E, S> {
    first: Option<Action<E, S>>,
    rest: Vec<Action<E, S>>,
}

impl<E, S> Actions<E, S> {
    pub(super) fn new() -> Self {
        Self {
            first: None,
            rest: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, action: Action<E, S>) {
        if self.first.is_none() {
            self.first = Some(action);
        } else {
            self.rest.push(action);
        }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }
}

impl<E, S> IntoIterator for Actions<E, S> {
    type Item = Action<E, S>;
    type IntoIter = std::iter::Chain<std::option::IntoIter<Action<E, S>>, std::vec::IntoIter<Action<E, S>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.rest)
    }
}

/// Why a connection left the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum CloseReason {
    /// Pool: it lay idle for [`idle_timeout`](super::PoolLimits::idle_timeout).
    IdleTimeout,
    /// Pool: the time its server promised in `Keep-Alive: timeout` is over, less the margin.
    KeepAlive,
    /// Pool: it reached [`max_lifetime`](super::PoolLimits::max_lifetime).
    Lifetime,
    /// Pool: idle, and its place in the total was needed for another route.
    Evicted,
    /// Pool: its route has more than [`max_idle_per_route`](super::PoolLimits::max_idle_per_route).
    IdleLimit,
    /// Pool: all connections were given up, by [`clear`](super::Pool::clear).
    Cleared,
    /// Pool: it was closed.
    PoolClosed,
    /// Caller: the exchange was the last by agreement (`Connection: close`, HTTP/1.0, a body that ends with the connection).
    NotReusable,
    /// Caller: the peer announced the end (HTTP/2 and HTTP/3 GOAWAY).
    GoAway,
    /// Caller: the peer closed it.
    PeerClosed,
    /// Caller: the exchange was given up half-way.
    Cancelled,
    /// Caller: I/O or protocol error.
    Failed,
    /// Caller: it speaks another protocol now (an upgrade, CONNECT).
    Switched,
}

impl CloseReason {
    /// Every reason, in the order of its discriminant.
    pub const ALL: [Self; 13] = [
        Self::IdleTimeout,
        Self::KeepAlive,
        Self::Lifetime,
        Self::Evicted,
        Self::IdleLimit,
        Self::Cleared,
        Self::PoolClosed,
        Self::NotReusable,
        Self::GoAway,
        Self::PeerClosed,
        Self::Cancelled,
        Self::Failed,
        Self::Switched,
    ];
}
