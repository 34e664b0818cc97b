//! HTTP/2 against a server of hand-made frames, on the hyper engine: the cases are those of the h2 engine.

#[macro_use]
#[path = "../../client-h2/tests/cases/mod.rs"]
mod cases;

use cases::Options;
use client_core::AnyEngine;
use client_hyper::{Hyper, VersionPolicy};

fn hyper(options: Options) -> AnyEngine {
    let mut builder = Hyper::builder()
        .version(VersionPolicy::Http2)
        .max_connections_per_route(options.max_connections_per_route)
        .socket_timeout(options.socket_timeout)
        .ping_interval(options.ping.map(|(interval, _)| interval));
    if let Some((_, timeout)) = options.ping {
        builder = builder.ping_timeout(timeout);
    }
    builder.build().into()
}

http2_cases!(crate::hyper);
