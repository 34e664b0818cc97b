//! A chunked body, whole and byte by byte.
#![no_main]

#[path = "../../tests/support/mod.rs"]
mod support;

libfuzzer_sys::fuzz_target!(|input: &[u8]| support::invariants::chunked_body(input));
