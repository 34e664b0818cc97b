//! The conformance suite on cio: one test per case.

use client_cio::Cio;
use client_conformance::{Settings, Subject, on_tokio};
use client_core::AnyEngine;
use client_transport::dns::{Overrides, System};

fn cio(settings: &Settings) -> Option<AnyEngine> {
    let mut builder = Cio::builder().tls(settings.tls.clone());
    if let Some(connections) = settings.max_connections {
        builder = builder.max_connections(connections);
    }
    let hosts = settings
        .hosts
        .iter()
        .fold(Overrides::new(System), |hosts, (name, address)| hosts.with(name, [(*address, 0)]));
    Some(builder.dialer(|dialer| dialer.resolver(hosts)).build().into())
}

/// For this crate's tests, and for the matrix of all engines.
pub(crate) fn subject() -> impl Subject {
    on_tokio(cio)
}

client_conformance::suite!(subject());
