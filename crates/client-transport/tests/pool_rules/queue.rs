//! The queue: limits, fairness, eviction, cancellation.

use client_transport::pool::{CloseReason, PoolLimits, Verdict};

use crate::world::{Close, REUSE, Wake, World, into_dial, into_lease, into_wait, limits, name, secs};

#[test]
fn a_route_at_its_limit_waits_in_order() {
    let mut w = World::new(limits(10, 1));
    let a = w.open("x", "a");
    let (first, second) = (w.wait("x"), w.wait("x"));
    let ids = [first.id(), second.id()];
    w.expect_now([0, 1, 1, 0, 2]);
    w.put(a, REUSE);
    assert_eq!(w.asked(), [Wake(ids[0])]);
    // A newcomer does not overtake.
    let third = w.wait("x");
    let second = into_wait(w.claim(second));
    let a = into_lease(w.claim(first));
    w.put(a, Verdict::Close(CloseReason::Failed));
    assert_eq!(w.asked(), [Close("a", CloseReason::Failed), Wake(ids[1])]);
    let ticket = into_dial(w.claim(second));
    w.cancel_wait(third);
    w.cancel_dial(ticket);
    w.expect_now([0; 5]);
}

#[test]
fn the_oldest_waiter_of_any_route_gets_the_free_place() {
    let mut w = World::new(limits(2, 2));
    let (a, b) = (w.open("x", "a"), w.open("x", "b"));
    let (y, x, z) = (w.wait("y"), w.wait("x"), w.wait("z"));
    let ids = [y.id(), x.id(), z.id()];
    w.put(a, Verdict::Close(CloseReason::Failed));
    w.put(b, Verdict::Close(CloseReason::Failed));
    let expected = [
        Close("a", CloseReason::Failed),
        Wake(ids[0]),
        Close("b", CloseReason::Failed),
        Wake(ids[1]),
    ];
    assert_eq!(w.asked(), expected);
    let (y, x) = (into_dial(w.claim(y)), into_dial(w.claim(x)));
    w.cancel_dial(y);
    assert_eq!(w.asked(), [Wake(ids[2])]);
    w.cancel_dial(x);
    w.cancel_wait(z);
    w.expect_now([0; 5]);
}

#[test]
fn a_busy_route_does_not_starve_another() {
    let mut w = World::new(limits(1, 1));
    let a = w.open("x", "a");
    let y = w.wait("y");
    let x = w.wait("x");
    let ids = [y.id(), x.id()];
    w.put(a, REUSE);
    assert_eq!(w.asked(), [Close("a", CloseReason::Evicted), Wake(ids[0])], "y has waited longer than x");
    let ticket = into_dial(w.claim(y));
    let b = w.dialed(ticket, "b");
    w.put(b, REUSE);
    assert_eq!(w.asked(), [Close("b", CloseReason::Evicted), Wake(ids[1])]);
    w.cancel_wait(x);
    w.expect_now([0; 5]);
}

#[test]
fn a_waiter_behind_a_full_route_does_not_block_others() {
    let mut w = World::new(limits(2, 1));
    let (a, b) = (w.open("x", "a"), w.open("y", "b"));
    let x = w.wait("x"); // older, but x is at its own limit
    let z = w.wait("z");
    let z_id = z.id();
    w.put(b, Verdict::Close(CloseReason::Failed));
    assert_eq!(w.asked(), [Close("b", CloseReason::Failed), Wake(z_id)]);
    w.cancel_wait(x);
    w.cancel_wait(z);
    w.put(a, REUSE);
}

#[test]
fn at_the_total_limit_the_longest_idle_connection_anywhere_gives_way() {
    let mut w = World::new(limits(3, 3));
    w.idle("x", "a");
    w.idle("y", "b");
    w.idle("z", "c");
    let a = w.lease("x");
    w.put(a, REUSE);
    let ticket = w.dial("new");
    assert_eq!(w.asked(), [Close("b", CloseReason::Evicted)]);
    assert_eq!(w.pool.route_stats(&"y"), None);
    w.cancel_dial(ticket);
}

#[test]
fn a_waiter_that_leaves_the_queue_is_skipped() {
    let mut w = World::new(limits(1, 1));
    let a = w.open("x", "a");
    let (first, second) = (w.wait("x"), w.wait("x"));
    let id = second.id();
    w.cancel_wait(first);
    w.put(a, REUSE);
    assert_eq!(w.asked(), [Wake(id)]);
    w.cancel_wait(second);
    w.expect_now([1, 0, 0, 0, 0]);
}

