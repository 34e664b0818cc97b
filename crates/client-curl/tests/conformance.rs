//! The suite that judges every engine. No runtime: its own executor drives the futures.

use client_conformance::{Settings, Subject, deviating};
use client_curl::{Curl, CurlProxy};

/// For this crate's tests, and for the matrix of all engines.
pub(crate) fn subject() -> impl Subject {
    let engine = |settings: &Settings| {
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
        Some(engine.tls(settings.tls.clone()).build().into())
    };
    deviating(engine, DEVIATIONS)
}

/// What libcurl does and cannot be told not to do.
const DEVIATIONS: &[(&str, &str)] = &[];

client_conformance::suite!(subject());
