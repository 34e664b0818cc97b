//! HTTP/2, where it is not compiled in: the same names, and nothing behind them.

use std::error::Error as StdError;

use client_core::{Capabilities, ErrorKind};
use reqwest::ClientBuilder;

pub(crate) const CAPABILITIES: Capabilities = Capabilities::NONE;

/// Used by TLS alone, which may be there without HTTP/2.
#[allow(dead_code)]
pub(crate) const ALPN: &[&str] = &["http/1.1"];

pub(crate) fn prepare(builder: ClientBuilder) -> ClientBuilder {
    builder
}

/// Never called: without the capability, nobody can ask for it.
pub(crate) fn only(builder: ClientBuilder) -> ClientBuilder {
    builder
}

pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
    pub(crate) is_untouched: bool,
}

pub(crate) fn is_reset(_: &(dyn StdError + 'static)) -> bool {
    false
}

pub(crate) fn explain(_: &(dyn StdError + 'static)) -> Option<Failure> {
    None
}
