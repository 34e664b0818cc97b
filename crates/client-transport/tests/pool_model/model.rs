//! The rules of the pool once more, without cleverness: lists, loops, and everything counted when asked for.

use std::collections::BTreeMap;

use client_transport::pool::{CloseReason, ConnId, Sharing, Verdict, WaiterId};

/// Times in milliseconds.
pub(crate) struct Limits {
    pub(crate) total: usize,
    pub(crate) per_route: usize,
    pub(crate) idle: usize,
    pub(crate) idle_timeout: Option<u64>,
    pub(crate) lifetime: Option<u64>,
    pub(crate) margin: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Use(u32),
    Dial,
    Wait,
    Closed,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Asked {
    Wake(WaiterId),
    Close(u32, CloseReason),
}

pub(crate) enum Bring {
    Exclusive,
    Shared(usize),
}

pub(crate) struct Model {
    limits: Limits,
    closed: bool,
    conns: Vec<Conn>,
    /// In the order of their ids.
    waiters: Vec<Waiter>,
    /// One entry per dial in progress or granted.
    dials: Vec<u32>,
    /// What is known of the routes there are.
    sharing: BTreeMap<u32, Sharing>,
    asked: Vec<Asked>,
    stamp: u64,
    /// Every connection there ever was.
    pub(crate) ids: Vec<ConnId>,
}

struct Conn {
    name: u32,
    id: ConnId,
    route: u32,
    shared: bool,
    capacity: usize,
    in_use: usize,
    retired: Option<CloseReason>,
    lifetime_end: Option<u64>,
    idle_end: Option<(u64, CloseReason)>,
    /// When it last became available, and idle; larger is later.
    available: Option<u64>,
    idle: Option<u64>,
}

struct Waiter {
    id: WaiterId,
    route: u32,
    grant: Option<Grant>,
}

#[derive(Clone, Copy)]
enum Grant {
    Lease(u32),
    Dial,
}

impl Model {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            closed: false,
            conns: Vec::new(),
            waiters: Vec::new(),
            dials: Vec::new(),
            sharing: BTreeMap::new(),
            asked: Vec::new(),
            stamp: 0,
            ids: Vec::new(),
        }
    }

    /// What was asked for since the last look.
    pub(crate) fn asked(&mut self) -> Vec<Asked> {
        let (conns, dials, waiters) = (&self.conns, &self.dials, &self.waiters);
        self.sharing.retain(|route, _| {
            conns.iter().any(|conn| conn.route == *route)
                || dials.contains(route)
                || waiters.iter().any(|waiter| waiter.route == *route)
        });
        std::mem::take(&mut self.asked)
    }

    pub(crate) fn open_ids(&self) -> Vec<ConnId> {
        self.conns.iter().map(|conn| conn.id).collect()
    }

    /// Idle, in use, leases, dialing, waiting.
    pub(crate) fn counts(&self, route: u32) -> [usize; 5] {
        let conns = || self.conns.iter().filter(|conn| conn.route == route);
        [
            conns().filter(|conn| conn.in_use == 0).count(),
            conns().filter(|conn| conn.in_use > 0).count(),
            conns().map(|conn| conn.in_use).sum(),
            self.dials.iter().filter(|dial| **dial == route).count(),
            self.waiters.iter().filter(|waiter| waiter.route == route && waiter.grant.is_none()).count(),
        ]
    }

    pub(crate) fn next_expiry(&self) -> Option<u64> {
        let idle = self.conns.iter().filter(|conn| conn.in_use == 0);
        idle.flat_map(|conn| [conn.lifetime_end, conn.idle_end.map(|(end, _)| end)]).flatten().min()
    }

    /// `waiter` is the id the pool gave, if it let the caller wait.
    pub(crate) fn checkout(&mut self, route: u32, sharing: Sharing, waiter: Option<WaiterId>, now: u64) -> Answer {
        if self.closed {
            return Answer::Closed;
        }
        self.sharing.entry(route).or_insert(sharing);
        if let Some(name) = self.available(route, now) {
            self.change(name, |conn| conn.in_use += 1);
            Answer::Use(name)
        } else if self.may_dial(route) {
            self.start_dial(route);
            self.serve(now);
            Answer::Dial
        } else {
            if let Some(id) = waiter {
                self.waiters.push(Waiter { id, route, grant: None });
            }
            Answer::Wait
        }
    }

    pub(crate) fn claim(&mut self, id: WaiterId, now: u64) -> (u32, Answer) {
        loop {
            let Some(index) = self.waiters.iter().position(|waiter| waiter.id == id) else {
                return (0, Answer::Closed);
            };
            let Waiter { route, grant, .. } = self.waiters[index];
            match grant {
                None => return (route, Answer::Wait),
                Some(Grant::Dial) => {
                    self.waiters.remove(index);
                    return (route, Answer::Dial);
                }
                Some(Grant::Lease(name)) => {
                    let conn = self.conn(name);
                    if conn.retired.is_none() && conn.spent(conn.in_use - 1, now).is_none() {
                        self.waiters.remove(index);
                        return (route, Answer::Use(name));
                    }
                    self.waiters[index].grant = None;
                    self.end_lease(name, now);
                }
            }
        }
    }

    pub(crate) fn cancel_wait(&mut self, id: WaiterId, now: u64) {
        if let Some(index) = self.waiters.iter().position(|waiter| waiter.id == id) {
            let waiter = self.waiters.remove(index);
            match waiter.grant {
                None => {}
                Some(Grant::Dial) => self.end_dial(waiter.route, now),
                Some(Grant::Lease(name)) => self.end_lease(name, now),
            }
        }
    }

    pub(crate) fn dialed(&mut self, name: u32, id: ConnId, route: u32, bring: Bring, jitter: u64, now: u64) {
        self.forget_dial(route);
        let (shared, capacity) = match bring {
            Bring::Exclusive => (false, 1),
            Bring::Shared(capacity) => (true, capacity),
        };
        self.sharing.insert(route, if shared { Sharing::Expect } else { Sharing::Exclusive });
        self.ids.push(id);
        self.conns.push(Conn {
            name,
            id,
            route,
            shared,
            capacity,
            in_use: 0,
            retired: self.closed.then_some(CloseReason::PoolClosed),
            lifetime_end: self.limits.lifetime.map(|lifetime| now + lifetime - jitter),
            idle_end: None,
            available: None,
            idle: None,
        });
        self.change(name, |conn| conn.in_use = 1);
        self.serve(now);
    }

    pub(crate) fn end_dial(&mut self, route: u32, now: u64) {
        self.forget_dial(route);
        self.serve(now);
    }

    pub(crate) fn put(&mut self, name: u32, verdict: Verdict, now: u64) {
        let (idle_timeout, margin) = (self.limits.idle_timeout, self.limits.margin);
        let Some(conn) = self.conns.iter_mut().find(|conn| conn.name == name) else {
            return self.asked.push(Asked::Close(name, CloseReason::PoolClosed));
        };
        match verdict {
            Verdict::Close(reason) => self.change(name, |conn| conn.retired = conn.retired.or(Some(reason))),
            Verdict::Reuse { keep_alive } => {
                let hint = keep_alive.filter(|_| !conn.shared).map(|hint| {
                    let hint = u64::try_from(hint.as_millis()).unwrap();
                    (now + hint.saturating_sub(margin), CloseReason::KeepAlive)
                });
                let own = idle_timeout.map(|timeout| (now + timeout, CloseReason::IdleTimeout));
                // `IdleTimeout` comes first in the order of reasons: it wins a draw.
                conn.idle_end = [hint, own].into_iter().flatten().min();
            }
        }
        self.end_lease(name, now);
    }

    pub(crate) fn set_capacity(&mut self, id: ConnId, capacity: usize, now: u64) {
        if let Some(conn) = self.conns.iter().find(|conn| conn.id == id && conn.shared) {
            self.change(conn.name, |conn| conn.capacity = capacity);
            self.serve(now);
        }
    }

    pub(crate) fn retire(&mut self, id: ConnId, reason: CloseReason, now: u64) {
        if let Some(conn) = self.conns.iter().find(|conn| conn.id == id) {
            self.retire_conn(conn.name, reason);
            self.serve(now);
        }
    }

    pub(crate) fn tick(&mut self, now: u64) {
        for name in self.names() {
            let conn = self.conn(name);
            if let Some(reason) = conn.spent(0, now).filter(|_| conn.in_use == 0) {
                self.close_conn(name, reason);
            }
        }
        self.serve(now);
    }

    pub(crate) fn clear(&mut self, now: u64) {
        for name in self.names() {
            self.retire_conn(name, CloseReason::Cleared);
        }
        self.serve(now);
    }

    pub(crate) fn close(&mut self, abort: bool, now: u64) {
        self.closed = true;
        for name in self.names() {
            self.retire_conn(name, CloseReason::PoolClosed);
        }
        for waiter in std::mem::take(&mut self.waiters) {
            match waiter.grant {
                None => self.asked.push(Asked::Wake(waiter.id)),
                Some(Grant::Dial) => self.end_dial(waiter.route, now),
                Some(Grant::Lease(name)) => self.end_lease(name, now),
            }
        }
        for name in self.names() {
            if abort && self.conn(name).shared {
                self.close_conn(name, CloseReason::PoolClosed);
            }
        }
    }

    /// Serves the oldest waiter that can be served, and again, until none can.
    fn serve(&mut self, now: u64) {
        let queued: Vec<usize> = (0..self.waiters.len()).filter(|&w| self.waiters[w].grant.is_none()).collect();
        for index in queued {
            let Waiter { id, route, .. } = self.waiters[index];
            if let Some(name) = self.available(route, now) {
                self.waiters[index].grant = Some(Grant::Lease(name));
                self.change(name, |conn| conn.in_use += 1);
            } else if self.may_dial(route) {
                self.waiters[index].grant = Some(Grant::Dial);
                self.start_dial(route);
            } else {
                continue;
            }
            self.asked.push(Asked::Wake(id));
            return self.serve(now);
        }
    }

    fn may_dial(&self, route: u32) -> bool {
        let dialing = self.dials.iter().filter(|dial| **dial == route).count();
        let open = self.conns.iter().filter(|conn| conn.route == route).count();
        let covered = self.sharing.get(&route) == Some(&Sharing::Expect) && dialing > 0;
        let place = !self.is_full() || self.conns.iter().any(|conn| conn.in_use == 0);
        !covered && open + dialing < self.limits.per_route && place
    }

    fn is_full(&self) -> bool {
        self.conns.len() + self.dials.len() >= self.limits.total
    }

    fn start_dial(&mut self, route: u32) {
        if self.is_full() {
            let coldest = self.conns.iter().filter(|conn| conn.in_use == 0).min_by_key(|conn| conn.idle);
            self.close_conn(coldest.unwrap().name, CloseReason::Evicted);
        }
        self.dials.push(route);
    }

    fn forget_dial(&mut self, route: u32) {
        let dial = self.dials.iter().position(|dial| *dial == route).unwrap();
        self.dials.remove(dial);
    }

    /// The one that became available last.
    fn available(&mut self, route: u32, now: u64) -> Option<u32> {
        loop {
            let here = self.conns.iter().filter(|conn| conn.route == route && conn.available.is_some());
            let conn = here.max_by_key(|conn| conn.available)?;
            match conn.spent(conn.in_use, now) {
                None => return Some(conn.name),
                Some(reason) => self.retire_conn(conn.name, reason),
            }
        }
    }

    fn end_lease(&mut self, name: u32, now: u64) {
        self.change(name, |conn| conn.in_use -= 1);
        let conn = self.conn(name);
        let route = conn.route;
        if let Some(reason) = conn.retired.or_else(|| conn.spent(conn.in_use, now)) {
            self.retire_conn(name, reason);
        }
        self.serve(now);
        let idle = self.conns.iter().filter(|conn| conn.route == route && conn.in_use == 0).count();
        if idle > self.limits.idle {
            let here = self.conns.iter().filter(|conn| conn.route == route && conn.available.is_some());
            let coldest = here.min_by_key(|conn| conn.available).filter(|conn| conn.in_use == 0);
            self.close_conn(coldest.map_or(name, |conn| conn.name), CloseReason::IdleLimit);
            self.serve(now);
        }
    }

    fn retire_conn(&mut self, name: u32, reason: CloseReason) {
        self.change(name, |conn| conn.retired = conn.retired.or(Some(reason)));
        let conn = self.conn(name);
        if conn.in_use == 0 {
            self.close_conn(name, conn.retired.unwrap());
        }
    }

    fn close_conn(&mut self, name: u32, reason: CloseReason) {
        self.conns.retain(|conn| conn.name != name);
        self.asked.push(Asked::Close(name, reason));
    }

    /// Changes a connection, and notes since when it is available and idle.
    fn change(&mut self, name: u32, change: impl FnOnce(&mut Conn)) {
        self.stamp += 1;
        let conn = self.conns.iter_mut().find(|conn| conn.name == name).unwrap();
        change(conn);
        let available = conn.retired.is_none() && conn.in_use < conn.capacity;
        conn.available = available.then(|| conn.available.unwrap_or(self.stamp));
        conn.idle = (conn.in_use == 0).then(|| conn.idle.unwrap_or(self.stamp));
    }

    fn conn(&self, name: u32) -> &Conn {
        self.conns.iter().find(|conn| conn.name == name).unwrap()
    }

    fn names(&self) -> Vec<u32> {
        self.conns.iter().map(|conn| conn.name).collect()
    }
}

impl Conn {
    fn spent(&self, others: usize, now: u64) -> Option<CloseReason> {
        if self.lifetime_end.is_some_and(|end| end <= now) {
            return Some(CloseReason::Lifetime);
        }
        self.idle_end.filter(|(end, _)| others == 0 && *end <= now).map(|(_, reason)| reason)
    }
}
