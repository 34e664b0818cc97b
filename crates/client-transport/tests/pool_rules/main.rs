//! Each rule of the pool, one test each, in virtual time.

mod ending;
mod expiry;
mod queue;
mod reuse;
mod shared;
mod world;
