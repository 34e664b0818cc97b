//! What the codec's tests share: transcripts as data, and a driver without a socket.
#![allow(dead_code, reason = "each test binary is compiled with all of it and uses its part")]

pub(crate) mod invariants;
pub(crate) mod replay;
pub(crate) mod transcript;
