//! The suite that judges every engine.

use std::net::SocketAddr;

use client_conformance::{Settings, Subject, deviating, on_tokio};
use client_core::AnyEngine;
use client_reqwest::Reqwest;

fn engine(settings: &Settings) -> Option<AnyEngine> {
    // reqwest's pool is not limited, and of proxies it promises too little.
    if settings.max_connections.is_some() || settings.proxy.is_some() {
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
    deviating(on_tokio(engine), DEVIATIONS)
}

const ACCEPT: &str = "reqwest adds `accept: */*` where there is no Accept, and nothing in its API takes it back";
const PARTIAL_HEAD: &str = "hyper does not tell a head that began from one that did not";
const HEAD_UNSEEN: &str = "the bytes of a head that is not complete are not seen: it counts as one packet";
const INFORMATIONAL: &str = "hyper skips 1xx responses unseen; a socket limit ends them";
const LAX: &str = "the h2 crate lets it pass";

/// What reqwest does and cannot be told not to do.
const DEVIATIONS: &[(&str, &str)] = &[
    (
        "http2.host_is_authority",
        "hyper takes `:authority` from the URL; a Host of the user's is refused over HTTP/2",
    ),
    ("http2_abuse.informational_flood", INFORMATIONAL),
    ("http2_abuse.no_settings", LAX),
    ("http2_abuse.ping_flood", "the h2 crate answers each"),
    ("http2_abuse.pseudo_header_in_trailers", LAX),
    ("http2_abuse.pseudo_header_of_requests", LAX),
    ("http2_abuse.stream_window_overflow", LAX),
    (
        "http2_streams.reset_no_error_in_body",
        "hyper takes NO_ERROR for a clean end; noticed only where the length is known",
    ),
    ("redirects.credentials_do_not_return", ACCEPT),
    ("redirects.credentials_stay", ACCEPT),
    ("request_bodies.declared_by_user", ACCEPT),
    ("request_headers.delete_with_body", ACCEPT),
    ("request_headers.delete_without_body", ACCEPT),
    ("request_headers.get_sends_host_only", ACCEPT),
    ("request_headers.head_sends_host_only", ACCEPT),
    ("request_headers.options_without_body", ACCEPT),
    ("request_headers.post_with_body", ACCEPT),
    ("request_headers.post_without_body", ACCEPT),
    ("request_headers.put_without_body", ACCEPT),
    ("request_headers.streamed_body", ACCEPT),
    ("response_heads.endless_informational", INFORMATIONAL),
    ("reuse.dead_in_head", PARTIAL_HEAD),
    ("timeout_grid.trickled_head_is_no_silence.of_client", HEAD_UNSEEN),
    ("timeout_grid.trickled_head_is_no_silence.of_request", HEAD_UNSEEN),
    ("timeout_grid.trickled_head_is_no_silence.over_client", HEAD_UNSEEN),
    ("tls.no_identity", "a TLS alert after the handshake comes out as a closed connection"),
    ("upgrades.request_fields", ACCEPT),
];

client_conformance::suite!(subject());
