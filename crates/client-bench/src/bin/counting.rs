//! The benchmark's driver with an allocator that counts.

use std::alloc::System;
use std::process::ExitCode;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> ExitCode {
    client_bench::main(Some(|| {
        let stats = ALLOCATOR.stats();
        // Growing counts as an allocation: it may be one.
        (stats.allocations + stats.reallocations, stats.bytes_allocated)
    }))
}
