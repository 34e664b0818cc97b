//! The benchmark.

use std::process::ExitCode;

fn main() -> ExitCode {
    client_bench::main(None)
}
