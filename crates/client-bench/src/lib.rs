//! How fast the engines are, beside the field's other clients: `cargo xtask bench`.
//!
//! Three roles of one program. The *run* starts the server and then, in turn, a driver for each client and workload; the *server* answers; a
//! *driver* makes requests by one client, and tells what that took. See `docs/performance.md` for what is measured and how.
//!
//! Nothing of this may enter another crate: peers, tools and counting allocators stay here.

mod cli;
mod drive;
mod machine;
mod report;
mod results;
mod run;
mod server;
mod subject;
mod subjects;
mod workload;

use std::process::ExitCode;

/// How many allocations were made so far by the whole process, and of how many bytes.
pub type AllocationCounter = fn() -> (usize, usize);

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T = (), E = Error> = std::result::Result<T, E>;

/// The first argument of the server's process, and of a driver's.
const SERVE: &str = "--serve";
const DRIVE: &str = "--drive";

/// The program, in the role that its arguments say.
pub fn main(allocations: Option<AllocationCounter>) -> ExitCode {
    let outcome = match std::env::args().nth(1).as_deref() {
        Some(SERVE) => server::serve(),
        Some(DRIVE) => drive::drive(allocations),
        _ => cli::main(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}
