//! In place of `tls.rs` where the feature is off: `https` is not promised, and TLS settings are refused.

use client_core::{Capability, Error, Result, RootCerts, TlsConfig};
use ureq::config::ConfigBuilder;
use ureq::typestate::AgentScope;
use ureq::unversioned::transport::{ConnectionDetails, Connector, Transport};

/// What is promised.
pub(crate) const CAPABILITIES: &[Capability] = &[];

/// Refuses any setting.
///
/// # Errors
/// [`ErrorKind::Unsupported`](client_core::ErrorKind::Unsupported).
pub(crate) fn configure(config: ConfigBuilder<AgentScope>, tls: &TlsConfig) -> Result<ConfigBuilder<AgentScope>> {
    match asked(tls) {
        Some(capability) => Err(Error::unsupported(capability)),
        None => Ok(config),
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

/// The link of the chain that does nothing.
#[derive(Debug, Default)]
pub(crate) struct Tls(());

impl<In: Transport> Connector<In> for Tls {
    type Out = In;

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<In>, ureq::Error> {
        Ok(chained)
    }
}
