//! What is asked of real servers and through real proxies. A case is a future that panics, or fails, where something is not as it
//! should be. What must never enter: the name of an engine.

mod origins;
mod proxies;

use client_core::{BoxFuture, Capabilities, Result};

use super::Endpoint;
use super::run::Visit;

/// One statement about an engine and a real server.
pub struct RealCase {
    /// Stable, as those of the suite are.
    pub id: &'static str,
    /// The statement, in one line.
    pub says: &'static str,
    /// What the engine has to promise, besides what the endpoint needs.
    pub(super) needs: Capabilities,
    /// Whether the endpoint can show it.
    pub(super) suits: fn(&Endpoint) -> bool,
    pub(super) run: fn(Visit) -> BoxFuture<'static, Result<()>>,
}

/// Every case: of servers, then of proxies.
pub fn cases() -> impl Iterator<Item = &'static RealCase> {
    origins::CASES.iter().chain(proxies::CASES)
}

/// Declares cases: the name, what it needs, the statement, at which endpoints, and the function that proves it.
macro_rules! real_cases {
    ($group:literal; $($name:ident [$($need:ident),*] $says:literal, $suits:expr;)+) => {
        pub(super) const CASES: &[$crate::real::RealCase] = &[$($crate::real::RealCase {
            id: concat!($group, ".", stringify!($name)),
            says: $says,
            needs: client_core::Capabilities::NONE $(.with(client_core::Capability::$need))*,
            suits: $suits,
            run: |visit| Box::pin($name(visit)),
        }),+];
    };
}

use real_cases;
