//! The allocations of a warm GET on each engine. In a program of their own: the allocator that counts them costs instructions, a tenth of the whole.

mod common;

use client_costs::{BUDGETS, Canned};
use common::{RESPONSE, client, get, judge, runtime};

#[test]
fn allocations_are_within_the_budgets() {
    let within = BUDGETS.iter().filter(|budget| {
        let server = Canned::start(RESPONSE).unwrap();
        let (runtime, http, url) = (runtime(), client(budget.engine), server.url("/path?query"));
        // The first ones make the connection, the reaper, and whatever is made once.
        (0..3).for_each(|_| runtime.block_on(get(&http, &url)));
        // A rare turn of the runtime allocates on its own account; the exchange's own count is the same each time, so the least is it.
        let counts = (0..20).map(|_| allocation_counter::measure(|| runtime.block_on(get(&http, &url))).count_total);
        let count = counts.min().unwrap();
        assert_eq!(http.pool().unwrap().opened, 1);
        judge(budget.engine, "allocations", count, budget.allocations)
    });
    assert_eq!(within.count(), BUDGETS.len(), "see above");
}
