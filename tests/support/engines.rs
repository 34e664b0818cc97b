//! The engines, as the suite is told to make them: the same files that each engine's own `cargo test` uses.

use std::sync::Arc;

use client_conformance::{Case, CaseResult, Settings, Subject, run};
use client_core::Capabilities;

#[path = "../../crates/client-cio/tests/conformance.rs"]
mod cio;
#[path = "../../crates/client-curl/tests/conformance.rs"]
mod curl;
#[path = "../../crates/client-h2/tests/conformance.rs"]
mod h2;
#[path = "../../crates/client-hyper/tests/conformance.rs"]
mod hyper;
#[path = "../../crates/client-reqwest/tests/conformance.rs"]
mod reqwest;
#[path = "../../crates/client-ureq/tests/conformance.rs"]
mod ureq;

/// An engine, and how to run cases on it.
pub struct EngineUnderTest {
    /// Its name, as in the tables.
    pub name: &'static str,
    /// What it promises.
    pub capabilities: fn() -> Capabilities,
    /// Runs cases of the suite.
    pub run: fn(&Selects<'_>) -> Vec<CaseResult>,
    /// For cases that are not the suite's.
    pub subject: fn() -> Arc<dyn Subject>,
}

/// What an engine's library is known to do against real servers: engine, case, and why. Run, and shown as what it is.
pub const KNOWN: &[(&str, &str, &str)] = &[
    (
        "curl",
        "origin.half_read",
        "libcurl's nghttp2 ends a connection with ENHANCE_YOUR_CALM when nginx goes on sending to streams that were given up",
    ),
    ("curl", "proxy.forward_reuse", "libcurl does not use a connection to an https proxy again"),
];

/// Which cases to run.
pub type Selects<'a> = dyn Fn(&Case) -> bool + 'a;

/// Every engine, in the order of the tables.
pub fn all() -> Vec<EngineUnderTest> {
    macro_rules! engines {
        ($($name:ident),+) => {
            vec![$(EngineUnderTest {
                name: stringify!($name),
                capabilities: || declared(&$name::subject()),
                run: |selects| run($name::subject(), selects),
                subject: || Arc::new($name::subject()),
            }),+]
        };
    }
    engines![hyper, cio, h2, reqwest, curl, ureq]
}

fn declared(subject: &impl Subject) -> Capabilities {
    let mut declared = Capabilities::NONE;
    subject.block_on(Box::pin(async {
        if let Some(engine) = subject.engine(&Settings::default()) {
            declared = engine.capabilities();
        }
    }));
    declared
}
