//! The suite that judges every engine. No runtime: its own executor drives the futures.

use client_conformance::{Settings, Subject};
use client_curl::{Curl, CurlProxy};

/// For this crate's tests, and for the matrix of all engines.
pub(crate) fn subject() -> impl Subject {
    |settings: &Settings| {
        let engine = settings
            .hosts
            .iter()
            .fold(Curl::builder(), |engine, (host, address)| engine.resolve(host, *address));
        let engine = match settings.max_connections {
            Some(most) => engine.max_connections(most),
            None => engine,
        };
        let engine = match &settings.proxy {
            Some(proxy) => {
                let route = CurlProxy::new(&proxy.url).tls(proxy.tls.clone());
                engine.proxy(match &proxy.credentials {
                    Some((user, password)) => route.credentials(user, password),
                    None => route,
                })
            }
            None => engine,
        };
        let engine = match &settings.unix_socket {
            Some(path) => engine.unix_socket(path),
            None => engine,
        };
        Some(engine.tls(settings.tls.clone()).build().into())
    }
}

client_conformance::suite!(subject());
