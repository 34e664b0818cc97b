//! The suite that judges every engine.

use std::net::SocketAddr;

use client_conformance::{Settings, Subject, adding, on_tokio};
use client_core::{AnyEngine, TlsConfig};
use client_reqwest::{Reqwest, reqwest};

fn engine(settings: &Settings) -> Option<AnyEngine> {
    // reqwest's pool is not limited, and its Unix sockets are per client.
    if settings.max_connections.is_some() || settings.unix_socket.is_some() {
        return None;
    }
    let mut engine = Reqwest::builder();
    let mut tls = settings.tls.clone();
    if let Some(setting) = &settings.proxy {
        // reqwest has one TLS configuration, for proxies and origins; and its SOCKS promises too little.
        match (setting.url.starts_with("https:"), tls == TlsConfig::default()) {
            _ if setting.url.starts_with("socks") => return None,
            (true, true) => tls = setting.tls.clone(),
            (true, false) if tls != setting.tls => return None,
            _ => {}
        }
        let mut proxy = reqwest::Proxy::all(&setting.url).expect("a URL of a proxy");
        if let Some((user, password)) = &setting.credentials {
            proxy = proxy.basic_auth(user, password);
        }
        engine = engine.config(move |reqwest| reqwest.proxy(proxy.clone()));
    }
    let hosts = settings.hosts.clone();
    let engine = engine.tls(tls).config(move |reqwest| {
        let resolve =
            |reqwest: reqwest::ClientBuilder, (name, address): &(String, _)| reqwest.resolve(name, SocketAddr::new(*address, 0));
        hosts.iter().fold(reqwest, resolve)
    });
    Some(AnyEngine::new(engine.build()))
}

/// For this crate's tests, and for the matrix of all engines.
pub(crate) fn subject() -> impl Subject {
    adding(on_tokio(engine), ADDITIONS)
}

/// reqwest's `Client` adds it where there is no Accept, and nothing in its API takes it back (seanmonstar/reqwest#2279).
const ADDITIONS: &[(&str, &str)] = &[("accept", "*/*")];

client_conformance::suite!(subject());
