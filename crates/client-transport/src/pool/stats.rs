//! Numbers about a pool, for metrics and tests.
//!
//! Owns the counters. They are maintained as things happen: reading them is O(1), or O(routes) for the list of routes.

use super::action::CloseReason;
use super::key::RouteKey;
use super::{Pool, Route};

/// What is there at this moment, in one route or in the whole pool.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Open connections without a lease.
    pub idle: usize,
    /// Open connections with at least one lease.
    pub in_use: usize,
    /// Leases, several of which may be on one shared connection; those granted and not yet claimed included.
    pub leases: usize,
    /// Connections being dialed, and dials granted but not yet claimed.
    pub dialing: usize,
    /// Callers waiting for a grant.
    pub waiting: usize,
}

impl Counts {
    /// Open connections, idle or in use.
    pub fn open(&self) -> usize {
        self.idle + self.in_use
    }
}

/// What is there, and what has been, in the whole pool.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// At this moment.
    pub now: Counts,
    /// Connections opened since the beginning.
    pub opened: u64,
    /// Leases given on a connection that was already there.
    pub reused: u64,
    /// Dials that failed.
    pub dials_failed: u64,
    closed: [u64; CloseReason::ALL.len()],
}

impl PoolStats {
    /// Connections closed for this reason.
    pub fn closed_by(&self, reason: CloseReason) -> u64 {
        self.closed[reason as usize]
    }

    /// Connections closed for any reason.
    pub fn closed(&self) -> u64 {
        self.closed.iter().sum()
    }
}

/// What only ever grows.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) opened: u64,
    pub(super) reused: u64,
    pub(super) dials_failed: u64,
    pub(super) closed: [u64; CloseReason::ALL.len()],
}

impl<K: RouteKey, E, S> Pool<K, E, S> {
    /// The whole pool. O(1).
    pub fn stats(&self) -> PoolStats {
        PoolStats {
            now: Counts {
                idle: self.idle.len(),
                in_use: self.conns.len() - self.idle.len(),
                leases: self.leases,
                dialing: self.dialing,
                waiting: self.waiting,
            },
            opened: self.counters.opened,
            reused: self.counters.reused,
            dials_failed: self.counters.dials_failed,
            closed: self.counters.closed,
        }
    }

    /// One route, or `None` if the pool has nothing to do with it at the moment. O(1).
    pub fn route_stats(&self, key: &K) -> Option<Counts> {
        self.index.get(key).map(|&route| self.routes[route].counts())
    }

    /// All routes the pool has something to do with, in no particular order.
    pub fn routes(&self) -> impl Iterator<Item = (&K, Counts)> {
        self.routes.iter().map(|(_, route)| (&route.key, route.counts()))
    }
}

impl<K> Route<K> {
    fn counts(&self) -> Counts {
        Counts {
            idle: self.idle,
            in_use: self.open - self.idle,
            leases: self.leases,
            dialing: self.dialing,
            waiting: self.queue.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_counter() {
        for (index, reason) in CloseReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }
}
