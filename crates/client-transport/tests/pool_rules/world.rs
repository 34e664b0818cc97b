//! What every test here stands on: a pool, a clock, and what the pool has asked for.

use std::time::{Duration, Instant};

use client_transport::pool::{
    Action, Actions, Checkout, CloseReason, Conn, ConnId, Counts, DialTicket, Dialed, Lease, Pool, PoolLimits, Sharing, Verdict,
    WaitTicket, WaiterId,
};

pub(crate) type Name = &'static str;
pub(crate) type TestLease = Lease<Name, Name>;

pub(crate) const REUSE: Verdict = Verdict::Reuse { keep_alive: None };

/// What the pool asked for, in comparable form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Wake(WaiterId),
    Close(Name, CloseReason),
}
pub(crate) use Asked::{Close, Wake};

/// A pool with a clock that stands still until it is told to move. Its invariants are checked after each step.
pub(crate) struct World {
    pub(crate) pool: Pool<Name, Name, Name>,
    pub(crate) now: Instant,
    pub(crate) asked: Vec<Asked>,
}

impl World {
    pub(crate) fn new(limits: PoolLimits) -> Self {
        Self {
            pool: Pool::new(limits),
            now: Instant::now(),
            asked: Vec::new(),
        }
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn note(&mut self, actions: Actions<Name, Name>) {
        self.pool.check_invariants();
        self.asked.extend(actions.into_iter().map(|action| match action {
            Action::Wake(waiter) => Wake(waiter),
            Action::Close { conn, reason, .. } => Close(name(&conn), reason),
        }));
    }

    /// What was asked for since the last look.
    pub(crate) fn asked(&mut self) -> Vec<Asked> {
        std::mem::take(&mut self.asked)
    }

    pub(crate) fn checkout(&mut self, route: Name, sharing: Sharing) -> Checkout<Name, Name> {
        let (answer, actions) = self.pool.checkout(&route, sharing, self.now);
        self.note(actions);
        answer
    }

    pub(crate) fn dial(&mut self, route: Name) -> DialTicket {
        into_dial(self.checkout(route, Sharing::Exclusive))
    }

    pub(crate) fn lease(&mut self, route: Name) -> TestLease {
        into_lease(self.checkout(route, Sharing::Exclusive))
    }

    pub(crate) fn wait(&mut self, route: Name) -> WaitTicket {
        into_wait(self.checkout(route, Sharing::Exclusive))
    }

    pub(crate) fn claim(&mut self, ticket: WaitTicket) -> Checkout<Name, Name> {
        let (answer, actions) = self.pool.claim(ticket, self.now);
        self.note(actions);
        answer
    }

    pub(crate) fn dialed(&mut self, ticket: DialTicket, conn: Name) -> TestLease {
        self.brought(ticket, Dialed::Exclusive(conn), Duration::ZERO)
    }

    pub(crate) fn dialed_shared(&mut self, ticket: DialTicket, handle: Name, capacity: usize) -> TestLease {
        self.brought(ticket, Dialed::Shared { handle, capacity }, Duration::ZERO)
    }

    pub(crate) fn brought(&mut self, ticket: DialTicket, dialed: Dialed<Name, Name>, jitter: Duration) -> TestLease {
        let (lease, actions) = self.pool.dialed(ticket, dialed, jitter, self.now);
        self.note(actions);
        lease
    }

    pub(crate) fn put(&mut self, lease: TestLease, verdict: Verdict) {
        let actions = self.pool.put(lease, verdict, self.now);
        self.note(actions);
    }

    /// A new idle connection.
    pub(crate) fn idle(&mut self, route: Name, conn: Name) {
        let lease = self.open(route, conn);
        self.put(lease, REUSE);
    }

    /// A new connection in use.
    pub(crate) fn open(&mut self, route: Name, conn: Name) -> TestLease {
        let ticket = self.dial(route);
        self.dialed(ticket, conn)
    }

    pub(crate) fn cancel_wait(&mut self, ticket: WaitTicket) {
        let actions = self.pool.cancel_wait(ticket, self.now);
        self.note(actions);
    }

    pub(crate) fn cancel_dial(&mut self, ticket: DialTicket) {
        let actions = self.pool.cancel_dial(ticket, self.now);
        self.note(actions);
    }

    pub(crate) fn dial_failed(&mut self, ticket: DialTicket) {
        let actions = self.pool.dial_failed(ticket, self.now);
        self.note(actions);
    }

    pub(crate) fn set_capacity(&mut self, id: ConnId, capacity: usize) {
        let actions = self.pool.set_capacity(id, capacity, self.now);
        self.note(actions);
    }

    pub(crate) fn retire(&mut self, id: ConnId, reason: CloseReason) {
        let actions = self.pool.retire(id, reason, self.now);
        self.note(actions);
    }

    pub(crate) fn clear(&mut self) {
        let actions = self.pool.clear(self.now);
        self.note(actions);
    }

    pub(crate) fn abort(&mut self) {
        let actions = self.pool.abort(self.now);
        self.note(actions);
    }

    pub(crate) fn tick(&mut self) -> Vec<Asked> {
        let actions = self.pool.tick(self.now);
        self.note(actions);
        self.asked()
    }

    pub(crate) fn close(&mut self) {
        let actions = self.pool.close(self.now);
        self.note(actions);
    }

    #[track_caller]
    pub(crate) fn expect_now(&self, [idle, in_use, leases, dialing, waiting]: [usize; 5]) {
        let Counts {
            idle: i,
            in_use: u,
            leases: l,
            dialing: d,
            waiting: w,
            ..
        } = self.pool.stats().now;
        assert_eq!(
            [i, u, l, d, w],
            [idle, in_use, leases, dialing, waiting],
            "[idle, in_use, leases, dialing, waiting]"
        );
    }
}

pub(crate) fn name(conn: &Conn<Name, Name>) -> Name {
    match conn {
        Conn::Exclusive(name) | Conn::Shared(name) => name,
    }
}

#[track_caller]
pub(crate) fn into_lease(answer: Checkout<Name, Name>) -> TestLease {
    let Checkout::Use(lease) = answer else { panic!("{answer:?}") };
    lease
}

#[track_caller]
pub(crate) fn into_dial(answer: Checkout<Name, Name>) -> DialTicket {
    let Checkout::Dial(ticket) = answer else {
        panic!("{answer:?}")
    };
    ticket
}

#[track_caller]
pub(crate) fn into_wait(answer: Checkout<Name, Name>) -> WaitTicket {
    let Checkout::Wait(ticket) = answer else {
        panic!("{answer:?}")
    };
    ticket
}

pub(crate) fn limits(total: usize, per_route: usize) -> PoolLimits {
    PoolLimits {
        max_connections: total,
        max_connections_per_route: per_route,
        ..PoolLimits::default()
    }
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}
