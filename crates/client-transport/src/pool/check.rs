//! What must be true of a pool between any two operations.
//!
//! Owns the invariants, written as if there were no counters and no lists: everything is counted again. For tests.

use std::collections::BTreeSet;

use super::action::CloseReason;
use super::key::RouteKey;
use super::lease::WaiterId;
use super::queue::Grant;
use super::slab::Id;
use super::{Conn, Pool};

impl<K: RouteKey, E, S: Clone> Pool<K, E, S> {
    /// Counts everything again. O(everything), for tests.
    ///
    /// # Panics
    ///
    /// If the pool contradicts itself, exceeds a limit, or lets a waiter wait that it could serve.
    pub fn check_invariants(&self) {
        self.check_totals();
        self.check_connections();
        self.check_waiters();
        for (id, _) in self.routes.iter() {
            self.check_route(id);
        }
    }

    fn check_totals(&self) {
        assert!(self.conns.len() + self.dialing <= self.limits.max_connections, "the total limit");
        let sum = |field: fn(&super::Counts) -> usize| self.routes().map(|(_, counts)| field(&counts)).sum::<usize>();
        let now = self.stats().now;
        assert_eq!(sum(|counts| counts.idle), now.idle);
        assert_eq!(sum(|counts| counts.in_use), now.in_use);
        assert_eq!(sum(|counts| counts.leases), now.leases);
        assert_eq!(sum(|counts| counts.dialing), now.dialing);
        assert_eq!(sum(|counts| counts.waiting), now.waiting);
        assert_eq!(self.counters.opened, self.stats().closed() + now.open() as u64, "opened = closed + open");
        assert_eq!(self.index.len(), self.routes.len());
        for (key, &route) in &self.index {
            assert!(self.routes[route].key == *key);
        }
    }

    fn check_connections(&self) {
        let idle: BTreeSet<Id> = self.idle_links.iter(&self.idle).collect();
        assert_eq!(idle.len(), self.idle.len());
        let mut timers = BTreeSet::new();
        for (id, conn) in self.conns.iter() {
            assert_eq!(idle.contains(&id), conn.in_use == 0, "idle is what nobody has leased");
            assert!(conn.retired.is_none() || conn.in_use > 0, "retired and finished means closed");
            assert_eq!(self.available_links.contains(id), conn.is_available());
            match conn.held {
                Some(Conn::Shared(_)) => {}
                Some(Conn::Exclusive(_)) => assert_eq!(conn.in_use, self.reservations(id), "lent out means gone"),
                None => assert_eq!((conn.in_use, self.reservations(id)), (1, 0)),
            }
            assert!(conn.in_use >= self.reservations(id));
            timers.extend(conn.timer.map(|timer| (timer, id)));
            if conn.in_use == 0
                && let Some(expires) = conn.expires()
            {
                assert!(conn.timer.is_some_and(|timer| timer <= expires), "an idle connection is watched");
            }
            assert!(!self.closed || conn.retired.is_some(), "a closed pool keeps nothing for later");
        }
        assert_eq!(timers, self.timers);
        assert_eq!(self.counters.closed.len(), CloseReason::ALL.len());
    }

    fn check_waiters(&self) {
        let queued = self.waiters.iter().filter(|(_, waiter)| waiter.grant.is_none());
        assert_eq!(queued.clone().count(), self.waiting);
        for (id, waiter) in queued {
            assert!(self.routes[waiter.route].queue.contains(id));
        }
        let dialable: BTreeSet<(WaiterId, Id)> = self
            .routes
            .iter()
            .filter_map(|(id, route)| route.would_dial(&self.limits).map(|waiter| (waiter, id)))
            .collect();
        assert_eq!(dialable, self.dialable);
        assert!(self.dialable.is_empty() || !self.has_place(), "a waiter could dial, and waits");
        assert!(!self.closed || self.waiters.is_empty());
    }

    fn check_route(&self, id: Id) {
        let route = &self.routes[id];
        assert!(!route.is_empty(), "an empty route is forgotten");
        assert!(route.open + route.dialing <= self.limits.max_connections_per_route, "the limit per route");
        assert!(route.idle <= self.limits.max_idle_per_route, "the limit of idle connections per route");
        assert!(route.queue.is_empty() || route.available.first().is_none(), "a waiter could be served, and waits");

        let conns = || self.conns.iter().filter(|(_, conn)| conn.route == id).map(|(_, conn)| conn);
        assert_eq!(conns().count(), route.open);
        assert_eq!(conns().filter(|conn| conn.in_use == 0).count(), route.idle);
        assert_eq!(conns().map(|conn| conn.in_use).sum::<usize>(), route.leases);
        assert_eq!(conns().filter(|conn| conn.is_available()).count(), route.available.len());
        assert_eq!(self.available_links.iter(&route.available).count(), route.available.len());
        assert!(self.waiters.values().filter(|w| w.route == id && w.grant == Some(Grant::Dial)).count() <= route.dialing);
    }

    /// Leases on a connection that are granted and not yet claimed.
    fn reservations(&self, id: Id) -> usize {
        self.waiters.values().filter(|waiter| waiter.grant == Some(Grant::Lease(id))).count()
    }
}