#[test]
fn a_lease_granted_to_a_waiter_that_left_goes_to_the_next() {
    let mut w = World::new(limits(1, 1));
    let a = w.open("x", "a");
    let (first, second) = (w.wait("x"), w.wait("x"));
    let id = second.id();
    w.put(a, REUSE);
    w.asked();
    w.expect_now([0, 1, 1, 0, 1]);
    w.cancel_wait(first);
    assert_eq!(w.asked(), [Wake(id)]);
    let a = into_lease(w.claim(second));
    assert_eq!(name(a.conn()), "a");
    w.put(a, REUSE);
}

#[test]
fn a_dial_granted_to_a_waiter_that_left_goes_to_the_next() {
    let mut w = World::new(limits(1, 1));
    let ticket = w.dial("x");
    let (first, second) = (w.wait("x"), w.wait("y"));
    let id = second.id();
    w.cancel_dial(ticket);
    w.asked();
    w.cancel_wait(first);
    assert_eq!(w.asked(), [Wake(id)]);
    let ticket = into_dial(w.claim(second));
    w.dial_failed(ticket);
    assert_eq!(w.pool.stats().dials_failed, 1);
    w.expect_now([0; 5]);
}

#[test]
fn a_granted_connection_that_expires_before_it_is_claimed_is_replaced() {
    let mut w = World::new(PoolLimits {
        idle_timeout: Some(secs(10)),
        ..limits(1, 1)
    });
    let a = w.open("x", "a");
    let ticket = w.wait("x");
    let id = ticket.id();
    w.put(a, REUSE);
    w.asked();
    w.pass(secs(10));
    let ticket = into_dial(w.claim(ticket));
    assert_eq!(w.asked(), [Close("a", CloseReason::IdleTimeout), Wake(id)]);
    w.cancel_dial(ticket);
}

#[test]
fn a_granted_connection_retired_before_it_is_claimed_costs_no_place_in_the_queue() {
    let mut w = World::new(limits(1, 1));
    let ticket = w.dial("x");
    let a = w.dialed_shared(ticket, "a", 1);
    let id = a.id();
    let (first, second) = (w.wait("x"), w.wait("x"));
    w.set_capacity(id, 2);
    assert_eq!(w.asked(), [Wake(first.id())]);
    w.retire(id, CloseReason::GoAway);
    let first = into_wait(w.claim(first)); // nothing else there: back to the head of the queue
    w.put(a, REUSE);
    assert_eq!(w.asked(), [Close("a", CloseReason::GoAway), Wake(first.id())]);
    w.cancel_wait(second);
    let ticket = into_dial(w.claim(first));
    w.cancel_dial(ticket);
}

#[test]
fn a_release_while_dialing_goes_to_the_waiter_and_the_dialer_keeps_its_dial() {
    let mut w = World::new(limits(2, 2));
    let a = w.open("x", "a");
    let dialing = w.dial("x");
    let ticket = w.wait("x");
    w.put(a, REUSE);
    assert_eq!(w.asked(), [Wake(ticket.id())]);
    let a = into_lease(w.claim(ticket));
    let b = w.dialed(dialing, "b");
    w.expect_now([0, 2, 2, 0, 0]);
    w.put(a, REUSE);
    w.put(b, REUSE);
    w.expect_now([2, 0, 0, 0, 0]);
}

#[test]
fn a_connection_that_gives_way_also_frees_its_route() {
    let mut w = World::new(limits(2, 1));
    // Two routes, each full with one idle connection whose peer allows no streams for now; each with a waiter.
    let [(), ()] = ["x", "y"].map(|route| {
        let ticket = w.dial(route);
        let lease = w.dialed_shared(ticket, route, 0);
        w.put(lease, REUSE);
    });
    let (x, y) = (w.wait("x"), w.wait("y"));
    let ticket = w.dial("z");
    let expected = [
        Close("x", CloseReason::Evicted),
        Close("y", CloseReason::Evicted),
        Wake(x.id()),
    ];
    assert_eq!(w.asked(), expected, "x has room now, and takes the place of y's");
    w.cancel_dial(ticket);
    assert_eq!(w.asked(), [Wake(y.id())]);
    w.cancel_wait(x);
    w.cancel_wait(y);
    w.expect_now([0; 5]);
}
