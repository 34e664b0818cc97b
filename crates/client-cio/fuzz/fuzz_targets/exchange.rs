//! A whole exchange, cut in different ways.
#![no_main]

#[path = "../../tests/support/mod.rs"]
mod support;

libfuzzer_sys::fuzz_target!(|input: &[u8]| support::invariants::exchange(input));
