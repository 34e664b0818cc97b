//! The connection pool: who may use which connection, who dials, who waits, what is closed.
//!
//! Owns the decisions, as a plain data structure. I/O, `await`, a clock, a lock, a waker, a runtime, HTTP and TLS must
//! never enter: the caller keeps the pool under its own lock, says what time it is, and performs the returned
//! [`Actions`] after releasing that lock. So every rule is a table in a test, in virtual time.
//!
//! # The life of a checkout
//!
//! ```text
//! checkout ─┬─► Use(lease) ────────────────► put ──► idle, next waiter, or Close
//!           ├─► Dial(ticket) ─┬─ dialed ──► lease
//!           │                 └─ dial_failed, cancel_dial
//!           ├─► Wait(ticket) ─┬─ Wake(id), then claim ──► Use, Dial or Closed
//!           │                 └─ cancel_wait: a grant not yet claimed goes to the next
//!           └─► Closed
//! ```
//!
//! # The rules
//!
//! - **A connection is available while `in_use < capacity`.** The pool knows no more about HTTP versions than that: an
//!   [exclusive](Dialed::Exclusive) connection has capacity 1 and is moved to its user and back, a
//!   [shared](Dialed::Shared) one has a handle of which each user gets a clone.
//! - **The warmest is used first**, the coldest expires: reuse is last in, first out; eviction takes the longest idle.
//! - **The oldest waiter that can be served is served first**, across routes. One of its own route's connections serves it; so
//!   does a free place within the limits; so does, when the total is exhausted, the place of the longest idle connection
//!   anywhere, even one that has just come back and has younger suitors (as httpcore's `_assign_requests_to_connections`).
//!   A busy shared connection is no free place: it serves its own route until it falls idle or reaches its lifetime.
//! - **A grant stays in the pool until it is claimed.** A waiter that gives up between grant and claim can therefore lose
//!   nothing: [`Pool::cancel_wait`] hands its grant on.
//! - **Sockets are what the limits count**: open, being dialed, and retired ones that are still finishing.
//! - **An id outlives what it names.** Late operations on a connection that is gone do nothing.
//!
//! # Cost
//!
//! A checkout from idle, and a put with nobody waiting, are O(1): one hash of the key, a few links, no allocation once warm.
//! Waiting, granting and closing are O(log n) in the number of waiters and connections. Only [`Pool::clear`],
//! [`Pool::close`], [`Pool::abort`] and [`Pool::routes`] look at everything.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use std::time::{Duration, Instant};
//!
//! use client_transport::pool::{Checkout, Dialed, Pool, PoolLimits, Sharing, Verdict};
//!
//! let now = Instant::now();
//! let mut pool: Pool<&str, &str, Infallible> = Pool::new(PoolLimits::default());
//!
//! let (Checkout::Dial(ticket), _) = pool.checkout(&"example.org:80", Sharing::Exclusive, now) else { panic!() };
//! let (lease, _) = pool.dialed(ticket, Dialed::Exclusive("a socket"), Duration::ZERO, now);
//! let todo = pool.put(lease, Verdict::Reuse { keep_alive: None }, now);
//! assert!(todo.is_empty());
//!
//! let (Checkout::Use(mut lease), _) = pool.checkout(&"example.org:80", Sharing::Exclusive, now) else { panic!() };
//! assert_eq!(*lease.conn_mut().exclusive_mut(), "a socket");
//! # let _ = pool.put(lease, Verdict::Reuse { keep_alive: None }, now);
//! ```

mod action;
mod chain;
mod check;
mod conn;
mod expiry;
mod key;
mod lease;
mod limits;
mod queue;
mod slab;
mod stats;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::time::{Duration, Instant};

pub use action::{Action, Actions, CloseReason};
pub use key::RouteKey;
pub use lease::{Checkout, Conn, ConnId, DialTicket, Dialed, Lease, Sharing, Verdict, WaitTicket, WaiterId};
pub use limits::PoolLimits;
pub use stats::{Counts, PoolStats};

use foldhash::quality::RandomState;

use chain::{Chain, Links};
use conn::Connection;
use queue::{Grant, Waiter};
use slab::{Id, Slab};
use stats::Counters;

