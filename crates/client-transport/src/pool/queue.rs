//! Who waits, and who is served next.
//!
//! Owns the queue, the grants and the dials. What a connection is, and when it expires, is decided elsewhere.

use std::time::Instant;

use super::action::{Action, Actions, CloseReason};
use super::key::RouteKey;
use super::lease::WaiterId;
use super::slab::Id;
use super::{Pool, Route};

/// A caller that was told to wait. Without a grant it is in its route's queue.
pub(super) struct Waiter {
    pub(super) route: Id,
    pub(super) grant: Option<Grant>,
}

/// What is set aside for a waiter until it claims it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grant {
    /// A lease on this connection, counted in its `in_use`.
    Lease(Id),
    /// A dial, counted in `dialing`.
    Dial,
}

impl<K: RouteKey, E, S: Clone> Pool<K, E, S> {
    /// Serves whoever can be served after something of `route` was freed, the oldest first; then forgets the route if
    /// nothing is left of it.
    ///
    /// Two things can be given: the available connections of `route` (those of other routes have no waiters, or they would
    /// have been given before), and places to dial, which are everybody's.
    pub(super) fn serve(&mut self, route: Id, actions: &mut Actions<E, S>, now: Instant) {
        while self.waiting > 0 {
            let lease = self.next_lease(route, actions, now);
            let dial = self.next_dial();
            match (lease, dial) {
                (Some((waiter, conn)), None) => self.grant_lease(waiter, conn, actions),
                (Some((waiter, conn)), Some((other, _))) if waiter <= other => self.grant_lease(waiter, conn, actions),
                (_, Some((waiter, route))) => self.grant_dial(waiter, route, actions),
                (None, None) => break,
            }
        }
        self.forget_if_empty(route);
    }

    /// The oldest waiter of `route`, if there is a connection for it.
    fn next_lease(&mut self, route: Id, actions: &mut Actions<E, S>, now: Instant) -> Option<(WaiterId, Id)> {
        let waiter = *self.routes.get(route)?.queue.first()?;
        self.usable(route, actions, now).map(|conn| (waiter, conn))
    }

    /// The oldest waiter whose route would dial, if there is a place for a dial.
    fn next_dial(&self) -> Option<(WaiterId, Id)> {
        self.dialable.first().copied().filter(|_| self.has_place())
    }

    fn grant_lease(&mut self, waiter: WaiterId, conn: Id, actions: &mut Actions<E, S>) {
        self.grant(waiter, Grant::Lease(conn), actions);
        self.reserve(conn);
    }

    fn grant_dial(&mut self, waiter: WaiterId, route: Id, actions: &mut Actions<E, S>) {
        self.start_dial(route, actions);
        self.grant(waiter, Grant::Dial, actions);
    }

    fn grant(&mut self, id: WaiterId, grant: Grant, actions: &mut Actions<E, S>) {
        if let Some(waiter) = self.waiters.get_mut(&id) {
            waiter.grant = Some(grant);
            self.waiting -= 1;
            self.routes[waiter.route].queue.remove(&id);
            let route = waiter.route;
            self.refresh(route);
            actions.push(Action::Wake(id));
        }
    }

    /// Whether the total allows another dial, possibly in the place of an idle connection.
    pub(super) fn has_place(&self) -> bool {
        !self.is_full() || self.idle.len() > 0
    }

    fn is_full(&self) -> bool {
        self.conns.len() + self.dialing >= self.limits.max_connections
    }

    /// Counts one dial more; when the total is exhausted, in the place of the longest idle connection anywhere.
    pub(super) fn start_dial(&mut self, route: Id, actions: &mut Actions<E, S>) {
        let victim = if self.is_full() { self.idle.first() } else { None };
        self.dialing += 1;
        self.routes[route].dialing += 1;
        self.refresh(route);
        if let Some(victim) = victim {
            let evicted_from = self.conns[victim].route;
            self.close_conn(victim, CloseReason::Evicted, actions);
            self.forget_if_empty(evicted_from);
        }
    }

    /// Counts one dial less that brought nothing.
    pub(super) fn end_dial(&mut self, route: Id, actions: &mut Actions<E, S>, now: Instant) {
        self.dialing -= 1;
        self.routes[route].dialing -= 1;
        self.refresh(route);
        self.serve(route, actions, now);
    }

    /// A new waiter, last in the queue.
    pub(super) fn enqueue(&mut self, route: Id) -> WaiterId {
        self.last_waiter += 1;
        let id = WaiterId(self.last_waiter);
        self.waiters.insert(id, Waiter { route, grant: None });
        self.join_queue(route, id);
        id
    }

    /// Back to its old place, without its grant.
    pub(super) fn requeue(&mut self, id: WaiterId) {
        if let Some(waiter) = self.waiters.get_mut(&id) {
            waiter.grant = None;
            let route = waiter.route;
            self.join_queue(route, id);
        }
    }

    fn join_queue(&mut self, route: Id, id: WaiterId) {
        self.waiting += 1;
        self.routes[route].queue.insert(id);
        self.refresh(route);
    }

    /// Nobody is served by this: what the one that leaves could not have, the others cannot.
    pub(super) fn leave_queue(&mut self, route: Id, id: WaiterId) {
        self.waiting -= 1;
        self.routes[route].queue.remove(&id);
        self.refresh(route);
        self.forget_if_empty(route);
    }

    /// Sends everybody away who has not claimed a grant.
    pub(super) fn dismiss_waiters(&mut self, actions: &mut Actions<E, S>, now: Instant) {
        let (queued, granted): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiters).into_iter().partition(|(_, waiter)| waiter.grant.is_none());
        for (id, waiter) in queued {
            self.leave_queue(waiter.route, id);
            actions.push(Action::Wake(id));
        }
        for (_, waiter) in granted {
            match waiter.grant {
                Some(Grant::Lease(conn)) => self.end_lease(conn, actions, now),
                Some(Grant::Dial) => self.end_dial(waiter.route, actions, now),
                None => {}
            }
        }
    }

    /// Keeps the route's entry in `dialable` true; to be called after each change of its queue, dials or connections. O(1)
    /// while nobody waits.
    pub(super) fn refresh(&mut self, id: Id) {
        let route = &mut self.routes[id];
        let waiter = route.would_dial(&self.limits);
        if waiter == route.dialable {
            return;
        }
        if let Some(waiter) = std::mem::replace(&mut route.dialable, waiter) {
            self.dialable.remove(&(waiter, id));
        }
        if let Some(waiter) = waiter {
            self.dialable.insert((waiter, id));
        }
    }
}

impl<K> Route<K> {
    /// The oldest waiter, if it would dial as soon as the total allowed.
    pub(super) fn would_dial(&self, limits: &super::PoolLimits) -> Option<WaiterId> {
        self.queue.first().copied().filter(|_| self.may_dial(limits))
    }
}
