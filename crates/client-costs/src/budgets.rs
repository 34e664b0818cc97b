//! The budgets. Whoever lowers a cost lowers its budget, too; whoever raises one says in the commit what it is spent on.

/// What one warm GET may cost: a small answer, on a connection that is there, through `HttpClient` with its default plugins, without TLS.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Of which engine.
    pub engine: &'static str,
    /// Allocations, those in place counted as one.
    pub allocations: u64,
    /// Tasks that are there during the exchange and were not before.
    pub tasks: usize,
    /// System calls per thousand, besides those that wait for readiness: two for each, and some for memory that the allocator asks for and for
    /// reads that come in two pieces.
    pub system_calls_per_1000: u64,
    /// Instructions in user space, of an optimized build. Compilers differ by a few per cent.
    pub instructions: u64,
}

/// One for each engine that is counted.
pub const BUDGETS: &[Budget] = &[
    Budget {
        engine: "cio",
        allocations: 5,
        tasks: 0,
        system_calls_per_1000: 2050,
        instructions: 12_600,
    },
    Budget {
        engine: "hyper",
        allocations: 14,
        tasks: 0,
        system_calls_per_1000: 2050,
        instructions: 23_300,
    },
];
