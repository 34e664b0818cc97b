//! Reuse: which connection is used again, and which is kept.

use client_transport::pool::{CloseReason, Lease, PoolLimits, Verdict};

use crate::world::{Close, REUSE, Wake, World, into_lease, limits, name};

#[test]
fn the_warmest_connection_is_used_first() {
    let mut w = World::new(PoolLimits::default());
    let (a, b, c) = (w.open("x", "a"), w.open("x", "b"), w.open("x", "c"));
    assert!(!a.is_reused());
    for lease in [b, a, c] {
        w.put(lease, REUSE);
    }
    let order = ["c", "a", "b"].map(|_| w.lease("x"));
    assert_eq!(order.each_ref().map(|lease| name(lease.conn())), ["c", "a", "b"]);
    assert!(order.iter().all(Lease::is_reused));
    assert_eq!((w.pool.stats().opened, w.pool.stats().reused), (3, 3));
    for lease in order {
        w.put(lease, Verdict::Close(CloseReason::Failed));
    }
}

#[test]
fn a_connection_serves_its_own_route_only() {
    let mut w = World::new(PoolLimits::default());
    w.idle("x", "a");
    let ticket = w.dial("y");
    w.cancel_dial(ticket);
    w.expect_now([1, 0, 0, 0, 0]);
}

#[test]
fn a_verdict_of_close_closes() {
    let mut w = World::new(PoolLimits::default());
    let lease = w.open("x", "a");
    w.put(lease, Verdict::Close(CloseReason::NotReusable));
    assert_eq!(w.asked(), [Close("a", CloseReason::NotReusable)]);
    assert_eq!(w.pool.stats().closed_by(CloseReason::NotReusable), 1);
    assert_eq!(w.pool.routes().count(), 0, "an empty route is forgotten");
}

#[test]
fn above_the_idle_limit_the_coldest_is_closed() {
    let mut w = World::new(PoolLimits {
        max_idle_per_route: 1,
        ..PoolLimits::default()
    });
    let (a, b) = (w.open("x", "a"), w.open("x", "b"));
    w.put(a, REUSE);
    w.put(b, REUSE);
    assert_eq!(w.asked(), [Close("a", CloseReason::IdleLimit)]);
}

#[test]
fn an_idle_limit_of_zero_still_serves_waiters() {
    let mut w = World::new(PoolLimits {
        max_idle_per_route: 0,
        ..limits(1, 1)
    });
    let a = w.open("x", "a");
    let ticket = w.wait("x");
    let id = ticket.id();
    w.put(a, REUSE);
    assert_eq!(w.asked(), [Wake(id)]);
    let a = into_lease(w.claim(ticket));
    w.put(a, REUSE);
    assert_eq!(w.asked(), [Close("a", CloseReason::IdleLimit)]);
}
