//! Expiry: idle time, the server's hint, lifetime.

use std::time::Duration;

use client_transport::pool::{CloseReason, Dialed, PoolLimits, Verdict};

use crate::world::{Close, REUSE, World, limits, secs};

#[test]
fn idle_connections_expire_from_the_cold_end() {
    let mut w = World::new(PoolLimits {
        idle_timeout: Some(secs(10)),
        ..PoolLimits::default()
    });
    assert_eq!(w.pool.next_deadline(), None);
    let (a, b) = (w.open("x", "a"), w.open("x", "b"));
    w.put(a, REUSE);
    w.pass(secs(4));
    w.put(b, REUSE);
    assert_eq!(w.pool.next_deadline(), Some(w.now + secs(6)));
    w.pass(secs(6));
    assert_eq!(w.tick(), [Close("a", CloseReason::IdleTimeout)]);
    assert_eq!(w.pool.next_deadline(), Some(w.now + secs(4)));
    w.pass(secs(4));
    assert_eq!(w.tick(), [Close("b", CloseReason::IdleTimeout)]);
    assert_eq!(w.pool.next_deadline(), None);
}

#[test]
fn use_defers_expiry() {
    let mut w = World::new(PoolLimits {
        idle_timeout: Some(secs(10)),
        ..PoolLimits::default()
    });
    w.idle("x", "a");
    w.pass(secs(8));
    let a = w.lease("x");
    w.pass(secs(8));
    assert_eq!(w.tick(), [], "what is in use does not expire");
    w.put(a, REUSE);
    w.pass(secs(9));
    assert_eq!(w.tick(), []);
    assert_eq!(w.pool.next_deadline(), Some(w.now + secs(1)));
    w.pass(secs(1));
    assert_eq!(w.tick(), [Close("a", CloseReason::IdleTimeout)]);
}

#[test]
fn checkout_never_gives_an_expired_connection() {
    let mut w = World::new(PoolLimits {
        idle_timeout: Some(secs(10)),
        ..limits(2, 2)
    });
    let (a, b) = (w.open("x", "a"), w.open("x", "b"));
    w.put(a, REUSE);
    w.put(b, REUSE);
    w.pass(secs(10));
    let ticket = w.dial("x");
    assert_eq!(w.asked(), [Close("b", CloseReason::IdleTimeout), Close("a", CloseReason::IdleTimeout)]);
    w.cancel_dial(ticket);
}

#[test]
fn the_servers_keep_alive_hint_shortens_idle_time() {
    // (hint in seconds, seconds until it expires, by which rule); idle_timeout 10 s, margin 2 s.
    for (hint, lasts, reason) in [
        (5, 3, CloseReason::KeepAlive),
        (12, 10, CloseReason::IdleTimeout),
        (3600, 10, CloseReason::IdleTimeout),
        (2, 0, CloseReason::KeepAlive),
        (0, 0, CloseReason::KeepAlive),
    ] {
        let mut w = World::new(PoolLimits {
            idle_timeout: Some(secs(10)),
            ..PoolLimits::default()
        });
        w.idle("x", "a"); // a timer at 10 s, which the hint has to move
        let a = w.lease("x");
        w.put(
            a,
            Verdict::Reuse {
                keep_alive: Some(secs(hint)),
            },
        );
        if lasts > 0 {
            assert_eq!(w.pool.next_deadline(), Some(w.now + secs(lasts)), "hint {hint}");
            w.pass(secs(lasts) - Duration::from_nanos(1));
            assert_eq!(w.tick(), []);
            w.pass(Duration::from_nanos(1));
            w.asked = w.tick();
        }
        assert_eq!(w.asked(), [Close("a", reason)], "hint {hint}");
    }
}

#[test]
fn without_an_idle_timeout_only_the_hint_counts() {
    let mut w = World::new(PoolLimits {
        idle_timeout: None,
        ..PoolLimits::default()
    });
    w.idle("x", "a");
    assert_eq!(w.pool.next_deadline(), None);
    let a = w.lease("x");
    w.put(
        a,
        Verdict::Reuse {
            keep_alive: Some(Duration::MAX),
        },
    );
    assert_eq!(w.pool.next_deadline(), None, "an end beyond Instant is none");
    let a = w.lease("x");
    w.put(
        a,
        Verdict::Reuse {
            keep_alive: Some(secs(7)),
        },
    );
    assert_eq!(w.pool.next_deadline(), Some(w.now + secs(5)));
}

#[test]
fn lifetime_ends_idle_connections_at_once_and_busy_ones_after_use() {
    let limits = PoolLimits {
        max_lifetime: Some(secs(60)),
        idle_timeout: None,
        ..PoolLimits::default()
    };
    let mut w = World::new(limits);
    let (ta, tb) = (w.dial("x"), w.dial("x"));
    let a = w.brought(ta, Dialed::Exclusive("a"), secs(10));
    let b = w.brought(tb, Dialed::Exclusive("b"), secs(0));
    w.put(a, REUSE);
    assert_eq!(w.pool.next_deadline(), Some(w.now + secs(50)), "less its jitter");
    w.pass(secs(50));
    assert_eq!(w.tick(), [Close("a", CloseReason::Lifetime)]);
    w.pass(secs(20));
    assert_eq!(w.tick(), []);
    w.put(b, REUSE);
    assert_eq!(w.asked(), [Close("b", CloseReason::Lifetime)]);
}

#[test]
fn a_busy_shared_connection_past_its_lifetime_takes_no_more() {
    let mut w = World::new(PoolLimits {
        max_lifetime: Some(secs(60)),
        ..PoolLimits::default()
    });
    let ticket = w.dial("x");
    let a = w.dialed_shared(ticket, "a", 10);
    w.pass(secs(60));
    let ticket = w.dial("x");
    assert_eq!(w.asked(), []);
    w.put(a, REUSE);
    assert_eq!(w.asked(), [Close("a", CloseReason::Lifetime)]);
    w.cancel_dial(ticket);
}
