//! A connection's line to its own place in the pool: what the one that drives it learns between exchanges.
//!
//! A connection begins to be driven before the pool has given it a place; what is said until then is kept.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::Protocol;
use super::shared::Shared;
use crate::pool::{CloseReason, ConnId};

/// Changes what the pool knows of one connection. Does nothing once the connection or the engine is gone, and keeps neither alive.
pub struct Line<P: Protocol> {
    shared: Weak<Shared<P>>,
    known: Arc<Mutex<Known>>,
}

/// What was said, and of which connection. The lock is held for nothing but reading and writing these.
#[derive(Default)]
struct Known {
    id: Option<ConnId>,
    capacity: Option<usize>,
    retired: Option<CloseReason>,
}

impl<P: Protocol> Line<P> {
    pub(super) fn new(shared: &Arc<Shared<P>>) -> Self {
        Self {
            shared: Arc::downgrade(shared),
            known: Arc::default(),
        }
    }

    /// The connection can carry this many exchanges at a time from now on (HTTP/2: RFC 9113 §6.5.2).
    pub fn set_capacity(&self, capacity: usize) {
        self.known().capacity = Some(capacity);
        self.tell();
    }

    /// The connection takes no more exchanges: it was announced to end (HTTP/2: RFC 9113 §6.8), or has ended.
    pub fn retire(&self, reason: CloseReason) {
        self.known().retired.get_or_insert(reason);
        self.tell();
    }

    /// The connection has its place.
    pub(super) fn place(&self, id: ConnId) {
        self.known().id = Some(id);
        self.tell();
    }

    fn tell(&self) {
        let Some((shared, id)) = self.shared.upgrade().zip(self.known().id) else {
            return;
        };
        let (capacity, retired) = {
            let known = self.known();
            (known.capacity, known.retired)
        };
        if let Some(capacity) = capacity {
            shared.with_pool(|pool, now| {
                // Read again under the pool's lock: of two that tell at the same time, the later one counts.
                let latest = self.known().capacity.unwrap_or(capacity);
                ((), pool.set_capacity(id, latest, now))
            });
        }
        if let Some(reason) = retired {
            shared.with_pool(|pool, now| ((), pool.retire(id, reason, now)));
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: Protocol> Clone for Line<P> {
    fn clone(&self) -> Self {
        Self {
            shared: Weak::clone(&self.shared),
            known: Arc::clone(&self.known),
        }
    }
}
