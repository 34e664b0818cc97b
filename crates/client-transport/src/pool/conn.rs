//! The life of one pooled connection: opened, leased, parked, retired, closed.
//!
//! Owns the counts and lists a connection appears in; every change of `in_use` happens here. When it expires is decided in
//! `expiry`, who gets it in `queue`.

use std::time::{Duration, Instant};

use super::action::{Action, Actions, CloseReason};
use super::key::RouteKey;
use super::lease::{Conn, ConnId, Dialed, Lease, Sharing};
use super::slab::Id;
use super::{Pool, Route};

/// A connection as the pool sees it.
pub(super) struct Connection<E, S> {
    pub(super) route: Id,
    /// `None` while an exclusive connection is with its user.
    pub(super) held: Option<Conn<E, S>>,
    pub(super) capacity: usize,
    /// Leases, and grants of one that are not yet claimed.
    pub(super) in_use: usize,
    /// Set once it takes no more leases.
    pub(super) retired: Option<CloseReason>,
    pub(super) lifetime_end: Option<Instant>,
    /// When it expires if it is idle from its last use on, and by which rule.
    pub(super) idle_end: Option<(Instant, CloseReason)>,
    /// Its entry in [`Pool::timers`].
    pub(super) timer: Option<Instant>,
}

impl<E, S> Connection<E, S> {
    pub(super) fn is_shared(&self) -> bool {
        matches!(self.held, Some(Conn::Shared(_)))
    }

    pub(super) fn is_available(&self) -> bool {
        self.retired.is_none() && self.in_use < self.capacity
    }
}

impl<K: RouteKey, E, S: Clone> Pool<K, E, S> {
    /// Turns a dial of `route` into a connection that nobody has leased yet.
    pub(super) fn open(&mut self, route: Id, dialed: Dialed<E, S>, jitter: Duration, now: Instant) -> Id {
        let (held, capacity, sharing) = match dialed {
            Dialed::Exclusive(conn) => (Conn::Exclusive(conn), 1, Sharing::Exclusive),
            Dialed::Shared { handle, capacity } => (Conn::Shared(handle), capacity, Sharing::Expect),
        };
        let lifetime = self.limits.max_lifetime.map(|lifetime| lifetime.saturating_sub(jitter));
        self.dialing -= 1;
        let entry = &mut self.routes[route];
        entry.dialing -= 1;
        entry.open += 1;
        entry.sharing = sharing;
        self.counters.opened += 1;
        self.refresh(route);
        self.conns.insert(Connection {
            route,
            held: Some(held),
            capacity,
            in_use: 0,
            // A dial that was under way when the pool closed serves its dialer, and nobody after.
            retired: self.closed.then_some(CloseReason::PoolClosed),
            lifetime_end: lifetime.and_then(|lifetime| now.checked_add(lifetime)),
            idle_end: None,
            timer: None,
        })
    }

    /// The dialer's own lease, which no capacity can refuse: a peer that allows 0 streams for a moment would otherwise be
    /// dialed again and again.
    pub(super) fn lend_new(&mut self, id: Id) -> Lease<E, S> {
        self.reserve(id);
        self.list_if_available(id);
        Lease {
            id: ConnId(id),
            conn: self.take_or_clone(id),
            reused: false,
        }
    }

    /// The lease on a connection reserved before.
    pub(super) fn lend(&mut self, id: Id) -> Lease<E, S> {
        self.counters.reused += 1;
        Lease {
            id: ConnId(id),
            conn: self.take_or_clone(id),
            reused: true,
        }
    }

    fn take_or_clone(&mut self, id: Id) -> Conn<E, S> {
        let held = &mut self.conns[id].held;
        match held.take().expect("an exclusive connection is lent once at a time") {
            Conn::Exclusive(conn) => Conn::Exclusive(conn),
            Conn::Shared(handle) => {
                *held = Some(Conn::Shared(handle.clone()));
                Conn::Shared(handle)
            }
        }
    }

    /// Counts one lease more.
    pub(super) fn reserve(&mut self, id: Id) {
        let conn = &mut self.conns[id];
        let route = &mut self.routes[conn.route];
        conn.in_use += 1;
        route.leases += 1;
        self.leases += 1;
        if self.idle_links.contains(id) {
            self.idle_links.remove(&mut self.idle, id);
            route.idle -= 1;
        }
        if !conn.is_available() {
            self.available_links.remove(&mut route.available, id);
        }
    }

