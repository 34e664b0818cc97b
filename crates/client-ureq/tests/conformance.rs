//! The suite that judges every engine. No runtime: its own executor drives the futures.

use client_conformance::{Settings, Subject};
use client_ureq::Ureq;

/// For this crate's tests, and for the matrix of all engines.
pub(crate) fn subject() -> impl Subject {
    |settings: &Settings| {
        // No limit of connections: ureq's pool has none, and a response that nobody reads has a connection but no thread.
        if settings.max_connections.is_some() || settings.proxy.is_some() || settings.unix_socket.is_some() {
            return None;
        }
        let engine = settings
            .hosts
            .iter()
            .fold(Ureq::builder(), |engine, (host, address)| engine.resolve(host, *address));
        Some(engine.tls(settings.tls.clone()).build().into())
    }
}

client_conformance::suite!(subject());