/// Connections of one client, by route key `K`: exclusive ones of type `E`, shared ones by handles of type `S`.
///
/// See the [module](self) for the rules. Leases and tickets belong to the pool they came from.
pub struct Pool<K, E, S> {
    limits: PoolLimits,
    closed: bool,

    /// Not by the standard library's hasher: that alone would cost more than the rest of a checkout. This one is seeded at random, too.
    index: HashMap<K, Id, RandomState>,
    routes: Slab<Route<K>>,
    conns: Slab<Connection<E, S>>,
    /// Membership in the `available` of a connection's route.
    available_links: Links,
    /// All idle connections of all routes, the longest idle first.
    idle: Chain,
    idle_links: Links,
    /// When to look at which connection: never later than it expires while idle.
    timers: BTreeSet<(Instant, Id)>,

    /// Queued and granted waiters, oldest first.
    waiters: BTreeMap<WaiterId, Waiter>,
    last_waiter: u64,
    /// For each route that would dial if the total allowed: its oldest queued waiter.
    dialable: BTreeSet<(WaiterId, Id)>,

    leases: usize,
    dialing: usize,
    waiting: usize,
    counters: Counters,
}

/// The connections and callers of one key. It exists while there are any.
struct Route<K> {
    key: K,
    /// What the first caller said, until a dial has shown it.
    sharing: Sharing,
    /// Connections with `in_use < capacity`, the warmest last.
    available: Chain,
    queue: BTreeSet<WaiterId>,
    /// This route's entry in [`Pool::dialable`].
    dialable: Option<WaiterId>,
    open: usize,
    idle: usize,
    dialing: usize,
    leases: usize,
}

impl<K: RouteKey, E, S: Clone> Pool<K, E, S> {
    /// An empty pool.
    ///
    /// # Panics
    ///
    /// If `max_connections` or `max_connections_per_route` is 0: such a pool could never serve anybody.
    pub fn new(limits: PoolLimits) -> Self {
        assert!(limits.max_connections > 0, "max_connections must be at least 1");
        assert!(limits.max_connections_per_route > 0, "max_connections_per_route must be at least 1");
        Self {
            limits,
            closed: false,
            index: HashMap::default(),
            routes: Slab::new(),
            conns: Slab::new(),
            available_links: Links::default(),
            idle: Chain::default(),
            idle_links: Links::default(),
            timers: BTreeSet::new(),
            waiters: BTreeMap::new(),
            last_waiter: 0,
            dialable: BTreeSet::new(),
            leases: 0,
            dialing: 0,
            waiting: 0,
            counters: Counters::default(),
        }
    }

    /// The limits it was made with.
    pub fn limits(&self) -> &PoolLimits {
        &self.limits
    }

    /// Whether [`close`](Self::close) or [`abort`](Self::abort) has been called.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Asks for a connection to `key`. Never answers with one that has expired at `now`.
    ///
    /// `sharing` is a property of the route: its first caller's word counts, until a dial has shown the truth.
    pub fn checkout(&mut self, key: &K, sharing: Sharing, now: Instant) -> (Checkout<E, S>, Actions<E, S>) {
        let mut actions = Actions::new();
        if self.closed {
            return (Checkout::Closed, actions);
        }
        let route = self.route(key, sharing);
        let answer = if let Some(conn) = self.usable(route, &mut actions, now) {
            self.reserve(conn);
            Checkout::Use(self.lend(conn))
        } else if self.routes[route].may_dial(&self.limits) && self.has_place() {
            self.start_dial(route, &mut actions);
            // The connection that gave way may have been in the way of others: idle, but of capacity 0, in a full route.
            self.serve(route, &mut actions, now);
            Checkout::Dial(DialTicket { route })
        } else {
            Checkout::Wait(WaitTicket { id: self.enqueue(route) })
        };
        (answer, actions)
    }

