//! The suite that judges every engine. No runtime: its own executor drives the futures.

use client_conformance::{Settings, Subject};
use client_ureq::{Ureq, UreqBuilder};

/// For this crate's tests, and for the matrix of all engines.
pub(crate) fn subject() -> impl Subject {
    |settings: &Settings| {
        if settings.proxy.is_some() || settings.unix_socket.is_some() {
            return None;
        }
        let engine = settings.max_connections.into_iter().fold(Ureq::builder(), UreqBuilder::max_connections);
        let engine = settings.hosts.iter().fold(engine, |engine, (host, address)| engine.resolve(host, *address));
        Some(engine.tls(settings.tls.clone()).build().into())
    }
}

client_conformance::suite!(subject());
