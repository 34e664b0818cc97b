//! The suite, run against the reference engine: what an engine's author writes.

mod reference;

use client_conformance::{Settings, Subject, on_tokio};
use client_core::AnyEngine;

fn subject() -> impl Subject {
    on_tokio(|settings: &Settings| {
        (settings.proxy.is_none() && settings.unix_socket.is_none()).then(|| AnyEngine::new(reference::Reference::new(settings)))
    })
}

client_conformance::suite!(subject());
