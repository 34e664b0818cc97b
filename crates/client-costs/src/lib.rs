//! What a warm GET costs, counted, and what it may cost: the gate that keeps the engines as fast as they are, without measuring time.
//!
//! Owns the budgets, a server that costs nothing, and the tools that count. Engines are known to the tests only.

mod budgets;
mod canned;
mod tools;

pub use budgets::{BUDGETS, Budget};
pub use canned::Canned;
pub use tools::{CALLGRIND, STRACE, Tool};
