//! Tests of the runner itself, with small data of its own: the corpora are not part of this repository.
//!
//! They are the unit tests of its modules, which a test target compiles without the engines' own suites.

#![allow(dead_code, reason = "what main.rs alone uses")]

mod corpora;
mod notes;
mod report;
mod rules;
mod server;
mod wire;
