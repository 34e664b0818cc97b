//! When a connection is too old to be used.
//!
//! Owns the deadlines and the timers over them. Time comes in as an argument, never from a clock.

use std::time::{Duration, Instant};

use super::action::{Actions, CloseReason};
use super::conn::Connection;
use super::key::RouteKey;
use super::limits::PoolLimits;
use super::slab::Id;
use super::{Conn, Pool};

impl<K: RouteKey, E, S: Clone> Pool<K, E, S> {
    /// Closes the idle connections that have expired at `now`. Amortised O(log n) for each.
    pub fn tick(&mut self, now: Instant) -> Actions<E, S> {
        let mut actions = Actions::new();
        while let Some(&(due, id)) = self.timers.first()
            && due <= now
        {
            self.timers.pop_first();
            let conn = &mut self.conns[id];
            let route = conn.route;
            conn.timer = None;
            if conn.in_use > 0 {
                // Armed again when it falls idle.
                continue;
            }
            match conn.spent(0, now) {
                Some(reason) => {
                    self.retire_conn(id, reason, &mut actions);
                    self.serve(route, &mut actions, now);
                }
                // It was used since the timer was set.
                None => self.arm(id),
            }
        }
        actions
    }

    /// When to call [`tick`](Self::tick) next. Never later than the next expiry; it may be earlier, once per connection and
    /// period, because using a connection does not move its timer. That is what keeps a put free of O(log n).
    pub fn next_deadline(&self) -> Option<Instant> {
        self.timers.first().map(|&(due, _)| due)
    }

    /// Sees to it that a timer goes off no later than an idle connection expires.
    pub(super) fn arm(&mut self, id: Id) {
        let conn = &mut self.conns[id];
        let Some(expires) = conn.expires() else { return };
        if conn.timer.is_some_and(|timer| timer <= expires) {
            return;
        }
        if let Some(late) = conn.timer.replace(expires) {
            self.timers.remove(&(late, id));
        }
        self.timers.insert((expires, id));
    }
}

impl<E, S> Connection<E, S> {
    /// Notes that the connection was used until `now`, and what its server promised.
    pub(super) fn rest(&mut self, limits: &PoolLimits, keep_alive: Option<Duration>, now: Instant) {
        // `Keep-Alive` is a hop-by-hop field of HTTP/1; HTTP/2 forbids it (RFC 9113 §8.2.2).
        let promised = keep_alive.filter(|_| matches!(self.held, Some(Conn::Exclusive(_))));
        let promised = promised.map(|promised| promised.saturating_sub(limits.keep_alive_margin));
        let (rest, reason) = match (limits.idle_timeout, promised) {
            (Some(own), Some(promised)) if own <= promised => (own, CloseReason::IdleTimeout),
            (_, Some(promised)) => (promised, CloseReason::KeepAlive),
            (Some(own), None) => (own, CloseReason::IdleTimeout),
            (None, None) => {
                self.idle_end = None;
                return;
            }
        };
        // An end beyond what an `Instant` can hold is none.
        self.idle_end = now.checked_add(rest).map(|end| (end, reason));
    }

    /// Why the connection must not be used at `now`, if so; `others` are its leases besides the one in question. With any, it
    /// is not idle.
    pub(super) fn spent(&self, others: usize, now: Instant) -> Option<CloseReason> {
        if self.lifetime_end.is_some_and(|end| end <= now) {
            return Some(CloseReason::Lifetime);
        }
        self.idle_end.filter(|&(end, _)| others == 0 && end <= now).map(|(_, reason)| reason)
    }

    /// Whether a connection that is reserved for a waiter may still be given to it.
    pub(super) fn is_fit(&self, now: Instant) -> bool {
        self.retired.is_none() && self.spent(self.in_use - 1, now).is_none()
    }

    /// When it expires if it stays idle.
    pub(super) fn expires(&self) -> Option<Instant> {
        let idle_end = self.idle_end.map(|(end, _)| end);
        [self.lifetime_end, idle_end].into_iter().flatten().min()
    }
}
