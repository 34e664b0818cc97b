//! The pool against a second, naive one: random schedules, each step compared.
//!
//! [`model::Model`] says the same rules in loops over lists. Here random callers use both at once: any difference in what a
//! caller is told, in the actions, or in the numbers is a failure, and so is a broken invariant or a waiter never served.

mod model;

use std::time::{Duration, Instant};

use client_transport::pool::{
    Action, Actions, Checkout, CloseReason, Conn, DialTicket, Dialed, Lease, Pool, PoolLimits, Sharing, Verdict, WaitTicket,
};

use model::{Answer, Asked, Bring, Limits, Model};

const SCHEDULES: u64 = 1000;

#[test]
fn random_schedules_agree_with_the_model() {
    for seed in 0..SCHEDULES {
        Run::new(seed).run();
    }
}

/// One schedule: the pool, its model, and what their callers hold.
struct Run {
    seed: u64,
    random: Random,
    pool: Pool<u32, u32, u32>,
    model: Model,
    start: Instant,
    /// Milliseconds since `start`.
    now: u64,
    routes: u32,
    last_conn: u32,
    leases: Vec<Lease<u32, u32>>,
    dials: Vec<(DialTicket, u32)>,
    waits: Vec<WaitTicket>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let limits = Limits {
            total: random.within(1, 8) as usize,
            per_route: random.within(1, 5) as usize,
            idle: random.within(0, 4) as usize,
            idle_timeout: (!random.one_in(4)).then_some(1000),
            lifetime: random.one_in(2).then_some(4000),
            margin: 50,
        };
        let pool = Pool::new(PoolLimits {
            max_connections: limits.total,
            max_connections_per_route: limits.per_route,
            max_idle_per_route: limits.idle,
            idle_timeout: limits.idle_timeout.map(Duration::from_millis),
            max_lifetime: limits.lifetime.map(Duration::from_millis),
            keep_alive_margin: Duration::from_millis(limits.margin),
        });
        Self {
            seed,
            routes: random.within(1, 5) as u32,
            random,
            pool,
            model: Model::new(limits),
            start: Instant::now(),
            now: 0,
            last_conn: 0,
            leases: Vec::new(),
            dials: Vec::new(),
            waits: Vec::new(),
        }
    }

    fn run(mut self) {
        let steps = self.random.within(200, 500);
        let close_at = self.random.one_in(4).then(|| self.random.within(0, steps));
        for step in 0..steps {
            if close_at == Some(step) {
                self.close();
            }
            self.step();
        }
        self.drain();
    }

    fn step(&mut self) {
        match self.random.within(0, 99) {
            // A crowd of waiters adds time, not cases.
            0..=34 if self.waits.len() < 12 => self.checkout(),
            0..=34 => self.cancel_wait(),
            35..=54 => self.put(),
            55..=66 => self.bring(),
            67..=69 => self.give_dial_up(),
            70..=81 => self.claim(),
            82..=85 => self.cancel_wait(),
            86..=88 => self.set_capacity(),
            89..=90 => self.retire(),
            91..=98 => self.pass_time(),
            _ => self.clear(),
        }
    }

    fn checkout(&mut self) {
        let route = self.random.within(1, u64::from(self.routes)) as u32;
        let sharing = if self.random.one_in(2) { Sharing::Expect } else { Sharing::Exclusive };
        let (answer, actions) = self.pool.checkout(&route, sharing, self.at());
        let waiter = if let Checkout::Wait(ticket) = &answer { Some(ticket.id()) } else { None };
        let expected = self.model.checkout(route, sharing, waiter, self.now);
        self.take(answer, route, expected);
        self.compare("checkout", actions);
    }

    fn put(&mut self) {
        let Some(lease) = self.random.take(&mut self.leases) else {
            return;
        };
        let verdict = match self.random.within(0, 9) {
            0 => Verdict::Close(CloseReason::Failed),
            1 | 2 => Verdict::Reuse {
                keep_alive: Some(Duration::from_millis(self.random.within(0, 1500))),
            },
            _ => Verdict::Reuse { keep_alive: None },
        };
        self.model.put(name(lease.conn()), verdict, self.now);
        let actions = self.pool.put(lease, verdict, self.at());
        self.compare("put", actions);
    }

    fn bring(&mut self) {
        let Some((ticket, route)) = self.random.take(&mut self.dials) else {
            return;
        };
        self.last_conn += 1;
        let conn = self.last_conn;
        let capacity = self.random.within(0, 4) as usize;
        // Routes differ in what their servers speak, and one changes its mind.
        let shared = if route == 1 { self.random.one_in(2) } else { route % 2 == 0 };
        let (bring, dialed) = if shared {
            (Bring::Shared(capacity), Dialed::Shared { handle: conn, capacity })
        } else {
            (Bring::Exclusive, Dialed::Exclusive(conn))
        };
        let jitter = self.random.within(0, 500);
        let (lease, actions) = self.pool.dialed(ticket, dialed, Duration::from_millis(jitter), self.at());
        assert_eq!((name(lease.conn()), lease.is_reused()), (conn, false));
        self.model.dialed(conn, lease.id(), route, bring, jitter, self.now);
        self.leases.push(lease);
        self.compare("dialed", actions);
    }

    fn give_dial_up(&mut self) {
        let Some((ticket, route)) = self.random.take(&mut self.dials) else {
            return;
        };
        self.model.end_dial(route, self.now);
        let actions = if self.random.one_in(2) {
            self.pool.cancel_dial(ticket, self.at())
        } else {
            self.pool.dial_failed(ticket, self.at())
        };
        self.compare("cancel_dial", actions);
    }

    fn claim(&mut self) {
        let Some(ticket) = self.random.take(&mut self.waits) else {
            return;
        };
        let (route, expected) = self.model.claim(ticket.id(), self.now);
        let (answer, actions) = self.pool.claim(ticket, self.at());
        self.take(answer, route, expected);
        self.compare("claim", actions);
    }

    fn cancel_wait(&mut self) {
        let Some(ticket) = self.random.take(&mut self.waits) else {
            return;
        };
        self.model.cancel_wait(ticket.id(), self.now);
        let actions = self.pool.cancel_wait(ticket, self.at());
        self.compare("cancel_wait", actions);
    }

    fn set_capacity(&mut self) {
        let Some(id) = self.random.pick(&self.model.ids) else { return };
        let capacity = self.random.within(0, 5) as usize;
        self.model.set_capacity(id, capacity, self.now);
        let actions = self.pool.set_capacity(id, capacity, self.at());
        self.compare("set_capacity", actions);
    }

    fn retire(&mut self) {
        let Some(id) = self.random.pick(&self.model.ids) else { return };
        self.model.retire(id, CloseReason::GoAway, self.now);
        let actions = self.pool.retire(id, CloseReason::GoAway, self.at());
        self.compare("retire", actions);
    }

    fn pass_time(&mut self) {
        self.now += self.random.within(0, 400);
        if self.random.one_in(2) {
            self.tick();
        }
    }

    fn tick(&mut self) {
        self.model.tick(self.now);
        let actions = self.pool.tick(self.at());
        self.compare("tick", actions);
        assert!(self.pool.next_deadline().is_none_or(|deadline| deadline > self.at()));
    }

    fn clear(&mut self) {
        self.model.clear(self.now);
        let actions = self.pool.clear(self.at());
        self.compare("clear", actions);
    }

    fn close(&mut self) {
        let abort = self.random.one_in(3);
        self.model.close(abort, self.now);
        let actions = if abort { self.pool.abort(self.at()) } else { self.pool.close(self.at()) };
        self.compare("close", actions);
    }

    /// Everybody finishes. Then nobody may be left waiting, and nothing may be left at all.
    fn drain(mut self) {
        let mut rounds = 0;
        while !(self.leases.is_empty() && self.dials.is_empty() && self.waits.is_empty()) {
            for _ in 0..self.leases.len() {
                self.put();
            }
            for _ in 0..self.dials.len() {
                self.bring();
            }
            for _ in 0..self.waits.len() {
                self.claim();
            }
            // A peer that allows 0 streams is allowed to make its callers wait. Not forever, here.
            for id in self.model.open_ids() {
                self.model.set_capacity(id, 1, self.now);
                let actions = self.pool.set_capacity(id, 1, self.at());
                self.compare("set_capacity", actions);
            }
            rounds += 1;
            assert!(rounds < 1000, "somebody waits forever");
        }
        self.now += 1_000_000;
        self.tick();
        self.clear();
        let stats = self.pool.stats();
        assert_eq!(stats.now, Default::default());
        assert_eq!(stats.opened, stats.closed());
        assert_eq!(self.pool.routes().count(), 0);
        assert_eq!(self.pool.next_deadline(), None);
    }

    fn at(&self) -> Instant {
        self.start + Duration::from_millis(self.now)
    }

    /// Keeps what a caller was given, if it is what it had to be.
    fn take(&mut self, answer: Checkout<u32, u32>, route: u32, expected: Answer) {
        let told = match answer {
            Checkout::Use(lease) => {
                assert!(lease.is_reused());
                let told = Answer::Use(name(lease.conn()));
                self.leases.push(lease);
                told
            }
            Checkout::Dial(ticket) => {
                self.dials.push((ticket, route));
                Answer::Dial
            }
            Checkout::Wait(ticket) => {
                self.waits.push(ticket);
                Answer::Wait
            }
            Checkout::Closed => Answer::Closed,
        };
        assert_eq!(told, expected);
    }

    /// The order within one operation is not the model's business.
    fn compare(&mut self, operation: &str, actions: Actions<u32, u32>) {
        self.pool.check_invariants();
        let mut asked: Vec<Asked> = actions
            .into_iter()
            .map(|action| match action {
                Action::Wake(waiter) => Asked::Wake(waiter),
                Action::Close { conn, reason, .. } => Asked::Close(name(&conn), reason),
            })
            .collect();
        let mut expected = self.model.asked();
        asked.sort_unstable();
        expected.sort_unstable();
        assert_eq!(asked, expected, "{operation}");

        let now = self.pool.stats().now;
        let mut total = [0; 5];
        for route in 1..=self.routes {
            let counts = self.pool.route_stats(&route).unwrap_or_default();
            let counts = [counts.idle, counts.in_use, counts.leases, counts.dialing, counts.waiting];
            assert_eq!(counts, self.model.counts(route), "{operation}, route {route}");
            total.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
        }
        assert_eq!([now.idle, now.in_use, now.leases, now.dialing, now.waiting], total);
        if let Some(expiry) = self.model.next_expiry() {
            let expiry = self.start + Duration::from_millis(expiry);
            assert!(self.pool.next_deadline().is_some_and(|deadline| deadline <= expiry));
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}, at {} ms", self.seed, self.now);
        }
    }
}

fn name(conn: &Conn<u32, u32>) -> u32 {
    match conn {
        Conn::Exclusive(name) | Conn::Shared(name) => *name,
    }
}

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Both ends included.
    fn within(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }

    fn take<T>(&mut self, from: &mut Vec<T>) -> Option<T> {
        (!from.is_empty()).then(|| from.swap_remove(self.next() as usize % from.len()))
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.next() as usize % from.len()])
    }
}
