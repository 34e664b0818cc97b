//! The suite that judges every engine.

use std::net::SocketAddr;

use client_conformance::{Settings, Subject, adding, deviating, on_tokio};
use client_core::AnyEngine;
use client_reqwest::Reqwest;

fn engine(settings: &Settings) -> Option<AnyEngine> {
    // reqwest's pool is not limited, and of proxies it promises too little.
    if settings.max_connections.is_some() || settings.proxy.is_some() || settings.unix_socket.is_some() {
        return None;
    }
    let hosts = settings.hosts.clone();
    let engine = Reqwest::builder().tls(settings.tls.clone()).config(move |reqwest| {
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
    ("tls.no_identity", "a TLS alert after the handshake comes out as a closed connection"),
];

client_conformance::suite!(subject());
