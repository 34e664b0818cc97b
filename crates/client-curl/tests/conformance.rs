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
        let engine = match &settings.unix_socket {
            Some(path) => engine.unix_socket(path),
            None => engine,
        };
        Some(engine.tls(settings.tls.clone()).build().into())
    };
    deviating(engine, DEVIATIONS)
}

const DROPPED: &str = "nghttp2 leaves such a field out, and goes on: it is neither passed on nor refused";
const RESET: &str = "libcurl resets with STREAM_CLOSED, not with CANCEL";
const IDLE: &str = "libcurl looks at an idle connection only when it is about to use it";

/// What libcurl does and cannot be told not to do.
const DEVIATIONS: &[(&str, &str)] = &[
    ("http2.request_trailers", "libcurl sends no trailers in HTTP/2; asking for both is refused"),
    ("http2_abuse.empty_name", DROPPED),
    ("http2_abuse.name_with_colon", DROPPED),
    ("http2_abuse.name_with_space", DROPPED),
    ("http2_abuse.value_with_cr", DROPPED),
    ("http2_abuse.value_with_lf", DROPPED),
    ("http2_abuse.value_with_nul", DROPPED),
    (
        "http2_abuse.window_overrun",
        "libcurl stops reading the connection while a body is not read, and sees the rest later",
    ),
    ("http2_streams.cancel_before_head", RESET),
    ("http2_streams.cancel_in_body", RESET),
    ("http2_streams.cancel_in_upload", RESET),
    (
        "http2_streams.cancelled_gives_window_back",
        "nghttp2 takes what still arrives of cancelled streams for an attack, and ends the connection",
    ),
    ("http2_streams.go_away_when_idle", IDLE),
    ("http2_streams.request_timeout", RESET),
    (
        "http2_streams.reset_no_error_in_body",
        "libcurl takes NO_ERROR for a clean end; noticed only where the length is known",
    ),
    ("proxies.over_tls_http", "libcurl makes a new connection to an https proxy for each http request"),
    ("reuse.dead_in_head", "libcurl does not tell a status line that began from one that did not"),
    ("tunnels.informational_first", "libcurl takes a 1xx for the answer to CONNECT"),
];

client_conformance::suite!(subject());
