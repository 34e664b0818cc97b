//! What "an engine" means, as runnable cases with their servers.
//!
//! For the author of an engine, inside this repository or not: one file of tests, `tests/conformance.rs`, holds
//!
//! ```
//! use client_conformance::{Settings, Subject, on_tokio};
//! # use client_core::AnyEngine;
//! # fn make(_: &Settings) -> Option<AnyEngine> { None }
//!
//! fn subject() -> impl Subject {
//!     on_tokio(|settings: &Settings| make(settings)) // or a closure alone, for an engine that needs no runtime
//! }
//!
//! client_conformance::suite!(subject());
//! # fn main() {}
//! ```
//!
//! and `cargo test --test conformance` shows one test per case: the case `framing.te_with_cl` is the test `framing::te_with_cl`.
//!
//! - A case has an id that never changes, the clause it proves, and the [capabilities](client_core::Capability) it needs. An engine
//!   that declares them must pass; one that does not must refuse by name, before a byte leaves. Both are tested, so that what is
//!   declared and what is measured agree.
//! - After each case the same client serves one more request, and when it is dropped the servers count their connections: none may
//!   be left.
//! - Nothing waits by sleeping. A case that hangs fails after a deadline, and says what it was waiting for.
//! - Where an RFC leaves a choice, the cases allow every choice; where it says MUST, or where a lenient reading is the
//!   shape of a known attack, they do not.
//!
//! As a library: [`cases`] and [`TOPICS`] are the registry, [`run`] returns results as data. The servers are public,
//! as they are useful in examples and other tests: see [`servers::App`].
//!
//! What must never enter this crate: the name of an engine, or code that knows one.

mod case;
mod cases;
mod ctx;
mod refusal;
mod run;
pub mod servers;
mod subject;

pub use self::case::{Case, CaseResult, Topic, Verdict};
pub use self::cases::TOPICS;
#[doc(hidden)]
pub use self::run::check;
pub use self::run::{Unfinished, bounded, cases, run, run_within};
pub use self::subject::{ProxySetting, Settings, Subject, adding, deviating, on_tokio};

/// The programs of that page, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/writing-an-engine.md")]
mod writing_an_engine {}
