//! TLS, in a build without it: an engine does not declare `https` then, and what slips through is refused.

use client_core::{Capability, Error, Result, TlsConfig};

use crate::dial::Link;
use crate::route::Alpn;
use crate::stream::Stream;

pub(crate) type TlsStream = crate::never::Never;

/// How `https` servers are verified.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsSettings(TlsConfig);

impl From<TlsConfig> for TlsSettings {
    fn from(config: TlsConfig) -> Self {
        Self(config)
    }
}

impl TlsSettings {
    pub(crate) fn for_another_origin(self) -> Self {
        Self(self.0.for_another_origin())
    }
}

/// Makes TLS streams.
#[derive(Debug, Default)]
pub(crate) struct TlsConnector {}

impl TlsConnector {
    pub(crate) async fn handshake(&self, _: Option<&TlsSettings>, _: &str, _: &[Alpn], _: Stream) -> Result<Link> {
        Err(refused())
    }
}

pub(crate) fn check(_: &TlsSettings) -> Result<()> {
    Err(refused())
}

pub(crate) fn check_name(_: &str) -> Result<()> {
    Err(refused())
}

pub(crate) fn holds_input(tls: &mut TlsStream) -> bool {
    match *tls {}
}

pub(crate) fn below(tls: &TlsStream) -> &Stream {
    match *tls {}
}

/// A failure of TLS that surfaces while reading or writing; here there are none.
pub fn classify(_: &std::io::Error) -> Option<Error> {
    None
}

fn refused() -> Error {
    Error::unsupported(Capability::Tls)
}
