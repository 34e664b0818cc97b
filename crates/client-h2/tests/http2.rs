//! HTTP/2 against a server of hand-made frames, on the h2 engine.

#[macro_use]
mod cases;

use cases::Options;
use client_core::AnyEngine;
use client_h2::H2;

fn h2(options: Options) -> AnyEngine {
    let mut builder = H2::builder()
        .max_connections_per_route(options.max_connections_per_route)
        .socket_timeout(options.socket_timeout)
        .ping_interval(options.ping.map(|(interval, _)| interval));
    if let Some((_, timeout)) = options.ping {
        builder = builder.ping_timeout(timeout);
    }
    builder.build().into()
}

http2_cases!(crate::h2);
