//! The suite that judges every engine.

use std::net::SocketAddr;

use client_conformance::{Settings, Subject, adding, deviating, on_tokio};
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
    deviating(adding(on_tokio(engine), ADDITIONS), DEVIATIONS)
}

/// reqwest's `Client` adds it where there is no Accept, and nothing in its API takes it back (seanmonstar/reqwest#2279).
const ADDITIONS: &[(&str, &str)] = &[("accept", "*/*")];

const PARTIAL_HEAD: &str = "hyper does not tell a head that began from one that did not";
const HEAD_UNSEEN: &str = "the bytes of a head that is not complete are not seen: it counts as one packet";
const INFORMATIONAL: &str = "hyper skips 1xx responses unseen; a socket limit ends them";

const TUNNEL_PHASE: &str = "reqwest does not tell when its connector asks the proxy: the phase is that of connecting";
const TUNNEL_STATUS: &str = "hyper-util's tunnel does not tell the status by which the proxy refused";
const TUNNEL_ANSWER: &str = "hyper-util's tunnel takes any answer but 200 for a refusal";

/// What reqwest does and cannot be told not to do.
const DEVIATIONS: &[(&str, &str)] = &[
    (
        "http2.host_is_authority",
        "hyper takes `:authority` from the URL; a Host of the user's is refused over HTTP/2",
    ),
    ("http2_abuse.informational_flood", INFORMATIONAL),
    (
        "http2_streams.reset_no_error_in_body",
        "hyper takes NO_ERROR for a clean end; noticed only where the length is known",
    ),
    ("response_heads.endless_informational", INFORMATIONAL),
    ("reuse.dead_in_head", PARTIAL_HEAD),
    ("timeout_grid.trickled_head_is_no_silence.of_client", HEAD_UNSEEN),
    ("timeout_grid.trickled_head_is_no_silence.of_request", HEAD_UNSEEN),
    ("timeout_grid.trickled_head_is_no_silence.over_client", HEAD_UNSEEN),
    ("timeout_grid.connect_in_tunnel.of_client", TUNNEL_PHASE),
    ("timeout_grid.connect_in_tunnel.of_request", TUNNEL_PHASE),
    ("timeout_grid.connect_in_tunnel.over_client", TUNNEL_PHASE),
    ("timeout_grid.request_in_tunnel.of_client", TUNNEL_PHASE),
    ("timeout_grid.request_in_tunnel.of_request", TUNNEL_PHASE),
    ("timeout_grid.request_in_tunnel.over_client", TUNNEL_PHASE),
    ("tunnels.garbage_in_tunnel", "hyper-util's tunnel drops what comes with the answer to CONNECT"),
    ("tunnels.informational_first", TUNNEL_ANSWER),
    ("tunnels.no_content", TUNNEL_ANSWER),
    ("tunnels.refused_403", TUNNEL_STATUS),
    ("tunnels.refused_502", TUNNEL_STATUS),
    ("tunnels.refused_redirect", TUNNEL_STATUS),
    ("tunnels.refused_without_length", TUNNEL_STATUS),
];

client_conformance::suite!(subject());
