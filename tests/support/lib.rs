//! What several of the integration tests share: the engines and real servers.

pub mod engines;
#[cfg(unix)]
pub mod real;
