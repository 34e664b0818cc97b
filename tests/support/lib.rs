//! What several of the integration tests share: the engines and real servers.
#![allow(
    clippy::duplicate_mod,
    reason = "engines on the same transport share a file, each from its own tests"
)]

pub mod engines;
#[cfg(unix)]
pub mod real;
