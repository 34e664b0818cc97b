//! The conformance suite on hyper: one test per case.

use client_conformance::{ProxySetting, Settings, Subject, on_tokio};
use client_core::AnyEngine;
use client_hyper::Hyper;
use client_transport::dns::{Overrides, System};
use client_transport::proxy::Proxy;

fn hyper(settings: &Settings) -> Option<AnyEngine> {
    let mut builder = Hyper::builder().tls(settings.tls.clone());
    if let Some(connections) = settings.max_connections {
        builder = builder.max_connections(connections);
    }
    if let Some(setting) = &settings.proxy {
        builder = builder.route(|route| route.proxy(proxy(setting)));
    }
    let hosts = settings
        .hosts
        .iter()
        .fold(Overrides::new(System), |hosts, (name, address)| hosts.with(name, [(*address, 0)]));
    Some(builder.dialer(|dialer| dialer.resolver(hosts)).build().into())
}

fn proxy(setting: &ProxySetting) -> Proxy {
    let ProxySetting {
        url, credentials, tls, ..
    } = setting;
    let proxy = Proxy::new(url).expect("the suite's URLs are well-formed");
    let proxy = match credentials {
        Some((user, password)) => proxy.credentials(user, password).expect("the suite's credentials can be sent"),
        None => proxy,
    };
    proxy.tls(tls.clone())
}

/// For this crate's tests, and for the matrix of all engines.
pub(crate) fn subject() -> impl Subject {
    on_tokio(hyper)
}

client_conformance::suite!(subject());
