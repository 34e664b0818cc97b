//! What the pool asks its caller to do once the caller's lock is released.
//!
//! Owns the words of the pool's answers. No decision is made here, and nothing is performed.

use super::lease::{Conn, ConnId, WaiterId};

pub use client_core::CloseReason;

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

/// Actions in the order in which they were decided. Most answers have none, and cost nothing.
#[derive(Debug)]
#[must_use = "a waiter that is not woken hangs"]
pub struct Actions<E, S>(Vec<Action<E, S>>);

impl<E, S> Actions<E, S> {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn push(&mut self, action: Action<E, S>) {
        self.0.push(action);
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<E, S> IntoIterator for Actions<E, S> {
    type Item = Action<E, S>;
    type IntoIter = std::vec::IntoIter<Action<E, S>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
