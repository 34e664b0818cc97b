//! The conformance suite on hyper: one test per case.

#[path = "../../client-transport/tests/support/suite.rs"]
mod asked;

use client_conformance::{Settings, Subject, on_tokio};
use client_core::AnyEngine;
use client_hyper::Hyper;

fn hyper(settings: &Settings) -> Option<AnyEngine> {
    let builder = Hyper::builder()
        .max_connections(asked::max_connections(settings))
        .route(|_| asked::route(settings))
        .dialer(|_| asked::dialer(settings));
    Some(builder.build().into())
}

/// For this crate's tests, and for the matrix of all engines.
pub(crate) fn subject() -> impl Subject {
    on_tokio(hyper)
}

client_conformance::suite!(subject());