    /// Takes what a waiter was granted. [`Checkout::Wait`] gives the ticket back: nothing yet, the place in the queue is kept.
    ///
    /// A connection that expired or was retired since it was granted is replaced, or waited for, at the old place.
    pub fn claim(&mut self, ticket: WaitTicket, now: Instant) -> (Checkout<E, S>, Actions<E, S>) {
        let mut actions = Actions::new();
        loop {
            let Some(waiter) = self.waiters.get(&ticket.id) else {
                return (Checkout::Closed, actions);
            };
            let route = waiter.route;
            match waiter.grant {
                None => return (Checkout::Wait(ticket), actions),
                Some(Grant::Dial) => {
                    self.waiters.remove(&ticket.id);
                    return (Checkout::Dial(DialTicket { route }), actions);
                }
                Some(Grant::Lease(conn)) if self.conns[conn].is_fit(now) => {
                    self.waiters.remove(&ticket.id);
                    return (Checkout::Use(self.lend(conn)), actions);
                }
                Some(Grant::Lease(conn)) => {
                    self.requeue(ticket.id);
                    self.end_lease(conn, &mut actions, now);
                }
            }
        }
    }

    /// Gives up waiting. A grant not yet claimed goes to the next waiter; after [`close`](Self::close) nothing happens.
    pub fn cancel_wait(&mut self, ticket: WaitTicket, now: Instant) -> Actions<E, S> {
        let mut actions = Actions::new();
        if let Some(waiter) = self.waiters.remove(&ticket.id) {
            match waiter.grant {
                None => self.leave_queue(waiter.route, ticket.id),
                Some(Grant::Dial) => self.end_dial(waiter.route, &mut actions, now),
                Some(Grant::Lease(conn)) => self.end_lease(conn, &mut actions, now),
            }
        }
        actions
    }

    /// Brings the connection a [`DialTicket`] was for. Its dialer gets the first lease; waiters are granted what is left of
    /// a shared one, or, where a shared one was expected in vain, dials of their own.
    ///
    /// `jitter` shortens this connection's [`max_lifetime`](PoolLimits::max_lifetime), so that connections opened together
    /// do not end together.
    pub fn dialed(
        &mut self,
        ticket: DialTicket,
        dialed: Dialed<E, S>,
        jitter: Duration,
        now: Instant,
    ) -> (Lease<E, S>, Actions<E, S>) {
        let mut actions = Actions::new();
        let id = self.open(ticket.route, dialed, jitter, now);
        let lease = self.lend_new(id);
        self.serve(ticket.route, &mut actions, now);
        (lease, actions)
    }

    /// Gives a dial up because it failed. The next waiter is granted one.
    pub fn dial_failed(&mut self, ticket: DialTicket, now: Instant) -> Actions<E, S> {
        self.counters.dials_failed += 1;
        self.cancel_dial(ticket, now)
    }

    /// Gives a dial up because nobody wants it any more. The next waiter is granted one.
    pub fn cancel_dial(&mut self, ticket: DialTicket, now: Instant) -> Actions<E, S> {
        let mut actions = Actions::new();
        self.end_dial(ticket.route, &mut actions, now);
        actions
    }

    /// Gives a lease back. The connection goes to the next waiter, to the idle ones, or, by `verdict` or by a rule of the
    /// pool, into an [`Action::Close`].
    pub fn put(&mut self, lease: Lease<E, S>, verdict: Verdict, now: Instant) -> Actions<E, S> {
        let mut actions = Actions::new();
        let Lease { id, conn, .. } = lease;
        let Some(entry) = self.conns.get_mut(id.0) else {
            // Aborted meanwhile, and counted then.
            actions.push(Action::Close {
                id,
                conn,
                reason: CloseReason::PoolClosed,
            });
            return actions;
        };
        // A clone of a shared handle ends here. It is never the last one: the pool has its own.
        entry.held = Some(conn);
        match verdict {
            Verdict::Reuse { keep_alive } => entry.rest(&self.limits, keep_alive, now),
            Verdict::Close(reason) => self.withdraw(id.0, reason),
        }
        self.end_lease(id.0, &mut actions, now);
        actions
    }

