//! In place of `tls.rs` where the feature is off: `https` is not promised, and TLS settings are refused.

use client_core::{Capabilities, Capability, Error, Result, RootCerts, TlsConfig};

use crate::call::Call;
use crate::socket::{Socket, Stream};

/// What is promised.
pub(crate) const CAPABILITIES: Capabilities = Capabilities::NONE;

/// Makes no connection.
#[derive(Debug)]
pub(crate) struct Tls(());

impl Tls {
    /// Refuses any setting.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](client_core::ErrorKind::Unsupported).
    pub(crate) fn new(settings: &TlsConfig) -> Result<Self> {
        match asked(settings) {
            Some(capability) => Err(Error::unsupported(capability)),
            None => Ok(Self(())),
        }
    }

    /// Never asked for: an exchange that needs TLS is refused before.
    ///
    /// # Errors
    /// Always.
    pub(crate) fn handshake(&self, _: Socket, _: &str, _: &Call) -> Result<Box<dyn Stream>> {
        Err(Error::unsupported(Capability::Tls))
    }
}

/// What the settings ask for, by the most precise name.
fn asked(tls: &TlsConfig) -> Option<Capability> {
    let asked = [
        (*tls.get_roots() != RootCerts::Platform, Capability::CustomRoots),
        (tls.get_identity().is_some(), Capability::ClientIdentity),
        (!tls.pins().is_empty(), Capability::SpkiPins),
        (*tls != TlsConfig::default(), Capability::Tls),
    ];
    asked.into_iter().find(|(is_asked, _)| *is_asked).map(|(_, capability)| capability)
}

/// A failure of TLS that surfaces while reading or writing; here there are none.
pub(crate) fn classify(_: &std::io::Error) -> Option<Error> {
    None
}
