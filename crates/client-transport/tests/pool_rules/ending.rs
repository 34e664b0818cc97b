//! The end of everything, and the numbers.

use client_transport::pool::{Checkout, CloseReason, Pool, PoolLimits, Sharing, Verdict};

use crate::world::{Close, Name, REUSE, Wake, World, into_dial, limits};

#[test]
fn clear_renews_every_connection() {
    let mut w = World::new(limits(2, 2));
    let a = w.open("x", "a");
    w.idle("y", "b");
    let dialing = w.dial("z");
    assert_eq!(w.asked(), [Close("b", CloseReason::Evicted)]);
    let z = w.wait("z");
    w.clear();
    assert_eq!(w.asked(), [], "what is in use finishes first");
    w.put(a, REUSE);
    assert_eq!(w.asked(), [Close("a", CloseReason::Cleared), Wake(z.id())]);
    let ticket = into_dial(w.claim(z));
    for ticket in [dialing, ticket] {
        let lease = w.dialed(ticket, "new");
        w.put(lease, REUSE);
    }
    w.clear();
    assert_eq!(w.asked(), [Close("new", CloseReason::Cleared), Close("new", CloseReason::Cleared)]);
    w.expect_now([0; 5]);
}

#[test]
fn close_is_graceful_and_idempotent() {
    let mut w = World::new(limits(4, 3));
    let (a, b) = (w.open("x", "a"), w.open("x", "b"));
    let dialing = w.dial("x");
    let (granted, queued) = (w.wait("x"), w.wait("x"));
    w.idle("y", "idle");
    w.put(b, REUSE);
    assert_eq!(w.asked(), [Wake(granted.id())]);

    w.close();
    let queued_id = queued.id();
    let expected = [
        Close("idle", CloseReason::PoolClosed),
        Wake(queued_id),
        Close("b", CloseReason::PoolClosed),
    ];
    assert_eq!(w.asked(), expected);
    assert!(w.pool.is_closed());
    w.close();
    assert_eq!(w.asked(), []);

    assert!(matches!(w.claim(granted), Checkout::Closed));
    w.cancel_wait(queued); // late, and harmless
    assert!(matches!(w.checkout("x", Sharing::Exclusive), Checkout::Closed));

    w.put(a, REUSE);
    assert_eq!(w.asked(), [Close("a", CloseReason::PoolClosed)]);
    let c = w.dialed(dialing, "c"); // under way when it closed
    w.put(c, REUSE);
    assert_eq!(w.asked(), [Close("c", CloseReason::PoolClosed)]);
    w.expect_now([0; 5]);
    assert_eq!(w.pool.routes().count(), 0);
    assert_eq!(w.pool.stats().closed(), w.pool.stats().opened);
}

#[test]
fn abort_gives_back_what_is_shared_and_late_leases_are_harmless() {
    let mut w = World::new(PoolLimits::default());
    let ticket = w.dial("x");
    let a = w.dialed_shared(ticket, "a", 100);
    let again = w.lease("x");
    let b = w.open("y", "b");
    w.abort();
    assert_eq!(w.asked(), [Close("a", CloseReason::PoolClosed)]);
    w.expect_now([0, 1, 1, 0, 0]);
    w.put(a, REUSE);
    w.put(again, Verdict::Close(CloseReason::Failed));
    w.put(b, REUSE);
    assert_eq!(w.pool.stats().closed_by(CloseReason::PoolClosed), 2);
    w.expect_now([0; 5]);
}

#[test]
fn statistics_are_kept_per_route_and_in_total() {
    let mut w = World::new(limits(4, 2));
    w.idle("x", "a");
    let ticket = w.dial("y");
    let b = w.dialed_shared(ticket, "b", 2);
    let again = w.lease("y");
    let dialing = w.dial("y");
    let waiting = w.wait("y");
    w.expect_now([1, 1, 2, 1, 1]);
    let y = w.pool.route_stats(&"y").unwrap();
    assert_eq!((y.idle, y.in_use, y.leases, y.dialing, y.waiting), (0, 1, 2, 1, 1));
    assert_eq!(y.open(), 1);
    assert_eq!(w.pool.route_stats(&"unknown"), None);
    let mut routes: Vec<_> = w.pool.routes().map(|(key, counts)| (*key, counts.open())).collect();
    routes.sort_unstable();
    assert_eq!(routes, [("x", 1), ("y", 1)]);
    w.cancel_wait(waiting);
    w.cancel_dial(dialing);
    w.put(b, REUSE);
    w.put(again, REUSE);
}

#[test]
fn limits_nobody_could_be_served_under_are_refused() {
    for limits in [limits(0, 1), limits(1, 0)] {
        assert!(std::panic::catch_unwind(|| Pool::<Name, Name, Name>::new(limits)).is_err());
    }
}
