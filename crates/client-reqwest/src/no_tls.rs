//! TLS, where it is not compiled in: the same names, and nothing behind them but a refusal.

use std::error::Error as StdError;

use client_core::{Capabilities, Capability, Error, Result, TlsConfig};
use reqwest::ClientBuilder;

use crate::clients::Protocol;

pub(crate) const CAPABILITIES: Capabilities = Capabilities::NONE;

/// Settings that nobody can use.
#[derive(Default)]
pub(crate) struct Tls(TlsConfig);

impl Tls {
    pub(crate) fn new(config: TlsConfig) -> Self {
        Self(config)
    }

    pub(crate) fn prepare(&self, builder: ClientBuilder, _: Protocol) -> Result<ClientBuilder> {
        match self.0 == TlsConfig::default() {
            true => Ok(builder),
            false => Err(Error::unsupported(Capability::Tls)),
        }
    }
}

pub(crate) fn explain(_: &(dyn StdError + 'static)) -> Option<String> {
    None
}