    /// A shared connection can carry this many exchanges at a time from now on (HTTP/2 `SETTINGS_MAX_CONCURRENT_STREAMS`,
    /// RFC 9113 §6.5.2). Lowered below what is in use, it takes no more until enough have ended. Without effect on exclusive
    /// connections and on those that are gone.
    pub fn set_capacity(&mut self, id: ConnId, capacity: usize, now: Instant) -> Actions<E, S> {
        let mut actions = Actions::new();
        if let Some(conn) = self.conns.get_mut(id.0).filter(|conn| conn.is_shared()) {
            conn.capacity = capacity;
            let route = conn.route;
            self.list_if_available(id.0);
            self.serve(route, &mut actions, now);
        }
        actions
    }

    /// No new leases on this connection: it is closed when its last one ends, at once if it has none. Without effect on one
    /// that is gone or retired already.
    pub fn retire(&mut self, id: ConnId, reason: CloseReason, now: Instant) -> Actions<E, S> {
        let mut actions = Actions::new();
        if let Some(conn) = self.conns.get(id.0) {
            let route = conn.route;
            self.retire_conn(id.0, reason, &mut actions);
            self.serve(route, &mut actions, now);
        }
        actions
    }

    /// Retires every connection, for instance because the network changed. The pool stays open.
    pub fn clear(&mut self, now: Instant) -> Actions<E, S> {
        let mut actions = Actions::new();
        self.retire_all(CloseReason::Cleared, &mut actions);
        for route in self.route_ids() {
            self.serve(route, &mut actions, now);
        }
        actions
    }

    /// Closes gracefully: idle connections now, leased ones when their leases end; waiters and new checkouts get
    /// [`Checkout::Closed`], grants not yet claimed included. A dial in progress may still be used by its dialer. Closing
    /// again does nothing.
    pub fn close(&mut self, now: Instant) -> Actions<E, S> {
        let mut actions = Actions::new();
        self.closed = true;
        self.retire_all(CloseReason::PoolClosed, &mut actions);
        self.dismiss_waiters(&mut actions, now);
        for route in self.route_ids() {
            self.forget_if_empty(route);
        }
        actions
    }

    /// [`close`](Self::close)s, and gives back every shared connection that is in use, to be torn down under its leases.
    /// Exclusive ones are with their users: end those.
    pub fn abort(&mut self, now: Instant) -> Actions<E, S> {
        let mut actions = self.close(now);
        let shared: Vec<Id> = self.conns.iter().filter(|(_, conn)| conn.is_shared()).map(|(id, _)| id).collect();
        for id in shared {
            let route = self.abort_conn(id, &mut actions);
            self.forget_if_empty(route);
        }
        actions
    }

    /// The entry for `key`, made if need be. The key is cloned only then.
    fn route(&mut self, key: &K, sharing: Sharing) -> Id {
        if let Some(&route) = self.index.get(key) {
            return route;
        }
        let route = self.routes.insert(Route {
            key: key.clone(),
            sharing,
            available: Chain::default(),
            queue: BTreeSet::new(),
            dialable: None,
            open: 0,
            idle: 0,
            dialing: 0,
            leases: 0,
        });
        self.index.insert(key.clone(), route);
        route
    }

    fn route_ids(&self) -> Vec<Id> {
        self.routes.iter().map(|(id, _)| id).collect()
    }

    /// Keys come and go without end in a crawler: an entry lives only as long as it is needed.
    fn forget_if_empty(&mut self, route: Id) {
        if self.routes.get(route).is_some_and(Route::is_empty)
            && let Some(route) = self.routes.remove(route)
        {
            self.index.remove(&route.key);
        }
    }
}

impl<K> Route<K> {
    /// Whether the limit of the route allows another dial, and no caller expects more from one in progress.
    fn may_dial(&self, limits: &PoolLimits) -> bool {
        let covered = self.sharing == Sharing::Expect && self.dialing > 0;
        !covered && self.open + self.dialing < limits.max_connections_per_route
    }

    fn is_empty(&self) -> bool {
        self.open == 0 && self.dialing == 0 && self.queue.is_empty()
    }
}

impl<K: RouteKey, E, S> fmt::Debug for Pool<K, E, S> {
    /// Numbers only: a key may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("limits", &self.limits)
            .field("closed", &self.closed)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
