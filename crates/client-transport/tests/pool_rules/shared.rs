//! Shared connections: one dial for many, capacity, retirement.

use client_transport::pool::{CloseReason, PoolLimits, Sharing, Verdict, WaitTicket};

use crate::world::{Close, REUSE, Wake, World, into_dial, into_lease, into_wait, limits, name, secs};

#[test]
fn callers_who_expect_a_shared_connection_share_one_dial() {
    let mut w = World::new(PoolLimits::default());
    let ticket = into_dial(w.checkout("x", Sharing::Expect));
    let waiting = [(); 3].map(|()| into_wait(w.checkout("x", Sharing::Expect)));
    let ids = waiting.each_ref().map(WaitTicket::id);
    w.expect_now([0, 0, 0, 1, 3]);

    // Room for two more: the third dials for itself, and for those who come after it.
    let a = w.dialed_shared(ticket, "a", 3);
    assert_eq!(w.asked(), ids.map(Wake));
    let [first, second, third] = waiting.map(|ticket| w.claim(ticket));
    let ticket = into_dial(third);
    let late = into_wait(w.checkout("x", Sharing::Expect));
    for lease in [a, into_lease(first), into_lease(second)] {
        assert_eq!(name(lease.conn()), "a");
        w.put(lease, REUSE);
    }
    let late = into_lease(w.claim(late)); // served by the release, not by the dial it waited for
    w.put(late, REUSE);
    let b = w.dialed_shared(ticket, "b", 3);
    w.put(b, REUSE);
    w.expect_now([2, 0, 0, 0, 0]);
}

#[test]
fn expecting_in_vain_lets_everybody_dial() {
    let mut w = World::new(limits(10, 3));
    let ticket = into_dial(w.checkout("x", Sharing::Expect));
    let waiting = [(); 3].map(|()| into_wait(w.checkout("x", Sharing::Expect)));
    let ids = waiting.each_ref().map(WaitTicket::id);
    let a = w.dialed(ticket, "a");
    assert_eq!(w.asked(), [Wake(ids[0]), Wake(ids[1])], "as far as the route's limit allows");
    w.put(a, REUSE);
    assert_eq!(w.asked(), [Wake(ids[2])]);
    let [first, second, third] = waiting.map(|ticket| w.claim(ticket));
    w.put(into_lease(third), REUSE);
    w.cancel_dial(into_dial(first));
    // The route has learned: the next who expect do not wait for the dial in progress.
    let a = into_lease(w.checkout("x", Sharing::Expect));
    let another = into_dial(w.checkout("x", Sharing::Expect));
    w.cancel_dial(another);
    w.cancel_dial(into_dial(second));
    w.put(a, REUSE);
}

#[test]
fn a_failed_shared_dial_is_tried_again_by_the_next() {
    let mut w = World::new(PoolLimits::default());
    let ticket = into_dial(w.checkout("x", Sharing::Expect));
    let (first, second) = (into_wait(w.checkout("x", Sharing::Expect)), into_wait(w.checkout("x", Sharing::Expect)));
    w.dial_failed(ticket);
    assert_eq!(w.asked(), [Wake(first.id())]);
    let ticket = into_dial(w.claim(first));
    let a = w.dialed_shared(ticket, "a", 100);
    assert_eq!(w.asked(), [Wake(second.id())]);
    w.put(a, REUSE);
    w.cancel_wait(second);
    w.expect_now([1, 0, 0, 0, 0]);
}

#[test]
fn capacity_follows_the_peer() {
    let mut w = World::new(limits(1, 1));
    let ticket = w.dial("x");
    let a = w.dialed_shared(ticket, "a", 3);
    let id = a.id();
    let mut leases = vec![a, w.lease("x")];

    w.set_capacity(id, 1); // below the two in use
    let waiting = w.wait("x");
    w.put(leases.pop().unwrap(), REUSE);
    assert_eq!(w.asked(), [], "one in use is still all it takes");
    w.set_capacity(id, 2);
    assert_eq!(w.asked(), [Wake(waiting.id())]);
    leases.push(into_lease(w.claim(waiting)));

    w.set_capacity(id, 0);
    leases.into_iter().for_each(|lease| w.put(lease, REUSE));
    w.expect_now([1, 0, 0, 0, 0]);
    let waiting = w.wait("x");
    w.set_capacity(id, 1);
    assert_eq!(w.asked(), [Wake(waiting.id())]);
    w.cancel_wait(waiting);

    // An exclusive connection cannot be shared, and an unknown one is nobody's.
    w.retire(id, CloseReason::GoAway);
    let b = w.open("x", "b");
    for id in [b.id(), id] {
        w.set_capacity(id, 5);
    }
    let waiting = w.wait("x");
    w.cancel_wait(waiting);
    w.put(b, REUSE);
}

#[test]
fn a_peer_that_allows_nothing_still_serves_its_dialer() {
    let mut w = World::new(PoolLimits::default());
    let ticket = w.dial("x");
    let a = w.dialed_shared(ticket, "a", 0);
    let ticket = w.dial("x");
    w.cancel_dial(ticket);
    w.put(a, REUSE);
    w.expect_now([1, 0, 0, 0, 0]);
}

#[test]
fn a_retired_connection_finishes_what_it_has() {
    let mut w = World::new(limits(1, 1));
    let ticket = w.dial("x");
    let a = w.dialed_shared(ticket, "a", 100);
    let again = w.lease("x");
    let id = a.id();
    for reason in [CloseReason::GoAway, CloseReason::Failed] {
        w.retire(id, reason);
    }
    let waiting = w.wait("x"); // its socket still counts
    w.put(a, REUSE);
    assert_eq!(w.asked(), []);
    w.put(again, REUSE);
    assert_eq!(w.asked(), [Close("a", CloseReason::GoAway), Wake(waiting.id())], "the first reason counts");
    w.cancel_wait(waiting);

    // An idle one goes at once: its server has closed it, say.
    w.idle("x", "b");
    let b = w.lease("x");
    let id = b.id();
    w.put(b, REUSE);
    w.retire(id, CloseReason::PeerClosed);
    assert_eq!(w.asked(), [Close("b", CloseReason::PeerClosed)]);
}

#[test]
fn one_lease_that_saw_a_shared_connection_fail_retires_it_for_all() {
    let mut w = World::new(PoolLimits::default());
    let ticket = w.dial("x");
    let a = w.dialed_shared(ticket, "a", 100);
    let again = w.lease("x");
    w.put(a, Verdict::Close(CloseReason::Failed));
    let ticket = w.dial("x");
    w.put(again, REUSE);
    assert_eq!(w.asked(), [Close("a", CloseReason::Failed)]);
    w.cancel_dial(ticket);
}

#[test]
fn an_idle_shared_connection_expires_and_is_evicted_as_any_other() {
    let mut w = World::new(PoolLimits {
        idle_timeout: Some(secs(10)),
        ..limits(1, 1)
    });
    for end in [CloseReason::IdleTimeout, CloseReason::Evicted] {
        let ticket = w.dial("x");
        let a = w.dialed_shared(ticket, "a", 100);
        let waiting = w.wait("y"); // busy: no place
        w.cancel_wait(waiting);
        w.put(a, REUSE);
        if end == CloseReason::IdleTimeout {
            w.pass(secs(10));
            assert_eq!(w.tick(), [Close("a", end)]);
        } else {
            let ticket = w.dial("y");
            assert_eq!(w.asked(), [Close("a", end)]);
            w.cancel_dial(ticket);
        }
    }
}