    /// Counts one lease less, and decides what becomes of the connection and of who waits for it.
    pub(super) fn end_lease(&mut self, id: Id, actions: &mut Actions<E, S>, now: Instant) {
        let conn = &mut self.conns[id];
        let route = conn.route;
        conn.in_use -= 1;
        self.routes[route].leases -= 1;
        self.leases -= 1;
        if let Some(reason) = conn.retired.or_else(|| conn.spent(conn.in_use, now)) {
            self.withdraw(id, reason);
            self.close_if_finished(id, actions);
        } else {
            self.park(id);
        }
        self.serve(route, actions, now);
        if self.trim(route, id, actions) {
            self.serve(route, actions, now);
        }
    }

    fn park(&mut self, id: Id) {
        let conn = &self.conns[id];
        if conn.in_use == 0 {
            self.routes[conn.route].idle += 1;
            self.idle_links.push_back(&mut self.idle, id);
            self.arm(id);
        }
        self.list_if_available(id);
    }

    /// Makes a connection a member of its route's `available` exactly if it is available.
    pub(super) fn list_if_available(&mut self, id: Id) {
        let conn = &self.conns[id];
        let available = &mut self.routes[conn.route].available;
        match (conn.is_available(), self.available_links.contains(id)) {
            (true, false) => self.available_links.push_back(available, id),
            (false, true) => self.available_links.remove(available, id),
            (true, true) | (false, false) => {}
        }
    }

    /// Keeps a route within its limit of idle connections, after `parked` may have been added to them.
    fn trim(&mut self, route: Id, parked: Id, actions: &mut Actions<E, S>) -> bool {
        let Some(entry) = self.routes.get(route).filter(|route| route.idle > self.limits.max_idle_per_route) else {
            return false;
        };
        // The coldest is first among the available, unless that is a shared one in use.
        let coldest = entry.available.first().filter(|&first| self.conns[first].in_use == 0);
        self.close_conn(coldest.unwrap_or(parked), CloseReason::IdleLimit, actions);
        true
    }

    /// The warmest connection of `route` that takes another lease; what has expired is retired on the way.
    pub(super) fn usable(&mut self, route: Id, actions: &mut Actions<E, S>, now: Instant) -> Option<Id> {
        while let Some(id) = self.routes[route].available.last() {
            let conn = &self.conns[id];
            match conn.spent(conn.in_use, now) {
                None => return Some(id),
                Some(reason) => self.retire_conn(id, reason, actions),
            }
        }
        None
    }

    pub(super) fn retire_conn(&mut self, id: Id, reason: CloseReason, actions: &mut Actions<E, S>) {
        self.withdraw(id, reason);
        self.close_if_finished(id, actions);
    }

    pub(super) fn retire_all(&mut self, reason: CloseReason, actions: &mut Actions<E, S>) {
        let ids: Vec<Id> = self.conns.iter().map(|(id, _)| id).collect();
        for id in ids {
            self.retire_conn(id, reason, actions);
        }
    }

    /// Takes no more leases. The first reason counts.
    pub(super) fn withdraw(&mut self, id: Id, reason: CloseReason) {
        self.conns[id].retired.get_or_insert(reason);
        self.list_if_available(id);
    }

    fn close_if_finished(&mut self, id: Id, actions: &mut Actions<E, S>) {
        let conn = &self.conns[id];
        if let (0, Some(reason)) = (conn.in_use, conn.retired) {
            self.close_conn(id, reason, actions);
        }
    }

    /// Closes a shared connection under its leases; what they give back later finds nothing.
    pub(super) fn abort_conn(&mut self, id: Id, actions: &mut Actions<E, S>) -> Id {
        let conn = &self.conns[id];
        let route = conn.route;
        self.leases -= conn.in_use;
        self.routes[route].leases -= conn.in_use;
        self.close_conn(id, CloseReason::PoolClosed, actions);
        route
    }

    /// The one place where a connection leaves the pool. Its route may be empty afterwards.
    pub(super) fn close_conn(&mut self, id: Id, reason: CloseReason, actions: &mut Actions<E, S>) {
        let Some(conn) = self.conns.remove(id) else { return };
        let route: &mut Route<K> = &mut self.routes[conn.route];
        route.open -= 1;
        self.available_links.remove(&mut route.available, id);
        if self.idle_links.contains(id) {
            self.idle_links.remove(&mut self.idle, id);
            route.idle -= 1;
        }
        if let Some(timer) = conn.timer {
            self.timers.remove(&(timer, id));
        }
        self.counters.closed[reason as usize] += 1;
        self.refresh(conn.route);
        if let Some(held) = conn.held {
            actions.push(Action::Close {
                id: ConnId(id),
                conn: held,
                reason,
            });
        }
    }
}
